#include "common/wire/rooms_codec.h"

#include <fmt/format.h>

#include <utility>

#include "common/base/limits.h"
#include "common/wire/cluster_directory_codec.h"
#include "common/wire/contact_codec.h"
#include "common/wire/rooms_codec_parts.h"

namespace espalier::wire {
namespace {

// --- that a frame has room for each message

constexpr std::size_t kPositionMost = kVersionBytes;
constexpr std::size_t kRoomMost = fieldBytes(limits::kPeerIdBytes);
constexpr std::size_t kIdMost = fieldBytes(SpeakerId::kSizeBytes) + numberBytes(kAnyNumber);
// What BatchFiller counts for an entry, beside its text, is above this.
constexpr std::size_t kEntryMost = 2 * kRoomMost + fieldBytes(kPositionMost) +
                                   numberBytes(limits::kSequenceNumbers) + fieldBytes(kIdMost) +
                                   numberBytes(kTimesMost) + numberBytes(4) +
                                   numberBytes(limits::kMembers) + numberBytes(1) + 16;
static_assert(kEntryMost <= 128 + 2 * limits::kPeerIdBytes);
constexpr std::size_t kRestMost = kRoomMost + fieldBytes(kPositionMost) +
                                  numberBytes(limits::kSequenceNumbers) +
                                  numberBytes(limits::kMembers) + numberBytes(1);
constexpr std::size_t kHeadMost = kRouteBytes + 8 * fieldBytes(kPositionMost) + 64;
static_assert(limits::kRoomBatchBytes + limits::kRoomRests * fieldBytes(kRestMost) +
                      limits::kRoomEpochs * fieldBytes(kPositionMost) + kHeadMost <
                  limits::kFrameBytes,
              "an answer to a pull fits");
static_assert(limits::kRoomBatch * fieldBytes(kRoomMost + fieldBytes(kIdMost)) + kHeadMost <
                  limits::kFrameBytes,
              "what is known fits");

// --- peer and home

using From = RoomAsk::From;

void fill(const RoomPlace& place, proto::RoomPlace& out) {
  fill(place.position, *out.mutable_position());
  out.set_number(place.number);
}

Result<RoomPlace> readPlace(const proto::RoomPlace& in) {
  const auto position = readPosition(in.position());
  if (!position) return position.error();
  const auto roomNumber = readRoomNumber(in.number());
  if (!roomNumber) return roomNumber.error();
  return RoomPlace{*position, *roomNumber};
}

void fill(const RoomAsk& ask, proto::RoomAsk& out) {
  out.set_room(ask.room.text());
  out.set_number(ask.number);
  out.set_from(static_cast<std::uint32_t>(ask.from));
  for (const auto& place : ask.places) fill(place, *out.add_places());
  out.set_most(ask.most);
}

Result<RoomAsk> readAsk(const proto::RoomAsk& in) {
  RoomAsk ask;
  auto room = readRoom(in.room());
  if (!room) return room.error();
  ask.room = *std::move(room);
  if (in.number() == 0) return malformed("a question without a number");
  ask.number = in.number();
  if (in.from() < 1 || in.from() > static_cast<std::uint32_t>(From::last)) {
    return malformed(fmt::format("a question of the kind {}", in.from()));
  }
  ask.from = static_cast<From>(in.from());
  auto places = readEach<RoomPlace>(in.places(), limits::kRoomPlaces, readPlace);
  if (!places) return places.error();
  ask.places = *std::move(places);
  const bool isLast = ask.from == From::last;
  if ((in.most() > 0) != isLast || in.most() > limits::kRoomMessages) {
    return malformed(fmt::format("a question for {} messages", in.most()));
  }
  ask.most = in.most();
  return ask;
}

void fill(const RoomMessages& messages, proto::RoomMessages& out) {
  out.set_room(messages.room.text());
  out.set_answers(messages.answers);
  fill(messages.after, *out.mutable_after());
  for (const auto& place : messages.earlier) fill(place, *out.add_earlier());
  for (const auto& entry : messages.entries) fill(entry, *out.add_entries());
  out.set_missing_from(messages.missingFrom);
  out.set_missing_to(messages.missingTo);
  out.set_is_more(messages.isMore);
  out.set_is_closed(messages.isClosed);
}

Result<RoomMessages> readMessages(const proto::RoomMessages& in) {
  RoomMessages messages;
  auto room = readRoom(in.room());
  if (!room) return room.error();
  messages.room = *std::move(room);
  messages.answers = in.answers();
  const auto after = readPlace(in.after());
  if (!after) return after.error();
  messages.after = *after;
  auto earlier = readEach<RoomPlace>(in.earlier(), limits::kRoomPlaces, readPlace);
  if (!earlier) return earlier.error();
  messages.earlier = *std::move(earlier);
  auto entries = readEach<RoomEntry>(in.entries(), limits::kRoomBatch, readEntry);
  if (!entries) return entries.error();
  for (const auto& entry : *entries) {
    if (entry.room != messages.room) return malformed("messages of several rooms");
  }
  messages.entries = *std::move(entries);
  const auto from = readRoomNumber(in.missing_from());
  const auto to = readRoomNumber(in.missing_to());
  if (!from) return from.error();
  if (!to) return to.error();
  if (*to < *from || (*from == 0 && *to > 0)) return malformed("a false range of what is missing");
  messages.missingFrom = *from;
  messages.missingTo = *to;
  messages.isMore = in.is_more();
  messages.isClosed = in.is_closed();
  return messages;
}

void fill(const RoomState& state, proto::RoomState& out) {
  out.set_room(state.room.text());
  out.set_members(state.members);
  out.set_opens_at(state.opensAt);
  out.set_is_open(state.isOpen);
  out.set_refused(state.refused);
}

Result<RoomState> readState(const proto::RoomState& in) {
  auto room = readRoom(in.room());
  if (!room) return room.error();
  if (in.members() > limits::kMembers) return malformed(fmt::format("{} members", in.members()));
  const auto opensAt = readGate(in.opens_at());
  if (!opensAt) return opensAt.error();
  return RoomState{*std::move(room), in.members(), *opensAt, in.is_open(),
                   readSentence(in.refused())};
}

void fill(const RoomMoved& moved, proto::RoomMoved& out) {
  out.set_room(moved.room.text());
  out.set_who(moved.who.text());
  out.set_is_in(moved.isIn);
}

Result<RoomMoved> readMoved(const proto::RoomMoved& in) {
  auto room = readRoom(in.room());
  if (!room) return room.error();
  auto who = readPeerId(in.who());
  if (!who) return who.error();
  return RoomMoved{*std::move(room), *std::move(who), in.is_in()};
}

// --- home and master

Result<RoomSaid> readSaid(const proto::RoomSaid& in) {
  auto say = readSay(in.say());
  if (!say) return say.error();
  auto author = readPeerId(in.author());
  if (!author) return author.error();
  if (in.at_ms() >= kTimesMost) return malformed(fmt::format("the time {}", in.at_ms()));
  const auto opensAt = readGate(in.opens_at());
  if (!opensAt) return opensAt.error();
  return RoomSaid{*std::move(say), *std::move(author), in.at_ms(), *opensAt};
}

Result<MemberRooms> readRooms(const proto::MemberRooms& in) {
  auto member = readPeerId(in.member());
  if (!member) return member.error();
  // Else it would encode to more bytes than it was decoded from.
  if (!in.has_wanted()) return malformed("a member without its rooms");
  auto wanted = readWanted(in.wanted());
  if (!wanted) return wanted.error();
  return MemberRooms{*std::move(member), *std::move(wanted)};
}

Result<RoomRefused> readRefused(const proto::RoomRefused& in) {
  auto member = readPeerId(in.member());
  if (!member) return member.error();
  auto room = readRoom(in.room());
  if (!room) return room.error();
  return RoomRefused{*std::move(member), *std::move(room), readSentence(in.why())};
}

template <typename Message, typename Value>
Result<Message> as(Result<Value> value) {
  if (!value) return value.error();
  return Message(*std::move(value));
}

template <typename Proto, typename Message>
std::string encoded(const Message& message) {
  Proto out;
  toProto(message, out);
  return serialized(out);
}

template <typename Message, typename Proto>
Result<Message> decoded(std::string_view payload) {
  Proto in;
  if (!parse(payload, in)) return malformed("no message of rooms");
  return fromProto(in);
}

Error unknownKind() {
  return malformed("about rooms, of no kind that this version knows");
}

}  // namespace

void toProto(const RoomRequest& message, proto::RoomRequest& out) {
  if (const auto* wanted = std::get_if<RoomsWanted>(&message)) {
    fill(*wanted, *out.mutable_wanted());
  } else if (const auto* say = std::get_if<RoomSay>(&message)) {
    fill(*say, *out.mutable_say());
  } else {
    fill(std::get<RoomAsk>(message), *out.mutable_ask());
  }
}

Result<RoomRequest> fromProto(const proto::RoomRequest& in) {
  switch (in.kind_case()) {
    case proto::RoomRequest::kWanted:
      return as<RoomRequest>(readWanted(in.wanted()));
    case proto::RoomRequest::kSay:
      return as<RoomRequest>(readSay(in.say()));
    case proto::RoomRequest::kAsk:
      return as<RoomRequest>(readAsk(in.ask()));
    case proto::RoomRequest::KIND_NOT_SET:
      break;
  }
  return unknownKind();
}

void toProto(const RoomReply& message, proto::RoomReply& out) {
  if (const auto* said = std::get_if<RoomSaidReply>(&message)) {
    fill(*said, *out.mutable_said());
  } else if (const auto* messages = std::get_if<RoomMessages>(&message)) {
    fill(*messages, *out.mutable_messages());
  } else if (const auto* state = std::get_if<RoomState>(&message)) {
    fill(*state, *out.mutable_state());
  } else {
    fill(std::get<RoomMoved>(message), *out.mutable_moved());
  }
}

Result<RoomReply> fromProto(const proto::RoomReply& in) {
  switch (in.kind_case()) {
    case proto::RoomReply::kSaid:
      return as<RoomReply>(readSaidReply(in.said()));
    case proto::RoomReply::kMessages:
      return as<RoomReply>(readMessages(in.messages()));
    case proto::RoomReply::kState:
      return as<RoomReply>(readState(in.state()));
    case proto::RoomReply::kMoved:
      return as<RoomReply>(readMoved(in.moved()));
    case proto::RoomReply::KIND_NOT_SET:
      break;
  }
  return unknownKind();
}

void toProto(const RoomPassed& message, proto::RoomPassed& out) {
  if (const auto* said = std::get_if<RoomSaid>(&message)) {
    auto& to = *out.mutable_said();
    fill(said->say, *to.mutable_say());
    to.set_author(said->author.text());
    to.set_at_ms(said->atMs);
    to.set_opens_at(said->opensAt);
  } else {
    const auto& rooms = std::get<MemberRooms>(message);
    out.mutable_rooms()->set_member(rooms.member.text());
    fill(rooms.wanted, *out.mutable_rooms()->mutable_wanted());
  }
}

Result<RoomPassed> fromProto(const proto::RoomPassed& in) {
  switch (in.kind_case()) {
    case proto::RoomPassed::kSaid:
      return as<RoomPassed>(readSaid(in.said()));
    case proto::RoomPassed::kRooms:
      return as<RoomPassed>(readRooms(in.rooms()));
    case proto::RoomPassed::KIND_NOT_SET:
      break;
  }
  return unknownKind();
}

void toProto(const RoomAnswer& message, proto::RoomAnswer& out) {
  if (const auto* said = std::get_if<RoomSaidReply>(&message)) {
    fill(*said, *out.mutable_said());
  } else {
    const auto& refused = std::get<RoomRefused>(message);
    out.mutable_refused()->set_member(refused.member.text());
    out.mutable_refused()->set_room(refused.room.text());
    out.mutable_refused()->set_why(refused.why);
  }
}

Result<RoomAnswer> fromProto(const proto::RoomAnswer& in) {
  switch (in.kind_case()) {
    case proto::RoomAnswer::kSaid:
      return as<RoomAnswer>(readSaidReply(in.said()));
    case proto::RoomAnswer::kRefused:
      return as<RoomAnswer>(readRefused(in.refused()));
    case proto::RoomAnswer::KIND_NOT_SET:
      break;
  }
  return unknownKind();
}

std::string encode(const RoomRequest& message) {
  return encoded<proto::RoomRequest>(message);
}
std::string encode(const RoomReply& message) {
  return encoded<proto::RoomReply>(message);
}
std::string encode(const RoomPassed& message) {
  return encoded<proto::RoomPassed>(message);
}
std::string encode(const RoomAnswer& message) {
  return encoded<proto::RoomAnswer>(message);
}
std::string encode(const RoomServerMessage& message) {
  return encoded<proto::RoomServerMessage>(message);
}
Result<RoomRequest> decodeRoomRequest(std::string_view payload) {
  return decoded<RoomRequest, proto::RoomRequest>(payload);
}
Result<RoomReply> decodeRoomReply(std::string_view payload) {
  return decoded<RoomReply, proto::RoomReply>(payload);
}
Result<RoomPassed> decodeRoomPassed(std::string_view payload) {
  return decoded<RoomPassed, proto::RoomPassed>(payload);
}
Result<RoomAnswer> decodeRoomAnswer(std::string_view payload) {
  return decoded<RoomAnswer, proto::RoomAnswer>(payload);
}
Result<RoomServerMessage> decodeRoomServerMessage(std::string_view payload) {
  return decoded<RoomServerMessage, proto::RoomServerMessage>(payload);
}

}  // namespace espalier::wire
