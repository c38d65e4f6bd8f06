// How often a member sends a heartbeat to the metaserver that holds its connection.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>

#include "common/base/limits.h"

namespace espalier::metaserver {

// The interval grows with the number of members, so that the load of heartbeats is bounded.
inline std::chrono::milliseconds heartbeatIntervalFor(std::size_t members) {
  constexpr std::size_t kHeartbeatsPerSecond = 5000;
  const std::chrono::milliseconds spread{members * 1000 / kHeartbeatsPerSecond};
  return std::clamp<std::chrono::milliseconds>(spread, limits::kHeartbeatInterval,
                                               limits::kMetaserverHeartbeatMost);
}

}  // namespace espalier::metaserver
