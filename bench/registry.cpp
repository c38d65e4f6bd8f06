// What a join costs in the metaserver's core, without sockets and codecs: from the connection to
// the referral, in networks of up to 100,000 peers with addresses all over 127/8.
//
//   bench/registry [--runs 5] [--most 100000]
//
//   join_us   the mean over all joins since the first, which includes the growth of tables
//   last_us   the median over parts of the last fifth: the cost of a join in a network of that size
//   bytes     heap for a member
//   whole_us  copying the largest network at once (entries, tree)
//   page_us   copying the longest page of changes: how long the mutex is held while the copy that
//             the writer and the commands read is brought up to date
//
// Times are processor time of this thread; nothing here waits. Medians of runs, each with a new
// registry; small networks are built more often.
#include <malloc.h>

#include <chrono>
#include <ctime>
#include <memory>

#include "bench/processes.h"
#include "metaserver/core/registry.h"

using namespace espalier;
using namespace espalier::bench;
using metaserver::Effects;
using metaserver::Registry;

namespace {

constexpr std::size_t kPart = 200;  // joins that are timed together

struct Joiner {
  ConnectionId connection;
  std::string host;
  wire::RegistryRequest request;
};

std::vector<Joiner> joiners(std::size_t count) {
  std::vector<Joiner> all;
  all.reserve(count);
  for (std::size_t i = 1; i <= count; ++i) {
    wire::Join join;
    join.id = PeerId::parse(fmt::format("peer{}", i)).value();
    join.key.bytes[0] = static_cast<std::uint8_t>(i);
    join.word = "P2P";
    all.push_back({ConnectionId{2 * i},
                   fmt::format("127.{}.{}.{}", 1 + i % 200, i / 200 / 256, i / 200 % 256), join});
  }
  return all;
}

double heapBytes() {
  const auto info = ::mallinfo2();
  return static_cast<double>(info.uordblks + info.hblkhd);
}

struct Figures {
  double meanMicroseconds = 0;
  double tailMicroseconds = 0;
  double bytes = 0;
};

constexpr auto kUnboundedHeld = [] {
  limits::HeldBounds bounds{};
  for (auto& bound : bounds) bound = {~0ull, ~0ull};
  return bounds;
}();
constexpr auto kUnboundedRates = [] {
  limits::RateBounds bounds{};
  for (auto& bound : bounds) bound = {1e12, 1e12, 1e12, 1e12};
  return bounds;
}();

double microsecondsNow() {
  timespec time{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
  return 1e6 * static_cast<double>(time.tv_sec) + 1e-3 * static_cast<double>(time.tv_nsec);
}

Figures measure(topo::Rule rule, unsigned links, const std::vector<Joiner>& all) {
  const TimePoint now{std::chrono::hours(1)};
  Effects fx;
  Registry::Options options;
  options.maxLinks = links;
  options.placement = rule;
  options.network.bytes[0] = 1;
  std::vector<double> tail;
  const double heapBefore = heapBytes();
  Budget budget(kUnboundedHeld, kUnboundedRates);  // all join at the same time
  auto registry = std::make_unique<Registry>(options, budget, now, fx);
  const double start = microsecondsNow();
  for (std::size_t first = 0; first < all.size(); first += kPart) {
    const double partFrom = microsecondsNow();
    for (std::size_t i = first; i < first + kPart; ++i) {
      registry->opened(all[i].connection, all[i].host, now);
      registry->received(all[i].connection, all[i].request, now, fx);
      if (fx.sends.size() != 1 || !std::holds_alternative<wire::Admitted>(fx.sends[0].reply)) {
        fail("a peer was not admitted");
      }
      fx.sends.clear();
      fx.notices.clear();
      fx.sessions.clear();
    }
    if (first >= all.size() / 5 * 4) tail.push_back((microsecondsNow() - partFrom) / double{kPart});
  }
  const double taken = microsecondsNow() - start;
  const auto count = static_cast<double>(all.size());
  return {taken / count, median(std::move(tail)), (heapBytes() - heapBefore) / count};
}

struct Holds {
  double wholeMicroseconds = 0;
  double pageMicroseconds = 0;
};

// How long the registry's mutex is held for a copy of all members: at once, and in pages.
Holds measureHolds(const std::vector<Joiner>& all) {
  const TimePoint now{std::chrono::hours(1)};
  Effects fx;
  Registry::Options options;
  options.network.bytes[0] = 1;
  Budget budget(kUnboundedHeld, kUnboundedRates);
  Registry registry(options, budget, now, fx);
  for (const auto& joiner : all) {
    registry.opened(joiner.connection, joiner.host, now);
    registry.received(joiner.connection, joiner.request, now, fx);
    fx = {};
  }
  Holds holds;
  const double whole = microsecondsNow();
  bool more = false;
  const auto entries = registry.entries(kNoOrder, SIZE_MAX, more);
  const auto tree = registry.tree();
  holds.wholeMicroseconds = microsecondsNow() - whole;
  if (entries.size() + tree.size() != 2 * all.size()) fail("a member is missing");
  (void)registry.takeChanges(1);  // begins to count them, as at the start of the metaserver
  std::size_t rows = 1;
  for (more = true; more;) {
    const double from = microsecondsNow();
    const auto page = registry.takeChanges(256);
    holds.pageMicroseconds = std::max(holds.pageMicroseconds, microsecondsNow() - from);
    rows += page.rows.size();
    more = page.more;
  }
  if (rows != all.size()) fail("a member is missing in the pages");
  return holds;
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments(argc, argv, {{"runs", "5"}, {"most", "100000"}});
  const auto most = static_cast<std::size_t>(std::max(arguments.number("most"), 1000));
  std::vector<std::size_t> sizes;
  for (const std::size_t size : {1'000u, 5'000u, 15'000u, 50'000u, 100'000u}) {
    if (size <= most) sizes.push_back(size);
  }
  Report report("registry");
  report.note("runs", arguments.number("runs"));
  struct Case {
    topo::Rule rule;
    unsigned links;
  };
  for (const Case one : {Case{topo::Rule::shallowest, 2}, Case{topo::Rule::shallowest, 8},
                         Case{topo::Rule::classic, 2}, Case{topo::Rule::nearest, 8}}) {
    std::vector<double> tails;
    double bytes = 0;
    for (const std::size_t size : sizes) {
      const auto all = joiners(size);
      std::vector<double> mean;
      std::vector<double> tail;
      std::vector<double> heap;
      const int networks = arguments.number("runs") * static_cast<int>(100'000 / size);
      for (int run = 0; run < networks; ++run) {
        const Figures figures = measure(one.rule, one.links, all);
        mean.push_back(figures.meanMicroseconds);
        tail.push_back(figures.tailMicroseconds);
        heap.push_back(figures.bytes);
      }
      tails.push_back(median(tail));
      bytes = std::max(bytes, median(heap));
      report.row({{"placement", topo::name(one.rule)},
                  {"links", one.links},
                  {"peers", size},
                  {"join_us", rounded(median(mean))},
                  {"last_us", rounded(median(tail))},
                  {"bytes", rounded(median(heap))}});
    }
    const std::string name = fmt::format("{} with {} links", topo::name(one.rule), one.links);
    report.atMost(name + ": a join in the largest network, of one in the smallest",
                  tails.back() / tails.front(), 1.5);
    report.atMost(name + ": heap bytes a member", bytes, 2048);
  }
  const auto all = joiners(sizes.back());
  std::vector<double> whole;
  std::vector<double> page;
  for (int run = 0; run < arguments.number("runs"); ++run) {
    const Holds holds = measureHolds(all);
    whole.push_back(holds.wholeMicroseconds);
    page.push_back(holds.pageMicroseconds);
  }
  report.row({{"peers", sizes.back()},
              {"whole_us", rounded(median(whole))},
              {"page_us", rounded(median(page))}});
  report.atMost("microseconds that a page of changes holds the mutex", median(page), 5000);
  report.print();
}
