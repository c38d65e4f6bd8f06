// Which ports are taken on which host, and which port is assigned next. Assigned ports count up
// from the first one, wrap around, and skip those that are taken on the peer's host.
//
// Indexed by port, because at most ports only one peer listens. Two peers may have the same
// endpoint for a moment: if a peer came back to a port that was assigned meanwhile, until the other
// peer reports it as taken.
//
// Does no I/O. Not thread-safe. Owned by the registry. O(peers on a port) a call; next() is
// O(ports) if most are taken.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/base/limits.h"
#include "topo/forest.h"

namespace espalier::metaserver {

// Addresses of metaservers that are not there now: those that a user has named, and those of the
// last day.
inline constexpr std::size_t kExpectedServers = 2 * limits::kServerAddresses;

class Ports {
 public:
  using Node = topo::NodeIndex;

  // `tree` has the endpoints of members, and outlives this.
  Ports(const topo::Forest& tree, std::uint16_t first) : tree_(tree), first_(first), next_(first) {}

  // The metaservers of the network, also those that may come back: their ports are taken, too.
  void setMetaservers(std::vector<Endpoint> metaservers);
  // No member is assigned this one.
  void reserve(const Endpoint& endpoint) { reserved_.insert(endpoint); }
  // The next free port; empty if all are taken on that host.
  std::optional<std::uint16_t> next(const std::string& host);
  // The member, which is in the tree, takes or releases the port of its endpoint.
  void take(Node node);
  void release(Node node);
  bool isTaken(const std::string& host, std::uint16_t port) const;
  bool hasTaken(Node node) const;

 private:
  const topo::Forest& tree_;
  const std::uint16_t first_;
  std::uint16_t next_;
  std::vector<std::vector<Node>> takers_;  // by port
  std::set<Endpoint> reserved_;
  std::vector<Endpoint> metaservers_;  // by port; kExpectedServers, and two of each
};

}  // namespace espalier::metaserver
