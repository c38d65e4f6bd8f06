#include "common/wire/cluster_codec.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "cluster.pb.h"
#include "common/base/limits.h"
#include "common/wire/cluster_directory_codec.h"
#include "common/wire/contact_codec.h"
#include "common/wire/field_bytes.h"

namespace espalier::wire {
namespace {

// --- that everything fits

constexpr std::uint64_t kStartedLast = (1ull << 53) - 1;
constexpr std::size_t kHeardMost = limits::kMetaservers - 1;

constexpr std::size_t kStateMost =
    fieldBytes(limits::kPeerIdBytes) + numberBytes(0xffff) + fieldBytes(limits::kHostBytes) +
    numberBytes(0xffff) + numberBytes(kStartedLast) + numberBytes(limits::kServerPriority) +
    numberBytes(limits::kMembers) + 2 * numberBytes(1) + numberBytes(limits::kSequenceNumbers) +
    kEpochBytes + fieldBytes(kHeardMost * varintBytes(0xffff));
static_assert(fieldBytes(kStateMost) <= limits::kServerStateBytes);
static_assert(fieldBytes(limits::kMetaservers * fieldBytes(kStateMost)) <= limits::kFrameBytes,
              "a beat fits");
static_assert(fieldBytes(fieldBytes(kStateMost) + numberBytes(kAnyNumber)) <= limits::kFrameBytes,
              "an introduction fits");

// --- out

using NumberFields = google::protobuf::RepeatedField<std::uint32_t>;

void fill(const ServerState& state, proto::ServerState& out) {
  out.set_name(state.name.text());
  out.set_number(number(state.number));
  out.set_host(state.address.host);
  out.set_port(state.address.port);
  out.set_started_ms(static_cast<std::uint64_t>(state.started.count()));
  out.set_priority(state.priority);
  out.set_peers(state.peers);
  out.set_drains(state.drains);
  out.set_appointed(state.appointed);
  out.set_sequence(state.sequence);
  out.set_epoch_counter(state.epoch.counter);
  out.set_epoch_number(number(state.epoch.number));
  for (const ServerNumber heard : state.heard) out.add_heard(number(heard));
}

void fill(const Introduction& introduction, proto::ClusterFrame& frame) {
  auto& out = *frame.mutable_introduction();
  fill(introduction.state, *out.mutable_state());
  out.set_dial(introduction.dial);
}

void fill(const Beat& beat, proto::ClusterFrame& frame) {
  auto& out = *frame.mutable_beat();
  fill(beat.own, *out.mutable_own());
  for (const auto& state : beat.others) fill(state, *out.add_others());
}

void fill(const SnapshotPage& page, proto::ClusterFrame& frame) {
  toProto(page, *frame.mutable_page());
}

void fill(const Delta& delta, proto::ClusterFrame& frame) {
  toProto(delta, *frame.mutable_delta());
}

void fill(const Pull& pull, proto::ClusterFrame& frame) {
  toProto(pull, *frame.mutable_pull());
}

void fill(const Position& position, proto::ClusterFrame& frame) {
  toProto(position, *frame.mutable_position());
}

// --- in

Result<std::vector<ServerNumber>> readHeard(const NumberFields& in) {
  const auto count = static_cast<std::size_t>(in.size());
  if (count > kHeardMost) return malformed(fmt::format("{} metaservers that are heard", count));
  std::vector<ServerNumber> heard;
  heard.reserve(count);
  ServerNumber last = kNoServer;
  for (const std::uint32_t one : in) {
    const auto server = readServerNumber(one);
    if (!server) return server.error();
    if (*server <= last) return malformed("numbers of metaservers that do not rise");
    last = *server;
    heard.push_back(last);
  }
  return heard;
}

Result<ServerState> read(const proto::ServerState& in) {
  ServerState state;
  auto name = ServerName::parse(in.name());
  if (!name) return malformed(name.error().message);
  state.name = *std::move(name);
  const auto itsNumber = readServerNumber(in.number());
  if (!itsNumber) return itsNumber.error();
  if (*itsNumber == kNoServer) return malformed("a metaserver without a number");
  state.number = *itsNumber;
  if (!isHost(in.host())) return malformed("a metaserver without a host that could be dialled");
  if (in.port() < 1 || in.port() > 0xffff) return malformed(fmt::format("port {}", in.port()));
  state.address = {in.host(), static_cast<std::uint16_t>(in.port())};
  if (in.started_ms() > kStartedLast) return malformed("a time of start beyond all clocks");
  state.started = std::chrono::milliseconds(in.started_ms());
  if (in.priority() > limits::kServerPriority) {
    return malformed(fmt::format("priority {}", in.priority()));
  }
  state.priority = in.priority();
  if (in.peers() > limits::kMembers) return malformed(fmt::format("{} peers", in.peers()));
  state.peers = in.peers();
  state.drains = in.drains();
  state.appointed = in.appointed();
  if (in.sequence() == 0 || in.sequence() >= limits::kSequenceNumbers) {
    return malformed(fmt::format("state {} of a metaserver", in.sequence()));
  }
  state.sequence = in.sequence();
  const auto epoch = readEpoch(in.epoch_counter(), in.epoch_number());
  if (!epoch) return epoch.error();
  state.epoch = *epoch;
  auto heard = readHeard(in.heard());
  if (!heard) return heard.error();
  state.heard = *std::move(heard);
  return state;
}

Result<ClusterMessage> read(const proto::Introduction& in) {
  auto state = read(in.state());
  if (!state) return state.error();
  return ClusterMessage(Introduction{*std::move(state), in.dial()});
}

Result<ClusterMessage> read(const proto::Beat& in) {
  Beat beat;
  auto own = read(in.own());
  if (!own) return own.error();
  beat.own = *std::move(own);
  const auto count = static_cast<std::size_t>(in.others_size());
  if (count >= limits::kMetaservers) return malformed(fmt::format("a beat about {} others", count));
  std::vector<ServerNumber> numbers{beat.own.number};
  for (const auto& entry : in.others()) {
    auto state = read(entry);
    if (!state) return state.error();
    numbers.push_back(state->number);
    beat.others.push_back(*std::move(state));
  }
  if (hasRepeats(std::move(numbers))) return malformed("two states of one metaserver in a beat");
  return ClusterMessage(std::move(beat));
}

template <typename Part>
Result<ClusterMessage> readDirectory(const Part& in) {
  auto part = fromProto(in);
  if (!part) return part.error();
  return ClusterMessage(*std::move(part));
}

}  // namespace

std::string encode(const ClusterMessage& message) {
  proto::ClusterFrame frame;
  std::visit([&](const auto& part) { fill(part, frame); }, message);
  return serialized(frame);
}

Result<ClusterMessage> decodeCluster(std::string_view payload) {
  proto::ClusterFrame frame;
  if (!parse(payload, frame)) return malformed("no message between metaservers");
  // A list of one number may be written in a byte less than protobuf writes it.
  if (frame.ByteSizeLong() > limits::kFrameBytes) return malformed("it encodes to no frame again");
  switch (frame.kind_case()) {
    case proto::ClusterFrame::kIntroduction:
      return read(frame.introduction());
    case proto::ClusterFrame::kBeat:
      return read(frame.beat());
    case proto::ClusterFrame::kPage:
      return readDirectory(frame.page());
    case proto::ClusterFrame::kDelta:
      return readDirectory(frame.delta());
    case proto::ClusterFrame::kPull:
      return readDirectory(frame.pull());
    case proto::ClusterFrame::kPosition:
      return readDirectory(frame.position());
    case proto::ClusterFrame::KIND_NOT_SET:
      break;
  }
  return malformed("of no kind that this version knows");
}

}  // namespace espalier::wire
