// Time as every part of the program sees it. Cores never read a clock: they are handed `now`. A
// shell reads the monotonic clock; a simulation counts from zero.
#pragma once

#include <chrono>

namespace espalier {

using Clock = std::chrono::steady_clock;
using TimePoint = Clock::time_point;
using Duration = Clock::duration;

inline constexpr TimePoint kNever = TimePoint::max();

}  // namespace espalier
