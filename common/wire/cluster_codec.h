// The messages between two metaservers (cluster.h, cluster_directory.h) as the payload of a frame,
// and back.
//
// decodeCluster() is the only place that checks the form: names, hosts, ports, numbers, epochs,
// counts, and lists that rise or have each entry once. Whatever it returns keeps the limits that
// the comments of the structs name. A message that fails, or is of a kind that this version does
// not know, is an error of code `protocol`, safe to print. Unknown fields are skipped. The cores
// check whether a message makes sense: that a state is its sender's, that rows fit a directory.
//
// encode() needs values within limits.h; its result is within limits::kFrameBytes. The master cuts
// deltas and pages (cluster_directory.h). What was decoded encodes to a frame again. Stateless;
// O(n log n) in the size. To be called by the shell of a metaserver.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include "common/base/result.h"
#include "common/wire/cluster.h"
#include "common/wire/cluster_directory.h"

namespace espalier::wire {

using ClusterMessage = std::variant<Introduction, Beat, SnapshotPage, Delta, Pull, Position>;

std::string encode(const ClusterMessage& message);
Result<ClusterMessage> decodeCluster(std::string_view payload);

}  // namespace espalier::wire
