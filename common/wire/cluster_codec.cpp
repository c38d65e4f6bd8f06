#include "common/wire/cluster_codec.h"

#include <fmt/format.h>
#include <google/protobuf/arena.h>

#include <algorithm>
#include <array>
#include <functional>
#include <span>
#include <utility>

#include "cluster.pb.h"
#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/wire/cluster_directory_codec.h"
#include "common/wire/cluster_sessions_codec.h"
#include "common/wire/contact_codec.h"
#include "common/wire/field_bytes.h"
#include "common/wire/rooms_codec.h"
#include "common/wire/statistics_codec.h"

namespace espalier::wire {
namespace {

// --- that everything fits

constexpr std::uint64_t kStartedLast = (1ull << 53) - 1;
constexpr std::size_t kHeardMost = limits::kMetaservers - 1;

constexpr std::size_t kStateMost =
    fieldBytes(limits::kPeerIdBytes) + numberBytes(0xffff) + fieldBytes(limits::kHostBytes) +
    numberBytes(0xffff) + numberBytes(kStartedLast) + numberBytes(limits::kServerPriority) +
    2 * numberBytes(limits::kMembers) + 2 * numberBytes(1) + numberBytes(limits::kSequenceNumbers) +
    kEpochBytes + fieldBytes(kHeardMost * varintBytes(0xffff)) + fieldBytes(NetworkId::kSizeBytes) +
    numberBytes(1) + fieldBytes(kVersionBytes) + numberBytes(0xffff) + numberBytes(1) +
    fieldBytes(limits::kServerVersionBytes) + 5;  // tags of two bytes
constexpr std::size_t kSettingMost =
    fieldBytes(limits::kSettingNameBytes) + fieldBytes(limits::kSettingValueBytes);
static_assert(fieldBytes(kStateMost) <= limits::kServerStateBytes);
static_assert(fieldBytes(limits::kMetaservers * fieldBytes(kStateMost)) <= limits::kFrameBytes,
              "a beat fits");
static_assert(fieldBytes(fieldBytes(kStateMost) + numberBytes(kAnyNumber) + fieldBytes(16) +
                         limits::kSettings * fieldBytes(kSettingMost)) <= limits::kFrameBytes,
              "an introduction fits");

// --- out

using SettingFields = google::protobuf::RepeatedPtrField<proto::Setting>;
using NumberFields = google::protobuf::RepeatedField<std::uint32_t>;

void fill(const ServerState& state, proto::ServerState& out) {
  out.set_name(state.name.text());
  out.set_number(number(state.number));
  out.set_host(state.address.host);
  out.set_port(state.address.port);
  out.set_started_ms(static_cast<std::uint64_t>(state.started.count()));
  out.set_priority(state.priority);
  out.set_peers(state.peers);
  out.set_room(state.room);
  out.set_is_deciding(state.isDeciding);
  out.set_drains(state.drains);
  out.set_appointed(state.appointed);
  out.set_sequence(state.sequence);
  out.set_epoch_counter(state.epoch.counter);
  out.set_epoch_number(number(state.epoch.number));
  for (const ServerNumber heard : state.heard) out.add_heard(number(heard));
  if (!state.network.isZero()) out.mutable_network()->assign(state.network.view());
  out.set_is_founded(state.isFounded);
  if (state.have != DirectoryVersion()) toProto(state.have, *out.mutable_have());
  out.set_server_port(state.serverPort);
  out.set_version(state.version);
}

std::string_view viewOf(std::span<const std::uint8_t> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void fill(const Introduction& introduction, proto::ClusterFrame& frame) {
  auto& out = *frame.mutable_introduction();
  fill(introduction.state, *out.mutable_state());
  out.set_dial(introduction.dial);
  out.mutable_nonce()->assign(viewOf(introduction.nonce));
  for (const auto& setting : introduction.settings) {
    auto& added = *out.add_settings();
    added.set_name(setting.name);
    added.set_value(setting.value);
  }
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

void fill(const Proof& proof, proto::ClusterFrame& frame) {
  frame.mutable_proof()->mutable_mac()->assign(viewOf(proof.mac));
}

// A version of zeros is absent, as in a message that was decoded to it.
void fill(const Handover& handover, proto::ClusterFrame& frame) {
  auto& out = *frame.mutable_handover();
  if (handover.last != DirectoryVersion()) toProto(handover.last, *out.mutable_last());
}

void fill(const Appoint&, proto::ClusterFrame& frame) {
  frame.mutable_appoint();
}

void fill(const Have& have, proto::ClusterFrame& frame) {
  auto& out = *frame.mutable_have();
  if (have.version != DirectoryVersion()) toProto(have.version, *out.mutable_version());
}

void fill(const Failure& failure, proto::ClusterFrame& frame) {
  auto& out = *frame.mutable_failure();
  out.set_code(static_cast<std::uint32_t>(failure.code));
  out.set_message(std::string(cutUtf8(failure.message, limits::kMessageBytes)));
}

void fill(const SessionRequests& batch, proto::ClusterFrame& frame) {
  toProto(batch, *frame.mutable_session_requests());
}

void fill(const SessionAnswers& batch, proto::ClusterFrame& frame) {
  toProto(batch, *frame.mutable_session_answers());
}

void fill(const StatisticsRequest& request, proto::ClusterFrame& frame) {
  toProto(request, *frame.mutable_statistics_request());
}

void fill(const Statistics& statistics, proto::ClusterFrame& frame) {
  toProto(statistics, *frame.mutable_statistics());
}

void fill(const RoomServerMessage& message, proto::ClusterFrame& frame) {
  toProto(message, *frame.mutable_rooms());
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
  if (in.room() > limits::kMembers) return malformed(fmt::format("room for {} peers", in.room()));
  state.room = in.room();
  state.isDeciding = in.is_deciding();
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
  if (!in.network().empty()) {
    const auto network = NetworkId::fromRaw(in.network());
    if (!network) return malformed("a network of the wrong length");
    state.network = *network;
  }
  state.isFounded = in.is_founded();
  const auto have = fromProto(in.have());
  if (!have) return have.error();
  state.have = *have;
  if (in.server_port() > 0xffff) return malformed(fmt::format("port {}", in.server_port()));
  state.serverPort = static_cast<std::uint16_t>(in.server_port());
  if (!isVersion(in.version())) return malformed("a version that cannot be shown");
  state.version = in.version();
  return state;
}

template <std::size_t N>
bool readBytes(const std::string& in, std::array<std::uint8_t, N>& out) {
  if (in.size() != N) return false;
  std::copy(in.begin(), in.end(), reinterpret_cast<char*>(out.data()));
  return true;
}

Result<std::vector<Setting>> readSettings(const SettingFields& in) {
  const auto count = static_cast<std::size_t>(in.size());
  if (count > limits::kSettings) return malformed(fmt::format("{} settings", count));
  std::vector<Setting> settings;
  std::vector<std::string_view> names;
  for (const auto& entry : in) {
    if (entry.name().empty() || entry.name().size() > limits::kSettingNameBytes ||
        entry.value().size() > limits::kSettingValueBytes) {
      return malformed("a setting without a name, or one that is too long");
    }
    settings.push_back({entry.name(), entry.value()});
    names.push_back(entry.name());
  }
  if (hasRepeats(std::move(names))) return malformed("one setting twice");
  return settings;
}

Result<ClusterMessage> read(const proto::Introduction& in) {
  Introduction introduction;
  auto state = read(in.state());
  if (!state) return state.error();
  introduction.state = *std::move(state);
  introduction.dial = in.dial();
  if (!readBytes(in.nonce(), introduction.nonce)) return malformed("a nonce of the wrong length");
  auto settings = readSettings(in.settings());
  if (!settings) return settings.error();
  introduction.settings = *std::move(settings);
  return ClusterMessage(std::move(introduction));
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

Result<ClusterMessage> read(const proto::Proof& in) {
  Proof proof;
  if (!readBytes(in.mac(), proof.mac)) return malformed("a proof of the wrong length");
  return ClusterMessage(proof);
}

Result<ClusterMessage> read(const proto::Handover& in) {
  const auto last = fromProto(in.last());
  if (!last) return last.error();
  return ClusterMessage(Handover{*last});
}

Result<ClusterMessage> read(const proto::Have& in) {
  const auto version = fromProto(in.version());
  if (!version) return version.error();
  return ClusterMessage(Have{*version});
}

// Of the directory, of sessions, of statistics, and of rooms.
template <typename Part>
Result<ClusterMessage> readPart(const Part& in) {
  auto part = fromProto(in);
  if (!part) return part.error();
  return ClusterMessage(*std::move(part));
}

Result<ClusterMessage> readMessage(const proto::ClusterFrame& frame) {
  switch (frame.kind_case()) {
    case proto::ClusterFrame::kIntroduction:
      return read(frame.introduction());
    case proto::ClusterFrame::kBeat:
      return read(frame.beat());
    case proto::ClusterFrame::kPage:
      return readPart(frame.page());
    case proto::ClusterFrame::kDelta:
      return readPart(frame.delta());
    case proto::ClusterFrame::kPull:
      return readPart(frame.pull());
    case proto::ClusterFrame::kPosition:
      return readPart(frame.position());
    case proto::ClusterFrame::kProof:
      return read(frame.proof());
    case proto::ClusterFrame::kHandover:
      return read(frame.handover());
    case proto::ClusterFrame::kAppoint:
      return ClusterMessage(Appoint());
    case proto::ClusterFrame::kHave:
      return read(frame.have());
    case proto::ClusterFrame::kSessionRequests:
      return readPart(frame.session_requests());
    case proto::ClusterFrame::kSessionAnswers:
      return readPart(frame.session_answers());
    case proto::ClusterFrame::kStatisticsRequest:
      return readPart(frame.statistics_request());
    case proto::ClusterFrame::kStatistics:
      return readPart(frame.statistics());
    case proto::ClusterFrame::kRooms:
      return readPart(frame.rooms());
    case proto::ClusterFrame::kFailure:
      return ClusterMessage(
          Failure{errorCodeFromWire(frame.failure().code()),
                  std::string(cutUtf8(frame.failure().message(), limits::kMessageBytes))});
    case proto::ClusterFrame::KIND_NOT_SET:
      break;
  }
  return malformed("of no kind that this version knows");
}

bool isAboutConnection(const ClusterMessage& message) {
  return std::holds_alternative<Introduction>(message) || std::holds_alternative<Beat>(message) ||
         std::holds_alternative<Proof>(message) || std::holds_alternative<Failure>(message);
}

}  // namespace

std::string encode(const ClusterMessage& message, const std::optional<Route>& route) {
  // A batch has thousands of parts: they are freed at once.
  google::protobuf::Arena arena;
  auto& frame = *google::protobuf::Arena::CreateMessage<proto::ClusterFrame>(&arena);
  if (route) toProto(*route, *frame.mutable_route());
  std::visit([&](const auto& part) { fill(part, frame); }, message);
  return serialized(frame);
}

std::string encode(const ClusterFrame& frame) {
  return encode(frame.message, frame.route);
}

Result<ClusterFrame> decodeCluster(std::string_view payload) {
  google::protobuf::Arena arena;
  auto& frame = *google::protobuf::Arena::CreateMessage<proto::ClusterFrame>(&arena);
  if (!parse(payload, frame)) return malformed("no message between metaservers");
  // A list of one number may be written in a byte less than protobuf writes it, and a position that
  // is zero may be absent.
  const std::size_t more = frame.has_rooms() ? zeroPositionBytes(frame.rooms()) : 0;
  if (frame.ByteSizeLong() + more > limits::kFrameBytes) {
    return malformed("it encodes to no frame again");
  }
  auto message = readMessage(frame);
  if (!message) return message.error();
  if (!frame.has_route()) return ClusterFrame{std::nullopt, *std::move(message)};
  if (isAboutConnection(*message)) return malformed("about a connection, and by way of another");
  const auto route = fromProto(frame.route());
  if (!route) return route.error();
  return ClusterFrame{*route, *std::move(message)};
}

}  // namespace espalier::wire
