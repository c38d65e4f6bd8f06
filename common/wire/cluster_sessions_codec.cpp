#include "common/wire/cluster_sessions_codec.h"

#include <fmt/format.h>
#include <google/protobuf/arena.h>

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "cluster.pb.h"
#include "common/base/limits.h"
#include "common/wire/cluster_codec.h"
#include "common/wire/cluster_directory_codec.h"
#include "common/wire/contact_codec.h"
#include "common/wire/field_bytes.h"
#include "common/wire/registry_proto.h"
#include "common/wire/rooms_codec.h"

namespace espalier::wire {
namespace {

using Kind = SessionResumed::Kind;

// --- that a frame has room for each message

constexpr std::size_t kIdsMost = limits::kMaxLinks * fieldBytes(limits::kPeerIdBytes);
constexpr std::size_t kJoinMost =
    2 * fieldBytes(limits::kPeerIdBytes) + fieldBytes(InstanceKey::kSizeBytes) +
    fieldBytes(limits::kJoinWordBytes) + fieldBytes(limits::kHostBytes) + numberBytes(0xffff) +
    fieldBytes(NetworkId::kSizeBytes) + numberBytes(limits::kJoinOrder) + kIdsMost +
    numberBytes(limits::kStatisticsCount);
constexpr std::size_t kResumedMost = numberBytes(3) + fieldBytes(limits::kHostBytes) +
                                     fieldBytes(kJoinMost) + numberBytes(limits::kJoinOrder) +
                                     numberBytes(0xffff);
constexpr std::size_t kMemberMost = fieldBytes(limits::kPeerIdBytes) +
                                    numberBytes(limits::kJoinOrder) +
                                    fieldBytes(limits::kHostBytes) + numberBytes(0xffff);
constexpr std::size_t kAdmittedMost =
    fieldBytes(NetworkId::kSizeBytes) + fieldBytes(kMemberMost) + numberBytes(limits::kMaxLinks) +
    numberBytes(0xffff'ffff) + numberBytes(limits::kMembers) +
    numberBytes(limits::kStatisticsCount) + fieldBytes(numberBytes(3) + fieldBytes(kMemberMost)) +
    fieldBytes(limits::kHostBytes) +
    limits::kMetaserversTold * fieldBytes(fieldBytes(limits::kHostBytes) + numberBytes(0xffff));
constexpr std::size_t kStrangersMost = numberBytes(kAnyNumber) + 2 * kIdsMost;
static_assert(limits::kMessageBytes + 16 < kJoinMost && limits::kJoinWordBytes < kJoinMost &&
              limits::kRatingBytes + 32 < kJoinMost);
// RoomSaid is the largest of rooms' messages but for MemberRooms.
static_assert(limits::kRoomTextBytes + 2 * limits::kPeerIdBytes + 128 < kJoinMost);
static_assert(limits::kRoomsOfPeer * (limits::kPeerIdBytes + 16) + limits::kPeerIdBytes + 64 <
              kJoinMost);
// Links, Seek and Rate have less than a Join; Referral, Wait, WordRefused, Rated and Failure less
// than Admitted.
constexpr std::size_t kMessageMost =
    numberBytes(limits::kSessionNumber) +
    fieldBytes(fieldBytes(kResumedMost + kAdmittedMost + kStrangersMost));
constexpr std::size_t kHeadMost =
    kEpochBytes + numberBytes(kAnyNumber) + numberBytes(limits::kSequenceNumbers) + numberBytes(1);
// Of the messages in a frame, with the tag and length of each.
constexpr std::size_t kMessagesMost =
    limits::kFrameBytes - kRouteBytes - kHeadMost - kTagBytes - varintBytes(limits::kFrameBytes);
static_assert(fieldBytes(kMessageMost) <= kMessagesMost, "each message fits");

// --- out

void fill(const SessionMessage& message, proto::SessionMessage& out) {
  if (const auto* passed = std::get_if<SessionRoomPassed>(&message)) {
    return toProto(passed->message, *out.mutable_room());
  }
  out.set_session(number(*sessionOf(message)));
  if (const auto* opened = std::get_if<SessionOpened>(&message)) {
    out.mutable_opened()->set_host(opened->host);
  } else if (const auto* request = std::get_if<SessionRequest>(&message)) {
    toProto(request->request, *out.mutable_request());
  } else if (const auto* resumed = std::get_if<SessionResumed>(&message)) {
    auto& in = *out.mutable_resumed();
    in.set_kind(static_cast<std::uint32_t>(resumed->kind));
    in.set_host(resumed->host);
    toProto(resumed->join, *in.mutable_join());
    in.set_port_taken(resumed->portTaken);
  } else {
    out.mutable_ended();
  }
}

void fill(const SessionAnswer& answer, proto::SessionAnswer& out) {
  if (const auto* room = std::get_if<SessionRoomAnswer>(&answer)) {
    return toProto(room->message, *out.mutable_room());
  }
  out.set_session(number(*sessionOf(answer)));
  if (const auto* reply = std::get_if<SessionReply>(&answer)) {
    toProto(reply->reply, *out.mutable_reply());
  } else if (const auto* reading = std::get_if<SessionReading>(&answer)) {
    out.mutable_reading()->set_goes_on(reading->goesOn);
  } else {
    out.mutable_closed();
  }
}

template <typename Batch, typename Out>
void fillHead(const Batch& batch, Out& out) {
  out.set_epoch_counter(batch.epoch.counter);
  out.set_epoch_number(number(batch.epoch.number));
  out.set_stream(batch.stream);
  out.set_sequence(batch.sequence);
}

void fillHead(const SessionAnswers& batch, proto::SessionAnswers& out) {
  fillHead<SessionAnswers, proto::SessionAnswers>(batch, out);
  out.set_is_broken(batch.isBroken);
}

proto::SessionRequests* batchIn(proto::ClusterFrame& frame, const SessionRequests&) {
  return frame.mutable_session_requests();
}

proto::SessionAnswers* batchIn(proto::ClusterFrame& frame, const SessionAnswers&) {
  return frame.mutable_session_answers();
}

template <typename Batch>
std::vector<std::string> encodeCut(const Batch& batch, const std::optional<Route>& route) {
  std::vector<std::string> payloads;
  google::protobuf::Arena arena;  // a batch has thousands of parts: they are freed at once
  auto& frame = *google::protobuf::Arena::CreateMessage<proto::ClusterFrame>(&arena);
  if (route) toProto(*route, *frame.mutable_route());
  auto& out = *batchIn(frame, batch);
  fillHead(batch, out);
  std::uint64_t sequence = batch.sequence - batch.messages.size();
  std::size_t bytes = 0;
  const auto endFrame = [&] {
    out.set_sequence(sequence);
    payloads.push_back(serialized(frame));
    out.clear_messages();
    bytes = 0;
  };
  for (const auto& message : batch.messages) {
    auto& added = *out.add_messages();
    fill(message, added);
    const auto size = fieldBytes(added.ByteSizeLong());
    const auto count = static_cast<std::size_t>(out.messages_size());
    if (bytes + size > kMessagesMost || count > limits::kSessionBatch) {
      auto next = std::move(added);
      out.mutable_messages()->RemoveLast();
      endFrame();
      *out.add_messages() = std::move(next);
    }
    bytes += size;
    ++sequence;
  }
  endFrame();
  return payloads;
}

// --- in

Result<SessionId> readSession(std::uint64_t in) {
  if (in == 0 || in > limits::kSessionNumber) return malformed(fmt::format("session {}", in));
  return SessionId{in};
}

Result<std::string> readSource(const std::string& in) {
  if (!isHost(in)) return malformed("a session without the address of its peer");
  return in;
}

bool isDecidedByMaster(const RegistryRequest& request) {
  return std::holds_alternative<Join>(request) || std::holds_alternative<PortTaken>(request) ||
         std::holds_alternative<Links>(request) || std::holds_alternative<Seek>(request) ||
         std::holds_alternative<Quit>(request) || std::holds_alternative<Rate>(request);
}

bool isFromMaster(const RegistryReply& reply) {
  return std::holds_alternative<Admitted>(reply) || std::holds_alternative<Referral>(reply) ||
         std::holds_alternative<Wait>(reply) || std::holds_alternative<WordRefused>(reply) ||
         std::holds_alternative<Failure>(reply) || std::holds_alternative<Strangers>(reply) ||
         std::holds_alternative<Rated>(reply);
}

Result<SessionMessage> read(SessionId session, const proto::SessionOpened& in) {
  auto host = readSource(in.host());
  if (!host) return host.error();
  return SessionMessage(SessionOpened{session, *std::move(host)});
}

Result<SessionMessage> read(SessionId session, const proto::RegistryRequestFrame& in) {
  auto request = fromProto(in);
  if (!request) return request.error();
  if (!isDecidedByMaster(*request)) return malformed("a request that homes answer");
  return SessionMessage(SessionRequest{session, *std::move(request)});
}

Result<SessionMessage> read(SessionId session, const proto::SessionResumed& in) {
  if (in.kind() < static_cast<std::uint32_t>(Kind::member) ||
      in.kind() > static_cast<std::uint32_t>(Kind::quitting)) {
    return malformed("a session that is resumed in an unknown way");
  }
  SessionResumed resumed;
  resumed.session = session;
  resumed.kind = static_cast<Kind>(in.kind());
  auto host = readSource(in.host());
  if (!host) return host.error();
  resumed.host = *std::move(host);
  auto join = fromProto(in.join());
  if (!join) return join.error();
  resumed.join = *std::move(join);
  const bool isMember = resumed.kind != Kind::undecided;
  const auto& [listenHost, listenPort] = resumed.join.listen;
  if (isMember && (resumed.join.order == kNoOrder || listenHost.empty() || listenPort == 0)) {
    return malformed("a member without an order or an endpoint");
  }
  if (in.port_taken() > 0xffff) return malformed(fmt::format("port {}", in.port_taken()));
  resumed.portTaken = static_cast<std::uint16_t>(in.port_taken());
  return SessionMessage(std::move(resumed));
}

Result<SessionMessage> readRoom(const proto::SessionMessage& in) {
  if (in.session() != 0) return malformed("about a room and a session");
  auto message = fromProto(in.room());
  if (!message) return message.error();
  return SessionMessage(SessionRoomPassed{*std::move(message)});
}

Result<SessionMessage> read(const proto::SessionMessage& in) {
  if (in.has_room()) return readRoom(in);
  const auto session = readSession(in.session());
  if (!session) return session.error();
  switch (in.kind_case()) {
    case proto::SessionMessage::kOpened:
      return read(*session, in.opened());
    case proto::SessionMessage::kRequest:
      return read(*session, in.request());
    case proto::SessionMessage::kResumed:
      return read(*session, in.resumed());
    case proto::SessionMessage::kEnded:
      return SessionMessage(SessionEnded{*session});
    case proto::SessionMessage::kRoom:
    case proto::SessionMessage::KIND_NOT_SET:
      break;
  }
  return malformed("about a session, of no kind that this version knows");
}

Result<SessionAnswer> read(SessionId session, const proto::RegistryReplyFrame& in) {
  auto reply = fromProto(in);
  if (!reply) return reply.error();
  if (!isFromMaster(*reply)) return malformed("a reply that homes give");
  // It would encode to more bytes than it was decoded from.
  if (in.has_failure() && in.failure().code() == 0) return malformed("a failure without a code");
  return SessionAnswer(SessionReply{session, *std::move(reply)});
}

Result<SessionAnswer> readRoom(const proto::SessionAnswer& in) {
  if (in.session() != 0) return malformed("about a room and a session");
  auto message = fromProto(in.room());
  if (!message) return message.error();
  return SessionAnswer(SessionRoomAnswer{*std::move(message)});
}

Result<SessionAnswer> read(const proto::SessionAnswer& in) {
  if (in.has_room()) return readRoom(in);
  const auto session = readSession(in.session());
  if (!session) return session.error();
  switch (in.kind_case()) {
    case proto::SessionAnswer::kReply:
      return read(*session, in.reply());
    case proto::SessionAnswer::kClosed:
      return SessionAnswer(SessionClosed{*session});
    case proto::SessionAnswer::kReading:
      return SessionAnswer(SessionReading{*session, in.reading().goes_on()});
    case proto::SessionAnswer::kRoom:
    case proto::SessionAnswer::KIND_NOT_SET:
      break;
  }
  return malformed("about a session, of no kind that this version knows");
}

template <typename Batch, typename In>
Result<Batch> readBatch(const In& in) {
  Batch batch;
  const auto epoch = readEpoch(in.epoch_counter(), in.epoch_number());
  if (!epoch) return epoch.error();
  batch.epoch = *epoch;
  if (in.stream() == 0) return malformed("a batch of no stream");
  batch.stream = in.stream();
  const auto count = static_cast<std::size_t>(in.messages_size());
  if (count > limits::kSessionBatch) return malformed(fmt::format("a batch of {}", count));
  if (in.sequence() < count || in.sequence() >= limits::kSequenceNumbers) {
    return malformed(fmt::format("a batch of {} that ends with message {}", count, in.sequence()));
  }
  batch.sequence = in.sequence();
  batch.messages.reserve(count);
  for (const auto& entry : in.messages()) {
    auto message = read(entry);
    if (!message) return message.error();
    batch.messages.push_back(*std::move(message));
  }
  return batch;
}

}  // namespace

void toProto(const SessionRequests& batch, proto::SessionRequests& out) {
  fillHead(batch, out);
  for (const auto& message : batch.messages) fill(message, *out.add_messages());
}

void toProto(const SessionAnswers& batch, proto::SessionAnswers& out) {
  fillHead(batch, out);
  for (const auto& answer : batch.messages) fill(answer, *out.add_messages());
}

Result<SessionRequests> fromProto(const proto::SessionRequests& in) {
  return readBatch<SessionRequests>(in);
}

Result<SessionAnswers> fromProto(const proto::SessionAnswers& in) {
  auto batch = readBatch<SessionAnswers>(in);
  if (batch) batch->isBroken = in.is_broken();
  return batch;
}

std::vector<std::string> encodeBatches(const SessionRequests& batch,
                                       const std::optional<Route>& route) {
  return encodeCut(batch, route);
}

std::vector<std::string> encodeBatches(const SessionAnswers& batch,
                                       const std::optional<Route>& route) {
  return encodeCut(batch, route);
}

}  // namespace espalier::wire
