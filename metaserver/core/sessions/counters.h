// What a metaserver has counted: today, in this month, on each of the last days, and since it began
// to count. A day is a row of the table `servers`.
//
//   today --the date goes on--> an earlier day
//
// Invariants: no number ever falls while the date stays; `total` never does; the month is the sum
// of its days. A month or a day that goes on begins at 0.
//
// Bounds: limits::kStatisticsDays days; older ones are only in `total` (and on disk). Does no I/O.
// Not thread-safe. O(log days) a call; the first one of a month O(days).
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <map>
#include <vector>

#include "metaserver/core/sessions/forward_time.h"

namespace espalier::metaserver::sessions {

struct Tally {
  std::uint64_t sessions = 0;    // that have begun
  std::uint64_t approaches = 0;  // peers that have asked to be let in
  std::uint64_t lost = 0;        // of these, whom nobody could take
  std::uint64_t ratings = 0;
  std::uint64_t ratingSum = 0;  // of their scores

  Tally& operator+=(const Tally& other) {
    sessions += other.sessions;
    approaches += other.approaches;
    lost += other.lost;
    ratings += other.ratings;
    ratingSum += other.ratingSum;
    return *this;
  }
  bool operator==(const Tally&) const = default;
};

// A day as it is written: with the month and everything until its end, or until now.
struct DayRow {
  Day day{};
  Tally tally;
  std::uint64_t monthSessions = 0;
  Tally total;

  bool operator==(const DayRow&) const = default;
};

class Counters {
 public:
  struct Stored {
    Tally total;
    std::map<Day, Tally> days;  // limits::kStatisticsDays at most
  };

  Counters(Stored stored, Day today);

  // Not before the day that it is. True: a new day has begun.
  bool goTo(Day day);
  void count(const Tally& more);

  Day day() const { return day_; }
  DayRow row() const { return {day_, today(), month_, total_}; }
  const Tally& today() const { return days_.rbegin()->second; }
  std::uint64_t monthSessions() const { return month_; }
  const Tally& total() const { return total_; }
  const std::map<Day, Tally>& days() const { return days_; }

 private:
  void startDay();

  Day day_;
  Tally total_;
  std::map<Day, Tally> days_;  // the last one is today
  std::uint64_t month_ = 0;    // sessions of this month
};

}  // namespace espalier::metaserver::sessions
