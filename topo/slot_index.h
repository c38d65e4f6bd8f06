// The peers that have a free slot, ordered by the root of their component, then by depth, then by
// order of joining. So shallowest() is the slot that the placement `shallowest` gives.
//
// The figure it is for: at most 2 µs to attach a newcomer to a network of a million peers
// (bench/attach). A search from the root would visit every full peer above the slot.
//
// A lone root is not in it: it is the only slot of its component, and most newcomers are lone roots
// only for a moment. All operations are O(log n), size() is O(1). Owned by Forest. Not thread-safe.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <set>

#include "topo/node_index.h"

namespace espalier::topo {

class SlotIndex {
 public:
  struct Slot {
    NodeIndex root;
    std::uint32_t depth;
    JoinOrder order;
    NodeIndex node;
    auto operator<=>(const Slot&) const = default;
  };

  void insert(const Slot& slot) { slots_.insert(slot); }
  void erase(const Slot& slot) { slots_.erase(slot); }
  bool contains(const Slot& slot) const { return slots_.contains(slot); }
  std::size_t size() const { return slots_.size(); }

  // Of the component of that root.
  std::optional<NodeIndex> shallowest(NodeIndex root) const {
    const auto first = slots_.lower_bound({root, 0, kNoOrder, NodeIndex{0}});
    if (first == slots_.end() || first->root != root) return std::nullopt;
    return first->node;
  }

 private:
  std::set<Slot> slots_;
};

}  // namespace espalier::topo
