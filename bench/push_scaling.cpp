// How long a push takes to the last of many peers: in the simulation, with the real cores, and by
// the model of what takes its time, beside what nobody can do faster.
//
//   bench/push_scaling [--mebibytes 100] [--rate 12500000] [--latency 5] [--links 8] [--most 1000]
//
// F bytes in M chunks, N takers, each host sends `rate` bytes/s (u), a message takes `latency` ms
// (L). `simulated_s`: until the last one has verified all; `known_s`: until the sender knows it; of
// --most peers at most, because everybody's ledger has an entry for everybody (240 bytes of heap
// each: 24 GB for 10,000). The model steps through every chunk at every host, in the order of
// places of push_chain.h, and knows nothing of offers and ledgers: `chain_s` and `binary_s`, and
// `shape` is what pushShape() takes. `least_s` is T* = (F/u)(1 + ⌊log2 N⌋/M), Mundinger, Weber and
// Weiss 2008, which has no latency.
#include <bit>
#include <cmath>

#include "bench/processes.h"
#include "peer/core/push_chain.h"
#include "tests/simulation/schedule.h"

using namespace espalier;
using namespace espalier::bench;
using namespace std::chrono_literals;
using peer::PushShape;
using simulation::World;

namespace {

struct Load {
  std::uint64_t chunks = 0;
  double rate = 0;     // bytes/s of each host
  double latency = 0;  // s

  double chunkTime() const { return static_cast<double>(limits::kPushChunkBytes) / rate; }
  double fileTime() const { return static_cast<double>(chunks) * chunkTime(); }
};

// When each chunk is at a peer.
using Arrivals = std::vector<double>;

// What a host gives to `takers`, a chunk to each in turn: to each of them when it is there.
std::vector<Arrivals> give(const Arrivals& has, std::size_t takers, const Load& load) {
  std::vector<Arrivals> given(takers, Arrivals(has.size()));
  double free = 0;
  for (std::size_t chunk = 0; chunk < has.size(); ++chunk) {
    for (auto& taker : given) {
      free = std::max(free, has[chunk]) + load.chunkTime();
      taker[chunk] = free + load.latency;
    }
  }
  return given;
}

double model(PushShape shape, std::size_t takers, const Load& load) {
  std::vector<std::size_t> wanted(takers + 1);
  for (std::size_t place = 1; place <= takers; ++place) ++wanted[placeBefore(shape, place)];
  std::vector<Arrivals> at(takers + 1);
  at[0].assign(load.chunks, 0);
  double last = 0;
  std::size_t next = 1;  // those behind a place follow each other
  for (std::size_t place = 0; place <= takers; ++place) {
    last = std::max(last, at[place].back());
    for (auto& arrivals : give(at[place], wanted[place], load)) at[next++] = std::move(arrivals);
    at[place] = {};
  }
  return last;
}

struct Simulated {
  double verified = 0;
  double known = 0;
};

Simulated simulate(std::size_t takers, unsigned links, const Load& load) {
  simulation::Settings settings;
  settings.maxLinks = links;
  settings.leastDelay = settings.mostDelay =
      std::chrono::microseconds(static_cast<std::int64_t>(load.latency * 1e6));
  settings.uploadBytesPerSecond = load.rate;
  settings.watchPushes = false;
  World world(1, settings);
  simulation::Conduct willing;
  willing.accepts = {peer::PushPolicy::From::all, {}, limits::kFileBytes};
  for (std::size_t i = 0; i <= takers; ++i) {
    world.at(world.now() + std::chrono::milliseconds(i),
             [&, i] { world.startPeer(fmt::format("s{}", i), willing); });
  }
  if (const auto wrong = rest(world, 10min, 1s)) fail(*wrong);

  const TimePoint begun = world.now();
  const auto id = world.push(1, load.chunks);
  const auto& push = world.pushes().front();
  const auto secondsTo = [&](TimePoint when) {
    return std::chrono::duration<double>(when - begun).count();
  };
  while (world.peer(1).pushes()->view(id)->ledger.count(wire::PushState::verified) <= takers) {
    world.runUntil(world.now() + 50ms);
    if (world.failure()) fail(*world.failure());
    if (world.now() - begun > 1h) fail("the push does not end");
  }
  return {secondsTo(push.lastFinished), secondsTo(world.now())};
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments(argc, argv,
                            {{"mebibytes", "100"},
                             {"rate", "12500000"},
                             {"latency", "5"},
                             {"links", "8"},
                             {"most", "1000"}});
  Load load;
  load.chunks = static_cast<std::uint64_t>(arguments.number("mebibytes")) * 8;
  load.rate = arguments.number("rate");
  load.latency = arguments.number("latency") / 1e3;
  const auto most = static_cast<std::size_t>(arguments.number("most"));
  Report report("push_scaling");
  report.note("mebibytes", arguments.number("mebibytes"));
  report.note("rate_bytes_per_second", load.rate);
  report.note("latency_ms", arguments.number("latency"));
  report.note("links", arguments.number("links"));
  for (const std::size_t takers : {10u, 100u, 1'000u, 10'000u}) {
    const double least =
        load.fileTime() + static_cast<double>(std::bit_width(takers) - 1) * load.chunkTime();
    const auto shape = peer::pushShape(takers, load.chunks);
    Json row{{"takers", takers}, {"file_s", rounded(load.fileTime())}, {"least_s", rounded(least)}};
    row["chain_s"] = rounded(model(PushShape::chain, takers, load));
    row["binary_s"] = rounded(model(PushShape::binary, takers, load));
    row["shape"] = shape == PushShape::chain ? "chain" : "binary";
    for (const char* key : {"simulated_s", "known_s", "of_model"}) row[key] = "-";
    if (takers <= most) {
      const auto simulated =
          simulate(takers, static_cast<unsigned>(arguments.number("links")), load);
      const double modelled = model(shape, takers, load);
      row["simulated_s"] = rounded(simulated.verified);
      row["known_s"] = rounded(simulated.known);
      row["of_model"] = rounded(simulated.verified / modelled);
      report.atMost(fmt::format("{} takers: of the model's time", takers),
                    simulated.verified / modelled, 1.25);
    }
    report.row(std::move(row));
  }
  report.print();
}
