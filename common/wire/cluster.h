// The messages between metaservers about themselves: who is there, whom each hears, who decides.
// Plain values without protobuf, so that cores can use them. metaserver/core/cluster/mesh.h and
// coordinator.h say what they mean.
//
//   who dials                      who is dialled
//     -- Hello -->                     |           common/wire/hello.h
//     <-- Welcome --                   |
//     -- Introduction -->              |
//     <-- Introduction --              |           or a Failure, for example another secret
//     -- Proof --> <-- Proof --        |           with a secret only
//     <-- Beat, and all others -->     |
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/wire/cluster_directory.h"
#include "common/wire/registry.h"

namespace espalier::wire {

// "0.1.0": visible ASCII, at most limits::kServerVersionBytes. Empty: not known.
constexpr bool isVersion(std::string_view text) {
  if (text.size() > limits::kServerVersionBytes) return false;
  for (const char c : text) {
    if (c < '!' || c > '~') return false;
  }
  return true;
}

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
  // How many more peers it takes; 0: it is full, ends, or is an entry. At most limits::kMembers.
  std::uint32_t room = 0;
  bool drains = false;      // it passes its peers on to others and will end
  bool isDeciding = false;  // it decides for the network
  bool appointed = false;   // a user made it the master; it is that until the next vacancy
  // Rises with each state that it sends, from 1, within one run; below limits::kSequenceNumbers.
  std::uint64_t sequence = 0;
  Epoch epoch;  // the highest that it has seen; the counter is at most limits::kEpochCounter
  // The metaservers that it has heard directly within limits::kMeshSilence. Rising, each once, none
  // is kNoServer; at most limits::kMetaservers - 1.
  std::vector<ServerNumber> heard;
  NetworkId network;       // zero: it knows none yet
  bool isFounded = false;  // its network has admitted somebody
  DirectoryVersion have;   // of its copy of the directory; of the master: what it has published
  // On the host of `address`, for links between metaservers only; the port of `address` takes them,
  // too. 0: there is none.
  std::uint16_t serverPort = 0;
  std::string version;  // of its program, for users; isVersion()

  bool operator==(const ServerState&) const = default;
};

// What all metaservers of a cluster must agree on, as text: {"election", "oldest"}.
struct Setting {
  std::string name;   // 1 to limits::kSettingNameBytes
  std::string value;  // at most limits::kSettingValueBytes

  bool operator==(const Setting&) const = default;
};

// The first message of both ends of a connection between metaservers.
struct Introduction {
  ServerState state;
  std::array<std::uint8_t, 16> nonce{};  // fresh random bytes, for the other end's Proof
  std::vector<Setting> settings;         // each name once; at most limits::kSettings
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

// That its sender knows the secret of the cluster: HMAC-SHA-256 (common/crypto/cluster_proof.h).
struct Proof {
  std::array<std::uint8_t, 32> mac{};

  bool operator==(const Proof&) const = default;
};

// --- to one metaserver, maybe by way of others

// A master has stopped deciding, and lets the receiver take over. `last` is what it has published
// last.
struct Handover {
  DirectoryVersion last;

  bool operator==(const Handover&) const = default;
};

// A user made the receiver the master.
struct Appoint {
  bool operator==(const Appoint&) const = default;
};

// A follower tells the master of `version.epoch` that it has the directory of this version.
struct Have {
  DirectoryVersion version;

  bool operator==(const Have&) const = default;
};

// Of a message that is not for the other end of its connection, or not from it.
struct Route {
  ServerNumber from{};    // not kNoServer
  ServerNumber to{};      // not kNoServer
  std::uint8_t hops = 0;  // how often it may be passed on still; at most limits::kMetaservers

  bool operator==(const Route&) const = default;
};

}  // namespace espalier::wire
