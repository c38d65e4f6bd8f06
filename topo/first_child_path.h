// The path that the placement `classic` walks: from the root to its oldest child, to that peer's
// oldest child, and so on, until a peer has a free slot.
//
// The figure it is for: at most 2 µs to attach a newcomer to a network of a million peers
// (bench/attach). With two links the tree is a line, and walking it costs O(n) a newcomer.
//
// Invariants: each peer of the path is the first child of the one before; all but the last are
// full, except those at the positions in `free_`; the last has a free slot. So end() is the first
// position with a free slot. A link or unlink costs O(log n), plus the steps by which the path
// grows. Owned by Forest. Not thread-safe.
#pragma once

#include <cstdint>
#include <set>
#include <vector>

#include "topo/node_index.h"

namespace espalier::topo {

class FirstChildPath {
 public:
  bool empty() const { return path_.empty(); }

  NodeIndex end() const { return free_.empty() ? path_.back() : path_[*free_.begin()]; }
  NodeIndex last() const { return path_.back(); }
  bool contains(NodeIndex node, std::uint32_t position) const {
    return position < path_.size() && path_[position] == node;
  }

  void clear() {
    path_.clear();
    free_.clear();
  }

  // Returns the position, which the caller keeps with the node.
  std::uint32_t append(NodeIndex node) {
    path_.push_back(node);
    return static_cast<std::uint32_t>(path_.size() - 1);
  }

  void becameFull(std::uint32_t position) { free_.erase(position); }

  // The peer at `position` lost its oldest child: the path ends there.
  void lostFirstChild(std::uint32_t position) {
    path_.resize(position + 1);
    free_.erase(free_.lower_bound(position), free_.end());
  }

  // The peer at `position` lost a child that is not its oldest.
  void lostChild(std::uint32_t position) {
    if (position + 1 < path_.size()) free_.insert(position);
  }

 private:
  std::vector<NodeIndex> path_;
  std::set<std::uint32_t> free_;
};

}  // namespace espalier::topo
