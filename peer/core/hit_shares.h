// How many hits of one search each branch may bring: as many as the peers behind it could send, and
// of limits::kHitsPerQuery, the bound of all, half is dealt out evenly among the branches. The
// other half is for whichever comes first. So a branch that lies uses up no other branch's room.
// No I/O; O(1).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "common/base/limits.h"

namespace espalier::peer {

class HitShares {
 public:
  // `hits`: of the branch that are kept; `speakers`: peers behind it.
  bool hasRoom(std::uint64_t hits, std::uint64_t speakers, std::size_t branches) const {
    if (hits >= limits::kHitsPerPeer * speakers || kept_ >= limits::kHitsPerQuery) return false;
    return hits < dealtOut(branches) || shared_ < limits::kHitsPerQuery / 2;
  }
  // One more is kept of a branch that had `hits`.
  void count(std::uint64_t hits, std::size_t branches) {
    if (hits >= dealtOut(branches)) ++shared_;
    ++kept_;
  }

 private:
  static std::uint64_t dealtOut(std::size_t branches) {
    return limits::kHitsPerQuery / 2 / std::max<std::size_t>(branches, 1);
  }

  std::uint64_t kept_ = 0;    // of all branches
  std::uint64_t shared_ = 0;  // of them, beyond what each branch has for itself
};

}  // namespace espalier::peer
