// The messages between metaservers about themselves: who is there, and whom each hears. Plain
// values without protobuf, so that cores can use them. metaserver/core/cluster/mesh.h says what
// they mean.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/ids.h"

namespace espalier::wire {

// A metaserver as it describes itself. Others pass its latest state on as it is.
struct ServerState {
  ServerName name;        // not empty
  ServerNumber number{};  // not kNoServer
  Endpoint address;       // where peers and metaservers dial it; isHost(), port not 0
  // Milliseconds since 1970, by its wall clock, read once at its start. From 0 to 2^53 - 1. With
  // name and number it tells one run of a metaserver from another.
  std::chrono::milliseconds started{};
  std::uint32_t priority = 0;  // at most limits::kServerPriority
  std::uint32_t peers = 0;     // its sessions; at most limits::kMembers
  bool drains = false;         // it passes its peers on to others and will end
  bool appointed = false;      // a user made it the master; it is that until the next vacancy
  // Rises with each state that it sends, from 1, within one run; below limits::kSequenceNumbers.
  std::uint64_t sequence = 0;
  Epoch epoch;  // the highest that it has seen; the counter is at most limits::kEpochCounter
  // The metaservers that it has heard directly within limits::kMeshSilence. Rising, each once, none
  // is kNoServer; at most limits::kMetaservers - 1.
  std::vector<ServerNumber> heard;

  bool operator==(const ServerState&) const = default;
};

// The first message of both ends of a connection between metaservers.
struct Introduction {
  ServerState state;
  // From who dials: counts the connections that this run has dialled, from 1. From who is dialled:
  // 0. Both ends need it to keep the same one of several connections.
  std::uint64_t dial = 0;

  bool operator==(const Introduction&) const = default;
};

// Sent every limits::kMeshBeat over every connection between metaservers, and when something has
// changed. Not answered.
struct Beat {
  ServerState own;
  std::vector<ServerState>
      others;  // at most limits::kMetaservers - 1; each number once, not that of `own`

  bool operator==(const Beat&) const = default;
};

}  // namespace espalier::wire
