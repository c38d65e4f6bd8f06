// Exponential backoff: the pause between two retries doubles from `least` to `most`. Each pause is
// random within the upper half of that value, so that peers that failed together do not retry
// together. Does no I/O. Not thread-safe. Used by cores and shells.
#pragma once

#include <algorithm>
#include <chrono>

#include "common/base/clock.h"
#include "common/base/random.h"

namespace espalier {

class Backoff {
 public:
  Backoff(Duration least, Duration most) : most_(most), next_(least) {}

  Duration next(Random& random) {
    std::uniform_real_distribution<double> spread(0.5, 1);
    const auto pause = std::chrono::duration_cast<Duration>(spread(random) * next_);
    next_ = std::min<Duration>(2 * next_, most_);
    return pause;
  }

 private:
  Duration most_;
  Duration next_;
};

}  // namespace espalier
