// The messages between two metaservers (cluster.h, cluster_directory.h) as the payload of a frame,
// and back.
//
// decodeCluster() is the only place that checks the form: names, hosts, ports, numbers, epochs,
// counts, and lists that rise or have each entry once. Whatever it returns keeps the limits that
// the comments of the structs name. A message that fails, or is of a kind that this version does
// not know, is an error of code `protocol`, safe to print. Unknown fields are skipped. Settings may
// contain any bytes: escape them before printing. The cores check whether a message makes sense:
// that a state is its sender's, that rows fit a directory.
//
// encode() needs values within limits.h; its result is within limits::kFrameBytes. The master cuts
// deltas and pages (cluster_directory.h); encodeBatches() cuts batches about sessions. What was
// decoded encodes to a frame again, with its own route. Stateless; O(n log n) in the size. To be
// called by the shell of a metaserver.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/wire/cluster_message.h"

namespace espalier::wire {

std::string encode(const ClusterMessage& message, const std::optional<Route>& route = std::nullopt);
std::string encode(const ClusterFrame& frame);
Result<ClusterFrame> decodeCluster(std::string_view payload);

// A batch of any size as frames of at most limits::kFrameBytes and limits::kSessionBatch messages,
// to be sent in this order. Each has the sequence of its last message. One frame for an empty
// batch.
std::vector<std::string> encodeBatches(const SessionRequests& batch,
                                       const std::optional<Route>& route = std::nullopt);
std::vector<std::string> encodeBatches(const SessionAnswers& batch,
                                       const std::optional<Route>& route = std::nullopt);

}  // namespace espalier::wire
