// The timers of an EventLoop, its owner: at most one for each EventSource, in the order of their
// times. Not thread-safe. Cost: O(log n) a change.
#pragma once

#include <set>
#include <utility>

#include "common/base/clock.h"
#include "common/net/event_source.h"

namespace espalier::net {

class Timers {
 public:
  // Replaces the source's timer; kNever: none.
  void set(EventSource& source, TimePoint at) {
    if (source.timer_ == at) return;
    if (source.timer_ != kNever) due_.erase({source.timer_, &source});
    source.timer_ = at;
    if (at != kNever) due_.emplace(at, &source);
  }
  TimePoint next() const { return due_.empty() ? kNever : due_.begin()->first; }
  // Calls onTimer() of each source that is due, also of those that become due by these calls.
  void run(TimePoint now) {
    while (next() <= now) {
      EventSource* source = due_.begin()->second;
      set(*source, kNever);
      source->onTimer(now);
    }
  }

 private:
  std::set<std::pair<TimePoint, EventSource*>> due_;
};

}  // namespace espalier::net
