// Runs seeded schedules: simulation [--first SEED] [--count N] [--peers LEAST MOST] [--trace]
// [--stop-at-first] [--kill-each | --push] Prints each seed that fails, with the command that
// replays it, and `cases: N passed, M failed`.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "tests/simulation/kill_each.h"
#include "tests/simulation/push_schedule.h"
#include "tests/simulation/schedule.h"

using namespace espalier::simulation;

int main(int count, char** words) {
  Schedule schedule;
  std::uint64_t runs = 100;
  bool stopAtFirst = false;
  auto* play = &run;
  const char* kind = "";
  for (int i = 1; i < count; ++i) {
    const auto number = [&] { return i + 1 < count ? std::strtoull(words[++i], nullptr, 10) : 0; };
    if (std::strcmp(words[i], "--first") == 0) {
      schedule.seed = number();
    } else if (std::strcmp(words[i], "--count") == 0) {
      runs = number();
    } else if (std::strcmp(words[i], "--peers") == 0) {
      schedule.leastPeers = number();
      schedule.mostPeers = number();
    } else if (std::strcmp(words[i], "--trace") == 0) {
      schedule.trace = true;
    } else if (std::strcmp(words[i], "--stop-at-first") == 0) {
      stopAtFirst = true;
    } else if (std::strcmp(words[i], "--kill-each") == 0) {
      play = &killEach;
      kind = " --kill-each";
    } else if (std::strcmp(words[i], "--push") == 0) {
      play = &runPushes;
      kind = " --push";
    } else {
      std::fprintf(stderr, "unknown option %s\n", words[i]);
      return 64;
    }
  }
  std::uint64_t failed = 0;
  std::uint64_t passed = 0;
  std::uint64_t apart = 0;
  for (; runs > 0 && !(stopAtFirst && failed > 0); --runs, ++schedule.seed) {
    const Outcome outcome = play(schedule);
    if (!outcome.failure) {
      ++passed;
      if (outcome.trees > 1) ++apart;
      continue;
    }
    ++failed;
    const auto seed = static_cast<unsigned long long>(schedule.seed);
    std::printf(
        "seed %llu (%s): %s\n  replay: %s%s --first %llu --count 1 --peers %zu %zu --trace\n", seed,
        outcome.settings.c_str(), outcome.failure->c_str(), words[0], kind, seed,
        schedule.leastPeers, schedule.mostPeers);
    std::fflush(stdout);
  }
  std::printf("apart: %llu ended as several trees that knew nothing of each other\n",
              static_cast<unsigned long long>(apart));
  std::printf("cases: %llu passed, %llu failed\n", static_cast<unsigned long long>(passed),
              static_cast<unsigned long long>(failed));
  return failed == 0 ? 0 : 1;
}
