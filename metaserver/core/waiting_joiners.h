// Joiners that wait to be let in after a restart of the metaserver, in the order in which they
// asked. A connection waits at most once, and so does an id.
//
// Does no I/O. Not thread-safe. O(log n), but listenersFirst(): O(n).
#pragma once

#include <deque>
#include <map>
#include <optional>
#include <utility>

#include "common/base/ids.h"
#include "common/wire/registry.h"

namespace espalier::metaserver {

class WaitingJoiners {
 public:
  // False if too many wait. A connection that waits already keeps its position.
  bool add(ConnectionId connection, const wire::Join& join);
  // It does not wait any more, or never did.
  void remove(ConnectionId connection);
  // Those that name the port on which they listen go first: else it may be given to another.
  void listenersFirst();
  // Removes and returns the first.
  std::optional<std::pair<ConnectionId, wire::Join>> takeFirst();

  bool empty() const { return queue_.empty(); }
  std::optional<ConnectionId> connectionOf(const PeerId& id) const;
  const InstanceKey& keyOf(ConnectionId connection) const { return joins_.at(connection).key; }

 private:
  std::deque<ConnectionId> queue_;  // those that were removed are passed over
  std::map<ConnectionId, wire::Join> joins_;
  std::map<PeerId, ConnectionId> byId_;
};

}  // namespace espalier::metaserver
