// Joiners that wait for admission after a restart of the metaserver, in the order of their
// requests. A connection waits at most once, and so does an id.
//
// Does no I/O. Not thread-safe. Owned by the registry. O(log n); listenersFirst() is O(n).
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
  // False if the queue is full. A connection that waits already keeps its position.
  bool add(ConnectionId connection, const wire::Join& join);
  // The connection need not be in the queue.
  void remove(ConnectionId connection);
  // Moves joiners that name their port to the front, so that it is not assigned to another peer.
  void listenersFirst();
  // Removes and returns the first.
  std::optional<std::pair<ConnectionId, wire::Join>> takeFirst();

  bool empty() const { return queue_.empty(); }
  std::optional<ConnectionId> connectionOf(const PeerId& id) const;
  // What a connection has asked; nothing if it does not wait.
  std::optional<wire::Join> joinOf(ConnectionId connection) const;
  const InstanceKey& keyOf(ConnectionId connection) const { return joins_.at(connection).key; }

 private:
  std::deque<ConnectionId> queue_;  // removed ones are skipped
  std::map<ConnectionId, wire::Join> joins_;
  std::map<PeerId, ConnectionId> byId_;
};

}  // namespace espalier::metaserver
