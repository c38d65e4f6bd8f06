// Remembers the last `most` ids that were added. Pushes and searches use it to ignore late messages
// about what is over. Adding an id to a full set removes the oldest one. A value, not thread-safe.
// O(log n) a call.
#pragma once

#include <cstddef>
#include <deque>
#include <set>

namespace espalier::peer {

template <typename Id>
class RecentIds {
 public:
  explicit RecentIds(std::size_t most) : most_(most) {}

  bool contains(const Id& id) const { return ids_.contains(id); }
  void add(const Id& id) {
    if (!ids_.insert(id).second) return;
    order_.push_back(id);
    if (order_.size() <= most_) return;
    ids_.erase(order_.front());
    order_.pop_front();
  }

 private:
  const std::size_t most_;
  std::set<Id> ids_;
  std::deque<Id> order_;  // oldest first
};

}  // namespace espalier::peer
