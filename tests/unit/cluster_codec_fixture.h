// Helpers of the tests of messages between metaservers: random parts of messages, and messages that
// are changed on the wire.
#pragma once

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <rapidcheck.h>

#include <algorithm>
#include <optional>
#include <string>

#include "cluster.pb.h"
#include "common/base/text.h"
#include "common/wire/cluster_codec.h"
#include "tests/unit/wire_generators.h"

namespace espalier::test {

inline std::uint64_t someSequence(std::uint64_t least) {
  return numberOf<std::uint64_t>(least, limits::kSequenceNumbers - 1);
}

inline ServerNumber someServer(std::uint16_t least) {
  return ServerNumber{numberOf<std::uint16_t>(least, 0xffff)};
}

inline Epoch someEpoch() {
  return {numberOf<std::uint32_t>(0, limits::kEpochCounter), someServer(0)};
}

inline std::optional<wire::Route> maybeRoute() {
  if (*rc::gen::arbitrary<bool>()) return std::nullopt;
  return wire::Route{someServer(1), someServer(1),
                     numberOf<std::uint8_t>(0, static_cast<std::uint8_t>(limits::kMetaservers))};
}

inline bool isPrintable(const std::string& text) {
  return isUtf8(text) && std::none_of(text.begin(), text.end(),
                                      [](char c) { return static_cast<unsigned char>(c) < 0x20; });
}

inline bool decodes(const std::string& bytes) {
  const auto frame = wire::decodeCluster(bytes);
  if (frame) return true;
  CHECK(frame.error().code == ErrorCode::protocol);
  CHECK(isPrintable(frame.error().message));
  return false;
}

// Changes the protobuf form of a good message, and says whether it still decodes.
template <typename Change>
bool decodesWhen(const wire::ClusterMessage& message, Change change) {
  proto::ClusterFrame frame;
  REQUIRE(frame.ParseFromString(wire::encode(message)));
  REQUIRE(decodes(frame.SerializeAsString()));
  change(frame);
  return decodes(frame.SerializeAsString());
}

inline wire::DirectoryRow rowOf(std::uint64_t order) {
  wire::DirectoryRow row;
  row.contact = {*PeerId::parse(fmt::format("s{}", order)), JoinOrder{order}, {"127.0.0.1", 5003}};
  return row;
}

inline wire::DirectorySummary summaryOf(std::uint64_t sequence) {
  return {{{1, ServerNumber{7}}, sequence}, 3, JoinOrder{9}, {1, 2}};
}

// Cuts `bytes` somewhere and flips some of their bits, or does neither.
inline std::string damaged(std::string bytes) {
  if (*rc::gen::arbitrary<bool>()) {
    bytes.resize(*rc::gen::inRange<std::size_t>(0, bytes.size() + 1));
  }
  for (int i = *rc::gen::inRange(0, 4); i > 0 && !bytes.empty(); --i) {
    bytes[*rc::gen::inRange<std::size_t>(0, bytes.size())] ^=
        static_cast<char>(1 << *rc::gen::inRange(0, 8));
  }
  return bytes;
}

// Of any bytes comes an error, or a message that reads back as itself.
inline void checkDecoded(const std::string& bytes) {
  const auto frame = wire::decodeCluster(bytes);
  if (!frame) return RC_ASSERT(frame.error().code == ErrorCode::protocol);
  const auto again = wire::decodeCluster(wire::encode(*frame));
  RC_ASSERT(again.ok());
  RC_ASSERT(*again == *frame);
}

}  // namespace espalier::test
