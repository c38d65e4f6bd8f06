// Runs seeded schedules: simulation [--first SEED] [--count N] [--peers LEAST MOST] [--trace]
// [--stop-at-first] [--kill-each | --push | --moving | --cluster | --etcd | --liars
// [--lies KIND,…]]
// [--list FILE]. --etcd is --cluster with etcd in all runs.
// Prints each seed that fails, with the command that replays it, and `cases: N passed, M failed`.
//
// Each line of a list is a run, with the same options; `#` begins a comment.
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <vector>

#include "tests/simulation/cluster_schedule.h"
#include "tests/simulation/kill_each.h"
#include "tests/simulation/liar.h"
#include "tests/simulation/liar_schedule.h"
#include "tests/simulation/push_schedule.h"
#include "tests/simulation/run_list.h"
#include "tests/simulation/schedule.h"

using namespace espalier::simulation;

namespace {

struct Run {
  Schedule schedule;
  std::uint64_t count = 100;
  bool stopAtFirst = false;
  Outcome (*play)(const Schedule&) = &run;
  const char* kind = "";
  std::string list;  // a file with runs, which replaces this run
};

struct Totals {
  std::uint64_t passed = 0;
  std::uint64_t failed = 0;
  std::uint64_t apart = 0;
};

std::optional<Run> parse(const Words& words) {
  Run run;
  for (std::size_t i = 0; i < words.size(); ++i) {
    const auto& word = words[i];
    const auto value = [&] { return i + 1 < words.size() ? words[++i] : std::string(); };
    const auto number = [&] { return std::strtoull(value().c_str(), nullptr, 10); };
    if (word == "--first") {
      run.schedule.seed = number();
    } else if (word == "--count") {
      run.count = number();
    } else if (word == "--peers") {
      run.schedule.leastPeers = number();
      run.schedule.mostPeers = number();
    } else if (word == "--trace") {
      run.schedule.trace = true;
    } else if (word == "--stop-at-first") {
      run.stopAtFirst = true;
    } else if (word == "--kill-each") {
      run.play = &killEach;
      run.kind = " --kill-each";
    } else if (word == "--cluster") {
      run.play = &runCluster;
      run.kind = " --cluster";
    } else if (word == "--etcd") {
      run.play = &runCluster;
      run.schedule.byEtcd = true;
      run.kind = " --etcd";
    } else if (word == "--push") {
      run.play = &runPushes;
      run.kind = " --push";
    } else if (word == "--liars") {
      run.play = &runLiars;
      run.kind = " --liars";
    } else if (word == "--moving") {
      run.schedule.moving = true;
      run.kind = " --moving";
    } else if (word == "--lies") {
      const auto lies = parseLies(value());
      if (!lies) return std::nullopt;
      run.schedule.only = *lies;
    } else if (word == "--list") {
      run.list = value();
    } else {
      std::fprintf(stderr, "unknown option %s\n", word.c_str());
      return std::nullopt;
    }
  }
  return run;
}

void play(Run run, const char* program, Totals& totals) {
  for (; run.count > 0 && !(run.stopAtFirst && totals.failed > 0);
       --run.count, ++run.schedule.seed) {
    const Outcome outcome = run.play(run.schedule);
    if (!outcome.failure) {
      ++totals.passed;
      if (outcome.trees > 1) ++totals.apart;
      continue;
    }
    ++totals.failed;
    const auto seed = static_cast<unsigned long long>(run.schedule.seed);
    std::printf(
        "seed %llu (%s): %s\n  replay: %s%s --first %llu --count 1 --peers %zu %zu --trace\n", seed,
        outcome.settings.c_str(), outcome.failure->c_str(), program, run.kind, seed,
        run.schedule.leastPeers, run.schedule.mostPeers);
    std::fflush(stdout);
  }
}

// False if the list has a syntax error, or no runs.
bool playList(const std::string& path, const char* program, Totals& totals) {
  const auto runs = readRuns(path);
  for (const Words& words : runs) {
    const auto run = parse(words);
    if (!run || !run->list.empty()) return false;
    play(*run, program, totals);
  }
  if (runs.empty()) std::fprintf(stderr, "no runs in %s\n", path.c_str());
  return !runs.empty();
}

}  // namespace

int main(int count, char** words) {
  const auto run = parse(Words(words + 1, words + count));
  if (!run) return 64;
  Totals totals;
  if (run->list.empty()) {
    play(*run, words[0], totals);
  } else if (!playList(run->list, words[0], totals)) {
    return 64;
  }
  std::printf("apart: %llu ended as several trees that knew nothing of each other\n",
              static_cast<unsigned long long>(totals.apart));
  std::printf("cases: %llu passed, %llu failed\n", static_cast<unsigned long long>(totals.passed),
              static_cast<unsigned long long>(totals.failed));
  return totals.failed == 0 ? 0 : 1;
}
