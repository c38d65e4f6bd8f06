// Which members lost their parent and have not reported another one yet, and how long that took.
//
//   its parent was removed --> adrift --it has reported a parent, which confirms--> counted
//                                 |
//                                 +-- it is removed, or it is the root by now --> forgotten
//
// Owned by the registry. Does no I/O, not thread-safe. O(1) a call.
#pragma once

#include <cstddef>
#include <unordered_map>

#include "common/base/clock.h"
#include "common/base/histogram.h"
#include "topo/forest.h"

namespace espalier::metaserver {

class Heals {
 public:
  using Node = topo::NodeIndex;

  void orphaned(Node node, TimePoint now) { since_.try_emplace(node, now); }
  void attached(Node node, TimePoint now) {
    const auto found = since_.find(node);
    if (found == since_.end()) return;
    took_.add(now - found->second);
    since_.erase(found);
  }
  void forget(Node node) { since_.erase(node); }

  std::size_t adrift() const { return since_.size(); }
  const Histogram& took() const { return took_; }

 private:
  std::unordered_map<Node, TimePoint> since_;  // of members, so it has their bound
  Histogram took_;
};

}  // namespace espalier::metaserver
