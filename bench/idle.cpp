// What an idle peer costs: five real peers in a network, each of which shares a few small files.
//
//   bench/idle [--seconds 60] [--peers 5] [--settle 5]
//
// Measured: anonymous memory from /proc/PID/smaps_rollup at the end, and the processor time of all
// threads over `seconds`, which begin `settle` seconds after the network is complete. Both include
// heartbeats to and from the metaserver and the neighbours. The last row is the metaserver.
#include <unistd.h>

#include <thread>

#include "bench/processes.h"

using namespace espalier;
using namespace espalier::bench;

int main(int argc, char** argv) {
  const Arguments arguments(argc, argv, {{"seconds", "60"}, {"peers", "5"}, {"settle", "5"}});
  const double seconds = arguments.number("seconds");
  Report report("idle");
  report.note("seconds", seconds);
  const Network network(arguments.number("peers"), 2);
  std::this_thread::sleep_for(std::chrono::seconds(arguments.number("settle")));

  std::vector<std::pair<std::string, const Process*>> all;
  for (std::size_t i = 0; i < network.peers().size(); ++i) {
    all.emplace_back(fmt::format("p{}", i + 1), &network.peers()[i]);
  }
  all.emplace_back("metaserver", &network.metaserver().process);
  std::vector<double> before;
  for (const auto& [name, process] : all) before.push_back(process->cpuSeconds());
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  std::vector<double> cpu;
  std::vector<double> memory;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& [name, process] = all[i];
    const double percent = 100 * (process->cpuSeconds() - before[i]) / seconds;
    const double mebibytes = static_cast<double>(process->anonymousBytes()) / (1 << 20);
    report.row({{"process", name},
                {"anonymous_mib", rounded(mebibytes)},
                {"cpu_percent", rounded(percent)},
                {"threads", process->threads()}});
    if (i + 1 == all.size()) break;  // the metaserver has no target of its own
    cpu.push_back(percent);
    memory.push_back(mebibytes);
  }
  report.atMost("an idle peer's anonymous memory, MiB (the largest)",
                *std::max_element(memory.begin(), memory.end()), 8);
  report.atMost("an idle peer's processor time, percent (the largest)",
                *std::max_element(cpu.begin(), cpu.end()), 0.1);
  report.note("median_anonymous_mib", rounded(median(memory)));
  report.note("median_cpu_percent", rounded(median(cpu)));
  report.print();
}
