// The least of the numbers that were told lately: within kWindow, or twice that.
//
// A value, O(1). Does no I/O, not thread-safe.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <limits>

#include "common/base/clock.h"

namespace espalier::peer {

class RecentLeast {
 public:
  // Tells a number, and returns the least of all that were told lately.
  std::uint64_t tell(std::uint64_t number, TimePoint now) {
    if (now >= until_) {
      before_ = current_;
      current_ = number;
      until_ = now + kWindow;
    }
    current_ = std::min(current_, number);
    return std::min(before_, current_);
  }

 private:
  static constexpr auto kWindow = std::chrono::seconds(5);

  std::uint64_t before_ = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t current_ = std::numeric_limits<std::uint64_t>::max();
  TimePoint until_ = TimePoint::min();
};

}  // namespace espalier::peer
