#include "metaserver/core/waiting_joiners.h"

#include <algorithm>

#include "common/base/limits.h"

namespace espalier::metaserver {

bool WaitingJoiners::add(ConnectionId connection, const wire::Join& join) {
  const auto waiting = joins_.find(connection);
  if (waiting == joins_.end()) {
    if (joins_.size() >= limits::kConnections) return false;
    queue_.push_back(connection);
    joins_.emplace(connection, join);
  } else {
    byId_.erase(waiting->second.id);
    waiting->second = join;
  }
  byId_[join.id] = connection;
  return true;
}

void WaitingJoiners::remove(ConnectionId connection) {
  const auto waiting = joins_.find(connection);
  if (waiting == joins_.end()) return;
  byId_.erase(waiting->second.id);
  joins_.erase(waiting);
}

void WaitingJoiners::listenersFirst() {
  std::stable_partition(queue_.begin(), queue_.end(), [&](ConnectionId connection) {
    const auto waiting = joins_.find(connection);
    return waiting != joins_.end() && waiting->second.listen.port != 0;
  });
}

std::optional<std::pair<ConnectionId, wire::Join>> WaitingJoiners::takeFirst() {
  while (!queue_.empty()) {
    const ConnectionId connection = queue_.front();
    queue_.pop_front();
    const auto waiting = joins_.find(connection);
    if (waiting == joins_.end()) continue;
    std::pair first{connection, std::move(waiting->second)};
    byId_.erase(first.second.id);
    joins_.erase(waiting);
    return first;
  }
  return std::nullopt;
}

std::optional<ConnectionId> WaitingJoiners::connectionOf(const PeerId& id) const {
  const auto found = byId_.find(id);
  return found == byId_.end() ? std::nullopt : std::optional(found->second);
}

std::optional<wire::Join> WaitingJoiners::joinOf(ConnectionId connection) const {
  const auto join = joins_.find(connection);
  if (join == joins_.end()) return std::nullopt;
  return join->second;
}

}  // namespace espalier::metaserver
