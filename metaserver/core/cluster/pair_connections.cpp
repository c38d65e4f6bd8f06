#include "metaserver/core/cluster/pair_connections.h"

#include <algorithm>
#include <tuple>

namespace espalier::metaserver::cluster {

void PairConnections::add(ConnectionId connection, const Dial& dial, Duration now) {
  connections_.push_back({connection, dial, now});
  std::stable_sort(connections_.begin(), connections_.end(), [](const auto& a, const auto& b) {
    return std::tie(a.dial.byLower, a.dial.number) > std::tie(b.dial.byLower, b.dial.number);
  });
}

void PairConnections::remove(ConnectionId connection) {
  std::erase_if(connections_, [&](const auto& one) { return one.id == connection; });
}

void PairConnections::heard(ConnectionId connection, Duration now) {
  for (auto& one : connections_) {
    if (one.id == connection) one.heardAt = now;
  }
}

std::vector<Duration> PairConnections::heardAt() const {
  std::vector<Duration> result;
  for (const auto& one : connections_) result.push_back(one.heardAt);
  return result;
}

bool PairConnections::isHeardSince(Duration moment) const {
  return std::any_of(connections_.begin(), connections_.end(),
                     [&](const auto& one) { return one.heardAt > moment; });
}

std::vector<ConnectionId> PairConnections::takeSpare() {
  std::vector<ConnectionId> spare;
  if (connections_.empty() || !connections_.front().dial.here) return spare;
  for (std::size_t i = 1; i < connections_.size(); ++i) spare.push_back(connections_[i].id);
  connections_.resize(1);
  return spare;
}

std::vector<ConnectionId> PairConnections::takeSilent(Duration moment) {
  std::vector<ConnectionId> silent;
  for (const auto& one : connections_) {
    if (one.heardAt <= moment) silent.push_back(one.id);
  }
  std::erase_if(connections_, [&](const auto& one) { return one.heardAt <= moment; });
  return silent;
}

std::vector<ConnectionId> PairConnections::takeAll() {
  std::vector<ConnectionId> all;
  for (const auto& one : connections_) all.push_back(one.id);
  connections_.clear();
  return all;
}

}  // namespace espalier::metaserver::cluster
