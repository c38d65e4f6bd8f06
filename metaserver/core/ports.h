// Which ports are taken on which host, and which one is assigned next: they count up from the
// first, wrap around, and skip those that are taken on the peer's host.
//
// Kept by port, because on most ports one peer listens, on whatever host. Two peers may have one
// endpoint for a moment: where a peer came back to a port that was assigned meanwhile, until the
// other one finds it taken.
//
// Does no I/O. Not thread-safe. O(peers on a port) a call, and O(ports) where most are taken.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "topo/forest.h"

namespace espalier::metaserver {

class Ports {
 public:
  using Node = topo::NodeIndex;

  // The endpoints of members stand in `tree`.
  Ports(const topo::Forest& tree, std::uint16_t first) : tree_(tree), first_(first), next_(first) {}

  // The next free one; empty if all are taken on that host.
  std::optional<std::uint16_t> next(const std::string& host);
  // The member, which is in the tree, has the port of its endpoint; and has it no longer.
  void take(Node node);
  void release(Node node);
  bool isTaken(const std::string& host, std::uint16_t port) const;
  bool hasTaken(Node node) const;

 private:
  const topo::Forest& tree_;
  const std::uint16_t first_;
  std::uint16_t next_;
  std::vector<std::vector<Node>> takers_;  // by port
};

}  // namespace espalier::metaserver
