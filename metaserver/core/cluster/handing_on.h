// What a coordinator remembers of peers that it hands on (coordinator_moves.cpp), and of sessions
// that may go on at another home (coordinator_sessions.cpp). Values without I/O; not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <unordered_set>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/limits.h"

namespace espalier::metaserver::cluster {

// Peers that are handed on: some at a time, within limits::kMovingSpread.
struct Moving {
  bool isToSelf = false;           // another address of this process
  std::vector<ConnectionId> left;  // that were not told yet
  std::size_t each = 1;            // how many at a time
  TimePoint nextAt;
  TimePoint endAt;  // who has not gone until then loses its connection
};
// Newcomers that were sent to a metaserver.
struct HandedOn {
  std::uint32_t known = 0;     // peers in its latest state
  std::uint32_t underWay = 0;  // that are not among them yet
  std::uint64_t until = 0;     // the sequence of a state that has all that come
};

// The sessions of this home that have ended without a goodbye, for limits::kSessionAway. O(1).
class LeftSessions {
 public:
  void add(JoinOrder order, TimePoint now) {
    expire(now);
    if (left_.size() >= limits::kMembers || !left_.insert(order).second) return;
    due_.emplace_back(now + limits::kSessionAway, order);
  }
  // It is none of them any more.
  bool take(JoinOrder order) { return left_.erase(order) > 0; }
  bool isEmpty() const { return left_.empty(); }
  // One that was taken and added again may go with its first entry: the shell looks at the
  // directory then.
  void expire(TimePoint now) {
    for (; !due_.empty() && due_.front().first <= now; due_.pop_front()) {
      left_.erase(due_.front().second);
    }
  }

 private:
  std::unordered_set<JoinOrder> left_;
  std::deque<std::pair<TimePoint, JoinOrder>> due_;
};

}  // namespace espalier::metaserver::cluster
