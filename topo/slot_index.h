// The peers of one component that have a free slot, by depth and then by order of joining: which
// is nearest the root. The depths that have any are in a heap, each with a queue of its own.
//
// Invariant after prune(): if any peer is in it, shallowest() is the first of them. Everything is
// O(log n), and O(1) amortised while a network grows.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

#include "topo/oldest_first.h"

namespace espalier::topo {

class SlotIndex {
 public:
  void insert(std::uint32_t depth, OldestFirst::Entry entry) {
    if (depth >= levels_.size()) levels_.resize(depth + 1);
    Level& level = levels_[depth];
    level.nodes.insert(entry);
    if (level.isInHeap) return;
    level.isInHeap = true;
    depths_.push_back(depth);
    std::push_heap(depths_.begin(), depths_.end(), std::greater<>());
  }

  // From here on `valid` must deny the entry of that node at that depth.
  void erase(std::uint32_t depth, NodeIndex node) { levels_[depth].nodes.erase(node); }

  // `valid(depth, entry)`: whether that peer still has its free slot there. `soon` as in
  // OldestFirst.
  template <typename Valid, typename Soon>
  void prune(const Valid& valid, const Soon& soon) {
    while (!depths_.empty()) {
      const std::uint32_t depth = depths_.front();
      Level& level = levels_[depth];
      level.nodes.prune([&](const OldestFirst::Entry& entry) { return valid(depth, entry); }, soon);
      if (level.nodes.size() > 0) return;
      level.isInHeap = false;
      std::pop_heap(depths_.begin(), depths_.end(), std::greater<>());
      depths_.pop_back();
    }
  }

  std::optional<NodeIndex> shallowest() const {
    if (depths_.empty()) return std::nullopt;
    return levels_[depths_.front()].nodes.front().node;
  }

  std::size_t size() const {
    std::size_t total = 0;
    for (const std::uint32_t depth : depths_) total += levels_[depth].nodes.size();
    return total;
  }

 private:
  struct Level {
    OldestFirst nodes;
    bool isInHeap = false;
  };

  std::vector<Level> levels_;
  std::vector<std::uint32_t> depths_;  // a heap, the least on top
};

}  // namespace espalier::topo
