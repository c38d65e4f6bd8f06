// A set of join orders: the peers that have answered a search. A union counts no peer twice. So
// "searched N of M" stays true when an answer is received twice, which happens after a link is
// replaced, and if a peer lies.
//
// Invariants: ranges ascend, and neither touch nor overlap; 1 <= first <= last <=
// limits::kJoinOrder; at most limits::kCoverageRangesKept ranges. A range that would break the last
// two is ignored. So an implausible claim is lost, and at worst honest ones together with it.
//
// Part of SearchKnowledge and SearchBranch. A value, not thread-safe. add(), minus(), lowest() and
// remove() cost O(ranges).
#pragma once

#include <cstdint>
#include <vector>

#include "common/base/ids.h"
#include "common/wire/search.h"

namespace espalier::peer {

class Coverage {
 public:
  // Each returns the number of orders that were not in the set before.
  std::uint64_t add(JoinOrder order);
  std::uint64_t add(const wire::OrderRange& range);
  std::uint64_t add(const Coverage& other);

  bool contains(JoinOrder order) const { return find(order) != ranges_.end(); }
  std::uint64_t size() const { return size_; }
  // The number of orders that are `most` or less.
  std::uint64_t sizeUpTo(JoinOrder most) const;
  // The number of orders that are in `other`, too.
  std::uint64_t sizeWithin(const Coverage& other) const;
  // The number of orders that are not in `known`, but for those that may have been given after
  // `newest`: above it, in its prefix.
  std::uint64_t sizeBeyond(const Coverage& known, JoinOrder newest) const;
  bool empty() const { return ranges_.empty(); }
  void clear();

  // The orders that are in this set and not in `other`.
  Coverage minus(const Coverage& other) const;
  // The `count` lowest orders.
  Coverage lowest(std::uint64_t count) const;
  void remove(JoinOrder order);

  const std::vector<wire::OrderRange>& ranges() const { return ranges_; }

  // Whether a range can consist of join orders.
  static bool isPlausible(const wire::OrderRange& range);

  bool operator==(const Coverage& other) const { return ranges_ == other.ranges_; }

 private:
  using Ranges = std::vector<wire::OrderRange>;

  Ranges::const_iterator find(JoinOrder order) const;

  Ranges ranges_;
  std::uint64_t size_ = 0;
};

}  // namespace espalier::peer
