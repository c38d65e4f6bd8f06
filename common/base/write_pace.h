// How long a thread that writes what has changed rests before it writes again, so that much that
// changes at once is written once, and takes little of a processor.
//
// The rest is at least 50 ms, at least four times as long as the writing took by the clock, and at
// least nineteen times its processor time: a twentieth of a core at most. It is at most 5 s,
// because a stop of the process counts as writing. Belongs to the thread that writes. O(1).
#pragma once

#include <algorithm>
#include <chrono>
#include <ctime>

#include "common/base/clock.h"

namespace espalier {

class WritePace {
 public:
  // The writing begins now.
  WritePace() : began_(Clock::now()), spent_(processorTime()) {}
  // The writing has ended now.
  Duration rest() const {
    using namespace std::chrono_literals;
    const Duration took = Clock::now() - began_;
    return std::clamp<Duration>(std::max(4 * took, 19 * (processorTime() - spent_)), 50ms, 5s);
  }

 private:
  static Duration processorTime() {
    timespec time{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec);
  }

  TimePoint began_;
  Duration spent_;
};

}  // namespace espalier
