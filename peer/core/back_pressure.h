// Decides which links a peer reads while the send queue of a link is full.
//
//             the first queue fills                       all have drained,
//   flowing ------------------------> slowed              or kSlowed is over
//      ^                                |
//      +--------------------------------+
//
// While it is slowed, a peer reads only the full link, because messages of other links would be
// relayed to the full one. A pause ends after kSlowed, so two peers never wait for each other. Then
// the core counts hits for the full link instead of sending them (Searches::congested). The next
// pause begins only after all queues have drained.
//
// Owned by Executor (executor.h). Does no I/O, not thread-safe. A call costs O(log n) for n full
// queues.
#pragma once

#include <set>

#include "common/base/clock.h"
#include "common/base/ids.h"

namespace espalier::peer {

class BackPressure {
 public:
  bool isFull(ConnectionId connection) const { return full_.contains(connection); }
  // The queue of the connection is full. True: the other links are not to be read.
  [[nodiscard]] bool fill(ConnectionId connection, TimePoint now);
  // The queue is short again. True: all links are to be read again.
  [[nodiscard]] bool drain(ConnectionId connection);
  // The connection and its queue are gone.
  void forget(ConnectionId connection) { full_.erase(connection); }
  // True: the pause is over, and all links are to be read again.
  [[nodiscard]] bool resumeIsDue(TimePoint now);
  TimePoint deadline() const { return slowedUntil_; }

 private:
  std::set<ConnectionId> full_;
  TimePoint slowedUntil_ = kNever;
};

}  // namespace espalier::peer
