// Bounds how many hits of one search are kept for each branch:
//   each branch     limits::kHitsPerPeer for each peer behind it
//   all branches    limits::kHitsPerQuery. Half of it is divided evenly among the branches. The
//                   other half is shared: first come, first served.
// So a branch that sends false hits cannot use up the room of another branch.
//
// Part of SearchBranches. A value, not thread-safe, O(1).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "common/base/limits.h"

namespace espalier::peer {

class HitShares {
 public:
  // Whether one more hit of a branch may be kept. `hits`: kept hits of the branch. `peers`: the
  // number of peers behind it.
  bool hasRoom(std::uint64_t hits, std::uint64_t peers, std::size_t branches) const {
    if (hits >= limits::kHitsPerPeer * peers || kept_ >= limits::kHitsPerQuery) return false;
    return hits < dealtOut(branches) || shared_ < limits::kHitsPerQuery / 2;
  }
  // One more hit is kept of a branch that had `hits` before.
  void count(std::uint64_t hits, std::size_t branches) {
    if (hits >= dealtOut(branches)) ++shared_;
    ++kept_;
  }

 private:
  static std::uint64_t dealtOut(std::size_t branches) {
    return limits::kHitsPerQuery / 2 / std::max<std::size_t>(branches, 1);
  }

  std::uint64_t kept_ = 0;    // of all branches
  std::uint64_t shared_ = 0;  // of these, hits in the shared half
};

}  // namespace espalier::peer
