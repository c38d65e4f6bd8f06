// What Coordinator (coordinator.h) remembers from one event to the next, beside its parts that have
// headers of their own. Plain values.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/wire/cluster.h"
#include "metaserver/core/cluster/replica.h"
#include "metaserver/core/effects.h"

namespace espalier::metaserver::cluster {

// An admission, and what follows it on that connection, until another metaserver has it.
struct Held {
  Send send;
  std::optional<std::uint64_t> sequence;  // of the publication; none: not published yet
};

// A frozen master's directory, to be taken over.
struct Taking {
  static constexpr auto kPatience = std::chrono::seconds(5);  // without progress it is given up
  ServerNumber from{};
  wire::DirectoryVersion last;
  TimePoint until;
  std::unique_ptr<Replica> copy;  // of another side; null: the replica has it
};

// The metaservers of this side, as they are seen now.
struct View {
  std::vector<wire::ServerState> states;  // this one first, then those that are reached
  std::vector<wire::ServerState> deciding;
  Epoch highest;
};

}  // namespace espalier::metaserver::cluster
