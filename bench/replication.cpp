// What the copy of the master's directory costs at another metaserver, without sockets and codecs:
// a network of peers with two links each, as a snapshot and then as deltas.
//
//   bench/replication [--runs 3] [--members 100000]
//
//   bytes        heap for a member at the follower; the ids have `id_bytes`
//   snapshot_us  filling, for a member, with the pages made at the master
//   delta_us     a delta of one row: publishing and applying it
//   page_us      one page of a snapshot at the master, which holds up everything else there
//
// Times are processor time of this thread. Medians of runs.
#include <malloc.h>

#include <chrono>
#include <ctime>
#include <memory>

#include "bench/processes.h"
#include "metaserver/core/cluster/publication.h"
#include "metaserver/core/cluster/replica.h"

using namespace espalier;
using namespace espalier::bench;
using namespace espalier::metaserver::cluster;
using metaserver::MemberChanges;
using metaserver::MemberRow;

namespace {

constexpr Epoch kEpoch{1, ServerNumber{1}};
constexpr std::size_t kDeltas = 1000;

PeerId idOf(std::size_t number, std::size_t bytes) {
  std::string text = fmt::format("p{}", number);
  text.resize(std::max(text.size(), bytes), 'x');
  return PeerId::parse(text).value();
}

// A chain: each has the peers before and behind it as neighbours.
MemberRow rowOf(std::size_t number, std::size_t idBytes, std::size_t members) {
  MemberRow row;
  row.contact = {idOf(number, idBytes),
                 JoinOrder{number},
                 {fmt::format("10.{}.{}.{}", number >> 16, number >> 8 & 255, number & 255), 5001}};
  if (number > 1) row.neighbours.push_back(idOf(number - 1, idBytes));
  if (number < members) row.neighbours.push_back(idOf(number + 1, idBytes));
  row.above = JoinOrder{number - 1};
  return row;
}

double heapBytes() {
  const auto info = ::mallinfo2();
  return static_cast<double>(info.uordblks + info.hblkhd);
}

double microsecondsNow() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return 1e6 * static_cast<double>(time.tv_sec) + 1e-3 * static_cast<double>(time.tv_nsec);
}

struct Figures {
  double bytes = 0;
  double snapshotMicroseconds = 0;
  double deltaMicroseconds = 0;
  double pageMicroseconds = 0;
};

// With rows of its own, as after the network: those of one process would be shared.
wire::DirectoryMessage received(wire::DirectoryMessage message) {
  const auto copy = [](auto& rows) {
    for (auto& row : rows) row = MemberRow(*row);
  };
  if (auto* page = std::get_if<wire::SnapshotPage>(&message)) copy(page->rows);
  if (auto* delta = std::get_if<wire::Delta>(&message)) copy(delta->rows);
  return message;
}

void fill(Replica& replica, const Publication& publication, std::vector<double>& pages) {
  const TimePoint now{std::chrono::hours(1)};
  Replica::Effects fx;
  replica.received(publication.position(), now, fx);
  while (!fx.pulls.empty()) {
    const auto pull = fx.pulls.back();
    fx = {};
    const double from = microsecondsNow();
    auto answer = publication.answer(pull);
    pages.push_back((microsecondsNow() - from) / static_cast<double>(answer.size()));
    for (auto& message : answer) replica.received(received(std::move(message)), now, fx);
  }
  if (replica.state() != Replica::State::current) fail("the replica is not current");
}

Figures measure(std::size_t members, std::size_t idBytes) {
  Publication publication(kEpoch);
  for (std::size_t number = 1; number <= members; ++number) {
    MemberChanges one;
    one.rows.push_back(rowOf(number, idBytes, members));
    publication.publish(std::move(one));
  }
  Random random(1);
  Figures figures;
  std::vector<double> pages;
  const double heapBefore = heapBytes();
  auto replica = std::make_unique<Replica>(random);
  const double from = microsecondsNow();
  fill(*replica, publication, pages);
  const auto count = static_cast<double>(members);
  figures.snapshotMicroseconds = (microsecondsNow() - from) / count;
  figures.bytes = (heapBytes() - heapBefore) / count;
  figures.pageMicroseconds = median(std::move(pages));

  const TimePoint now{std::chrono::hours(1)};
  const double deltasFrom = microsecondsNow();
  for (std::size_t i = 0; i < kDeltas; ++i) {
    MemberChanges one;
    auto row = rowOf(1 + i * 7919 % members, idBytes, members);
    row.generation = static_cast<std::uint32_t>(i + 1);
    one.rows.push_back(std::move(row));
    Replica::Effects fx;
    for (auto& delta : publication.publish(std::move(one))) {
      replica->received(received(std::move(delta)), now, fx);
    }
  }
  figures.deltaMicroseconds = (microsecondsNow() - deltasFrom) / double{kDeltas};
  if (replica->version().sequence != publication.sequence()) fail("deltas were not applied");
  return figures;
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments(argc, argv, {{"runs", "3"}, {"members", "100000"}});
  const auto members = static_cast<std::size_t>(std::max(arguments.number("members"), 1000));
  Report report("replication");
  report.note("runs", arguments.number("runs"));
  for (const std::size_t idBytes : {8u, 24u, 64u}) {
    std::vector<double> bytes;
    std::vector<double> snapshot;
    std::vector<double> delta;
    std::vector<double> page;
    for (int run = 0; run < arguments.number("runs"); ++run) {
      const Figures figures = measure(members, idBytes);
      bytes.push_back(figures.bytes);
      snapshot.push_back(figures.snapshotMicroseconds);
      delta.push_back(figures.deltaMicroseconds);
      page.push_back(figures.pageMicroseconds);
    }
    report.row({{"members", members},
                {"id_bytes", idBytes},
                {"bytes", rounded(median(bytes))},
                {"snapshot_us", rounded(median(snapshot))},
                {"delta_us", rounded(median(delta))},
                {"page_us", rounded(median(page))}});
    report.atMost(fmt::format("heap bytes a member whose id has {} bytes", idBytes), median(bytes),
                  1200);
  }
  report.print();
}
