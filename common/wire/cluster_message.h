// What a frame between two metaservers has; a Failure says why the connection is closed. Plain values; cluster_codec.h has their form.
#pragma once

#include <optional>
#include <variant>

#include "common/wire/cluster.h"
#include "common/wire/cluster_directory.h"
#include "common/wire/cluster_sessions.h"
#include "common/wire/hello.h"

namespace espalier::wire {

using ClusterMessage =
    std::variant<Introduction, Beat, SnapshotPage, Delta, Pull, Position, Proof, Handover, Appoint,
                 Have, SessionRequests, SessionAnswers, Failure>;

struct ClusterFrame {
  std::optional<Route> route;  // none: from one end of the connection to the other
  ClusterMessage message;
};

}  // namespace espalier::wire
