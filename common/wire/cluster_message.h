// What a frame between two metaservers has. Plain values; cluster_codec.h has their form.
#pragma once

#include <optional>
#include <variant>

#include "common/wire/cluster.h"
#include "common/wire/cluster_directory.h"
#include "common/wire/cluster_sessions.h"
#include "common/wire/hello.h"
#include "common/wire/rooms.h"

namespace espalier::wire {

// A Failure says why the connection is closed.
using ClusterMessage = std::variant<Introduction, Beat, SnapshotPage, Delta, Pull, Position, Proof,
                                    Handover, Appoint, Have, SessionRequests, SessionAnswers,
                                    Failure, StatisticsRequest, Statistics, RoomServerMessage>;

// Introduction, Beat, Proof and Failure have no route: they are about the connection.
struct ClusterFrame {
  std::optional<Route> route;
  ClusterMessage message;

  bool operator==(const ClusterFrame&) const = default;
};

}  // namespace espalier::wire
