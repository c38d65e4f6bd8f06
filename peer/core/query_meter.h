// How many queries a second a source sends: a neighbour, or this peer's user. The count decays with
// kLoadWindow, so a burst counts for some seconds. A value, not thread-safe, O(1).
#pragma once

#include <algorithm>
#include <bit>
#include <chrono>
#include <cstdint>

#include "common/base/clock.h"
#include "common/wire/search.h"

namespace espalier::peer {

// Tuning: a user who asks ten times in a row has a small load.
inline constexpr std::chrono::seconds kLoadWindow{4};

class QueryMeter {
 public:
  void count(TimePoint now) {
    decay(now);
    level_ += 1;
  }
  std::uint32_t perSecond(TimePoint now) {
    decay(now);
    const std::chrono::duration<double> window = kLoadWindow;
    return static_cast<std::uint32_t>(std::min<double>(level_ / window.count(), wire::kLoadMost));
  }

  // Loads of one class are served alike: each class has twice the load of the one before.
  static unsigned classOf(std::uint32_t load) {
    return static_cast<unsigned>(std::bit_width(std::min(load, wire::kLoadMost)));
  }

 private:
  void decay(TimePoint now) {
    const std::chrono::duration<double> passed = std::max(now - at_, Duration::zero());
    const std::chrono::duration<double> window = kLoadWindow;
    // In place of exp(-x), which it exceeds by at most 0.07. The function would be the only one of
    // its library that a relay touches, and a relay is bounded by the memory that it touches.
    const double x = passed.count() / window.count();
    level_ /= 1 + x + x * x / 2;
    at_ = std::max(at_, now);
  }

  double level_ = 0;
  TimePoint at_{};
};

}  // namespace espalier::peer
