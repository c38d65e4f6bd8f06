// How long a push takes until the last of many peers has it: the real cores in the simulation,
// compared with the optimum and with the formula for the shape of the push.
//
//   bench/push_scaling [--mebibytes 100] [--rate 12500000] [--latency 5] [--links 8] [--most 10000]
//
// F bytes in M chunks go to N peers (10, 100 … up to --most). Each host sends `rate` bytes/s (u); a
// message takes `latency` ms (L).
//   simulated_s  until the last peer has verified everything
//   known_s      until the sender knows that
//   least_s      the optimum, T* = (F/u)(1 + ⌊log2 N⌋/M), without latency (Mundinger, Weber and
//                Weiss 2008)
//   shape_s      the formula of pushShape() (push_sources.h) with a latency for each hop. It leaves
//                out the offer, which must reach all peers first, and the ledger.
//   cpu_s        processor time of the simulation
//   peak_gib     its memory. Each peer keeps an entry for each peer, so 10,000 peers need 4 GiB for
//                ledgers, and as much for entries in flight.
#include <sys/resource.h>

#include <bit>

#include "bench/processes.h"
#include "peer/core/push_sources.h"
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

  double timeOf(double count) const {
    return count * static_cast<double>(limits::kPushChunkBytes) / rate;
  }
  double fileTime() const { return timeOf(static_cast<double>(chunks)); }
};

double levels(std::size_t takers) {
  return static_cast<double>(std::bit_width(takers) - 1);
}

double timeAlong(PushShape shape, std::size_t takers, const Load& load) {
  const bool isChain = shape == PushShape::chain;
  const double behind = isChain ? static_cast<double>(takers - 1) : 2 * levels(takers);
  const double hops = isChain ? static_cast<double>(takers) : levels(takers) + 1;
  return load.fileTime() + load.timeOf(behind) + hops * load.latency;
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
  settings.watch = false;
  World world(1, settings);
  simulation::Conduct willing;
  willing.accepts = {peer::PushPolicy::From::all, {}, limits::kFileBytes};
  for (std::size_t i = 0; i <= takers; ++i) {
    world.at(world.now() + std::chrono::milliseconds(i),
             [&, i] { world.startPeer(fmt::format("s{}", i), willing); });
  }
  world.runUntil(world.now() + std::chrono::milliseconds(takers));
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

rusage used() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage;
}

double cpuSeconds() {
  const auto usage = used();
  const auto seconds = [](const timeval& time) {
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6;
  };
  return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

}  // namespace

int main(int argc, char** argv) {
  const Arguments arguments(argc, argv,
                            {{"mebibytes", "100"},
                             {"rate", "12500000"},
                             {"latency", "5"},
                             {"links", "8"},
                             {"most", "10000"}});
  Load load;
  load.chunks = static_cast<std::uint64_t>(arguments.number("mebibytes")) * (1u << 20) /
                limits::kPushChunkBytes;
  load.rate = arguments.number("rate");
  load.latency = arguments.number("latency") / 1e3;
  const auto most = static_cast<std::size_t>(arguments.number("most"));
  Report report("push_scaling");
  report.note("mebibytes", arguments.number("mebibytes"));
  report.note("rate_bytes_per_second", load.rate);
  report.note("latency_ms", arguments.number("latency"));
  report.note("links", arguments.number("links"));
  for (std::size_t takers = 10; takers <= most; takers *= 10) {
    const double before = cpuSeconds();
    const auto simulated = simulate(takers, static_cast<unsigned>(arguments.number("links")), load);
    const auto shape = peer::pushShape(takers, load.chunks);
    const double along = timeAlong(shape, takers, load);
    Json row{{"takers", takers}, {"file_s", rounded(load.fileTime())}};
    row["chunk_s"] = rounded(load.timeOf(1));
    row["least_s"] = rounded(load.fileTime() + load.timeOf(levels(takers)));
    row["shape"] = shape == PushShape::chain ? "chain" : "stripes";
    row["shape_s"] = rounded(along);
    row["simulated_s"] = rounded(simulated.verified);
    row["known_s"] = rounded(simulated.known);
    row["cpu_s"] = rounded(cpuSeconds() - before);
    row["peak_gib"] = rounded(static_cast<double>(used().ru_maxrss) / (1 << 20));
    report.row(std::move(row));
    report.atMost(fmt::format("{} takers: of the formula's time", takers),
                  simulated.verified / along, 1.25);
  }
  report.print();
}
