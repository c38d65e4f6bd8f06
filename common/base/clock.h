// The types of time, and the monotonic clock. Only shells read the clock. A core gets `now` as an
// argument, so a simulation can count from zero.
#pragma once

#include <chrono>

namespace espalier {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
using Duration = Clock::duration;

inline constexpr TimePoint kNever = TimePoint::max();

}  // namespace espalier
