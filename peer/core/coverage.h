// A set of join orders: the peers that have answered a search. A union counts no peer twice, so
// "searched N of M" stays true when answers come twice, after a heal or from a peer that lies.
//
// Invariants: ranges ascend, neither touch nor overlap; 1 <= first <= last <= limits::kJoinOrder;
// at most limits::kCoverageRangesKept ranges. Claims that would break the last two are left out: a
// peer that claims nonsense loses its claims, at worst together with honest ones. A value, not
// thread-safe. add() and minus() are linear in the number of ranges.
#pragma once

#include <cstdint>
#include <vector>

#include "common/base/ids.h"
#include "common/wire/search.h"

namespace espalier::peer {

class Coverage {
 public:
  // Each returns how many orders are new.
  std::uint64_t add(JoinOrder order);
  std::uint64_t add(const wire::OrderRange& range);
  std::uint64_t add(const Coverage& other);

  bool contains(JoinOrder order) const;
  std::uint64_t size() const { return size_; }
  // How many orders are `most` or below.
  std::uint64_t sizeUpTo(JoinOrder most) const;
  bool empty() const { return ranges_.empty(); }
  void clear();

  // What is here and not in `other`.
  Coverage minus(const Coverage& other) const;

  const std::vector<wire::OrderRange>& ranges() const { return ranges_; }

  // Whether a range could be of join orders at all.
  static bool isPlausible(const wire::OrderRange& range);

  bool operator==(const Coverage& other) const { return ranges_ == other.ranges_; }

 private:
  std::vector<wire::OrderRange> ranges_;
  std::uint64_t size_ = 0;
};

}  // namespace espalier::peer
