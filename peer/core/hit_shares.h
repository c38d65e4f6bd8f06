// Bounds the hits of one search that are kept for each branch. A hit weighs 1, and 1 more for each
// kHitWeightBytes of its name. All branches together may have limits::kHitsPerQuery. Half
// of it is divided evenly among the branches. The other half is shared: first come, first served.
// So a branch that sends false hits cannot use up the room of another branch.
//
// Part of SearchBranches, which also bounds the number of a branch's hits. A value, not
// thread-safe, O(1).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "common/base/limits.h"

namespace espalier::peer {

class HitShares {
 public:
  static constexpr std::size_t kHitWeightBytes = 256;

  static std::uint64_t weightOf(std::size_t nameBytes) { return 1 + nameBytes / kHitWeightBytes; }
  // Whether one more hit may be kept of a branch whose hits have that weight.
  bool hasRoom(std::uint64_t weight, std::size_t branches) const {
    if (kept_ >= limits::kHitsPerQuery) return false;
    return weight < dealtOut(branches) || shared_ < limits::kHitsPerQuery / 2;
  }
  // One more hit is kept of a branch whose hits had the weight `before`.
  void count(std::uint64_t before, std::uint64_t weight, std::size_t branches) {
    if (before >= dealtOut(branches)) shared_ += weight;
    kept_ += weight;
  }

 private:
  static std::uint64_t dealtOut(std::size_t branches) {
    return limits::kHitsPerQuery / 2 / std::max<std::size_t>(branches, 1);
  }

  std::uint64_t kept_ = 0;    // the weight of all hits
  std::uint64_t shared_ = 0;  // of these, of hits in the shared half
};

}  // namespace espalier::peer
