// The wall clock as sessions and statistics count it: it never goes back, and neither do its dates.
//
//   ForwardTime time;
//   time.observe(now, wall);
//   time.now(), time.day()
//
// A clock that is set forward is followed at once. Behind one that is set back this time goes on at
// half the speed, until the clock has caught up: so what comes later has a later time. Dates are
// local. The end of daylight saving time, or another time zone, may take the local time back over
// midnight: the date stays then.
//
// No I/O: the caller reads the clocks. Not thread-safe. O(1).
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>

#include "common/base/clock.h"

namespace espalier::metaserver::sessions {

// The wall clock of a moment.
struct Wall {
  std::chrono::milliseconds since1970{};
  std::chrono::seconds offset{};  // of the local time from UTC
};

// A local date, in days since 1970-01-01.
enum class Day : std::int32_t {};

constexpr std::int32_t number(Day day) {
  return static_cast<std::int32_t>(day);
}

// The month of a day, counted from January 1970.
constexpr std::int32_t monthOf(Day day) {
  const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{number(day)}}};
  return (static_cast<int>(date.year()) - 1970) * 12 +
         static_cast<std::int32_t>(static_cast<unsigned>(date.month())) - 1;
}

class ForwardTime {
 public:
  // Neither a time nor a day before these comes.
  ForwardTime(std::chrono::milliseconds notBefore, Day dayNotBefore, TimePoint now,
              const Wall& wall)
      : time_(std::clamp<std::chrono::milliseconds>(notBefore, kFirst, kLast)),
        day_(dayNotBefore),
        last_(now) {
    observe(now, wall);
  }

  void observe(TimePoint now, const Wall& wall) {
    const auto elapsed = std::max<Duration>(now - last_, Duration::zero());
    last_ = std::max(last_, now);
    const auto shown = std::clamp<std::chrono::milliseconds>(wall.since1970, kFirst, kLast);
    time_ = std::max<std::chrono::nanoseconds>(shown,
                                               std::min<Nanoseconds>(time_ + elapsed / 2, kLast));
    const auto local = std::chrono::floor<std::chrono::days>(time_ + wall.offset);
    day_ = std::max(day_, Day{static_cast<std::int32_t>(local.count())});
  }

  std::chrono::milliseconds now() const {
    return std::chrono::floor<std::chrono::milliseconds>(time_);
  }
  Day day() const { return day_; }

 private:
  using Nanoseconds = std::chrono::nanoseconds;
  static constexpr std::chrono::milliseconds kFirst{0};
  static constexpr std::chrono::milliseconds kLast{(1ll << 33) * 1000};  // 2242: fits nanoseconds

  std::chrono::nanoseconds time_;  // since 1970
  Day day_;
  TimePoint last_;
};

}  // namespace espalier::metaserver::sessions
