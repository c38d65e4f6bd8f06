// Finds a peer by the hash of its id: open addressing with 8 bytes a slot, at most half full, so
// that a look-up among a million peers costs one or two cache misses. The caller keeps the ids, and
// compares the id of a node with the right hash.
//
// The figure it is for: a join in a network of 100,000 peers costs at most 1.5 times one in a
// network of 1,000 (bench/registry). std::unordered_map did not reach it. Owned by Forest. Not
// thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "topo/node_index.h"

namespace espalier::topo {

class IdIndex {
 public:
  static std::uint32_t hash(const PeerId& id) {
    const std::uint64_t full = std::hash<PeerId>()(id);
    return static_cast<std::uint32_t>(full ^ full >> 32);
  }

  // The node whose id has this hash and of which `same(node)` holds; kNoNode if there is none.
  template <typename Same>
  NodeIndex find(std::uint32_t hash, const Same& same) const {
    if (slots_.empty()) return kNoNode;
    for (std::size_t i = hash & mask();; i = (i + 1) & mask()) {
      const Slot& slot = slots_[i];
      if (slot.node == kNoNode) return kNoNode;
      if (slot.hash == hash && same(slot.node)) return slot.node;
    }
  }

  void insert(std::uint32_t hash, NodeIndex node) {
    if (2 * (size_ + 1) > slots_.size()) grow();
    place({hash, node});
    ++size_;
  }

  // The node must be in it.
  void erase(std::uint32_t hash, NodeIndex node) {
    std::size_t hole = hash & mask();
    while (slots_[hole].node != node) hole = (hole + 1) & mask();
    // Entries behind the hole move up unless that would carry them past where their search starts.
    for (std::size_t i = (hole + 1) & mask(); slots_[i].node != kNoNode; i = (i + 1) & mask()) {
      const std::size_t home = slots_[i].hash & mask();
      if (((i - home) & mask()) >= ((i - hole) & mask())) {
        slots_[hole] = slots_[i];
        hole = i;
      }
    }
    slots_[hole] = Slot();
    --size_;
  }

  std::size_t size() const { return size_; }

 private:
  struct Slot {
    std::uint32_t hash = 0;
    NodeIndex node = kNoNode;
  };

  std::size_t mask() const { return slots_.size() - 1; }

  void place(Slot slot) {
    std::size_t i = slot.hash & mask();
    while (slots_[i].node != kNoNode) i = (i + 1) & mask();
    slots_[i] = slot;
  }

  void grow() {
    std::vector<Slot> old(slots_.empty() ? 16 : 2 * slots_.size());
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.node != kNoNode) place(slot);
    }
  }

  std::vector<Slot> slots_;  // a power of two
  std::size_t size_ = 0;
};

}  // namespace espalier::topo
