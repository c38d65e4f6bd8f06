// The ids of members, by their orders: 16 to 32 bytes a member, where a map of ids takes 80.
//
// Whoever puts an id keeps it where it is until its order is removed. Orders rise, so a newcomer's
// is the last one: then put() is O(1) on average, otherwise it moves the entries behind it. find()
// and remove() are O(log n). Does no I/O. Not thread-safe.
#pragma once

#include <algorithm>
#include <cstddef>
#include <vector>

#include "common/base/ids.h"

namespace espalier::metaserver::cluster {

class OrderIds {
 public:
  const PeerId* find(JoinOrder order) const {
    const auto at = std::lower_bound(entries_.begin(), entries_.end(), order, isBefore);
    return at == entries_.end() || at->order != order ? nullptr : at->id;
  }

  void put(JoinOrder order, const PeerId& id) {
    const auto at = std::lower_bound(entries_.begin(), entries_.end(), order, isBefore);
    if (at == entries_.end() || at->order != order) {
      entries_.insert(at, Entry{order, &id});
      return;
    }
    if (at->id == nullptr) --removed_;
    at->id = &id;
  }

  void remove(JoinOrder order) {
    const auto at = std::lower_bound(entries_.begin(), entries_.end(), order, isBefore);
    if (at == entries_.end() || at->order != order || at->id == nullptr) return;
    at->id = nullptr;
    if (++removed_ <= entries_.size() / 2) return;
    std::erase_if(entries_, [](const Entry& entry) { return entry.id == nullptr; });
    removed_ = 0;
  }

  void clear() {
    entries_.clear();
    removed_ = 0;
  }

 private:
  struct Entry {
    JoinOrder order = kNoOrder;
    const PeerId* id = nullptr;  // null: removed
  };
  static bool isBefore(const Entry& entry, JoinOrder order) { return entry.order < order; }

  std::vector<Entry> entries_;  // by order
  std::size_t removed_ = 0;     // of them
};

}  // namespace espalier::metaserver::cluster
