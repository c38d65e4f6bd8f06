#include "metaserver/core/sessions/counters.h"

#include <utility>

#include "common/base/limits.h"

namespace espalier::metaserver::sessions {

Counters::Counters(Stored stored, Day today)
    : day_(today), total_(stored.total), days_(std::move(stored.days)) {
  if (!days_.empty()) day_ = std::max(day_, days_.rbegin()->first);
  startDay();
}

void Counters::startDay() {
  days_.try_emplace(day_);
  while (days_.size() > limits::kStatisticsDays) days_.erase(days_.begin());
  month_ = 0;
  const auto month = monthOf(day_);
  for (auto day = days_.rbegin(); day != days_.rend() && monthOf(day->first) == month; ++day) {
    month_ += day->second.sessions;
  }
}

bool Counters::goTo(Day day) {
  if (day <= day_) return false;
  day_ = day;
  startDay();
  return true;
}

void Counters::count(const Tally& more) {
  days_.rbegin()->second += more;
  total_ += more;
  month_ += more.sessions;
}

}  // namespace espalier::metaserver::sessions
