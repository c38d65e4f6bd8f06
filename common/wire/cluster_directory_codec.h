// Messages of the directory (cluster_directory.h) as protobuf and back, for cluster_codec.cpp, the
// header of which says what decoding checks. A message that fails is an error of code `protocol`.
// Also what all codecs of messages between metaservers use. Stateless; thread-safe.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/base/limits.h"
#include "common/base/result.h"
#include "common/wire/cluster.h"
#include "common/wire/cluster_directory.h"
#include "common/wire/field_bytes.h"

namespace espalier::proto {
class Delta;
class DirectoryVersion;
class Position;
class Pull;
class Route;
class SnapshotPage;
}  // namespace espalier::proto

namespace espalier::wire {

void toProto(const DirectoryVersion& version, proto::DirectoryVersion& out);
void toProto(const SnapshotPage& page, proto::SnapshotPage& out);
void toProto(const Delta& delta, proto::Delta& out);
void toProto(const Pull& pull, proto::Pull& out);
void toProto(const Position& position, proto::Position& out);
Result<DirectoryVersion> fromProto(const proto::DirectoryVersion& in);
Result<SnapshotPage> fromProto(const proto::SnapshotPage& in);
Result<Delta> fromProto(const proto::Delta& in);
Result<Pull> fromProto(const proto::Pull& in);
Result<Position> fromProto(const proto::Position& in);

// kNoServer, too.
Result<ServerNumber> readServerNumber(std::uint32_t in);
Result<Epoch> readEpoch(std::uint32_t counter, std::uint32_t number);
inline constexpr std::size_t kEpochBytes =
    numberBytes(limits::kEpochCounter) + numberBytes(0xffff);  // at most
inline constexpr std::size_t kVersionBytes = kEpochBytes + numberBytes(limits::kSequenceNumbers);

void toProto(const Route& route, proto::Route& out);
Result<Route> fromProto(const proto::Route& in);
inline constexpr std::size_t kRouteBytes =  // of the field in a frame, at most
    fieldBytes(2 * numberBytes(0xffff) + numberBytes(limits::kMetaservers));

template <typename T>
bool hasRepeats(std::vector<T> values) {
  std::sort(values.begin(), values.end());
  return std::adjacent_find(values.begin(), values.end()) != values.end();
}

}  // namespace espalier::wire
