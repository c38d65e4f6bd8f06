// What the coordinator remembers while it hands peers on (coordinator_moves.cpp). Plain values.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"

namespace espalier::metaserver::cluster {

// Peers that are handed on: some at a time, within some time.
struct Moving {
  bool isToSelf = false;           // another address of this process
  std::vector<ConnectionId> left;  // that were not told yet
  std::size_t each = 1;            // how many at a time
  TimePoint nextAt;
  TimePoint endAt;  // who has not gone until then loses its connection
};
// Newcomers that were sent to a metaserver.
struct HandedOn {
  std::uint32_t known = 0;     // peers in its latest state
  std::uint32_t underWay = 0;  // that are not among them yet
  std::uint64_t until = 0;     // the sequence of a state that has all that come
};

}  // namespace espalier::metaserver::cluster
