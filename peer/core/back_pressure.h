// Which links a peer reads while the queue of one of them is full.
//
//             the first queue fills                       all have drained,
//   flowing ------------------------> slowed              or kSlowed is over
//      ^                                |
//      +--------------------------------+
//
// While it is slowed, a peer reads no link but the full one: what it reads elsewhere would be
// relayed to there. A pause ends after kSlowed, so two peers never wait for each other. After that
// the core counts hits for the full link instead of sending them (Searches::congested), and the
// next pause comes only once all queues have drained.
//
// A plain value without I/O, not thread-safe; used by Executor (executor.h) alone. A call costs
// O(log n) for n full queues.
#pragma once

#include <set>

#include "common/base/clock.h"
#include "common/base/ids.h"

namespace espalier::peer {

class BackPressure {
 public:
  bool isFull(ConnectionId connection) const { return full_.contains(connection); }
  // The queue of the connection is full. True: stop reading the other links.
  [[nodiscard]] bool fill(ConnectionId connection, TimePoint now);
  // The queue is short again. True: read all links again.
  [[nodiscard]] bool drain(ConnectionId connection);
  // The connection is gone, and its queue with it.
  void forget(ConnectionId connection) { full_.erase(connection); }
  // Whether a pause is over: then read all links again.
  [[nodiscard]] bool resumeIsDue(TimePoint now);
  TimePoint deadline() const { return slowedUntil_; }

 private:
  std::set<ConnectionId> full_;
  TimePoint slowedUntil_ = kNever;
};

}  // namespace espalier::peer
