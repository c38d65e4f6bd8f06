#include "common/wire/rooms_codec_parts.h"

#include <fmt/format.h>

#include <utility>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/wire/cluster_directory_codec.h"
#include "common/wire/contact_codec.h"

namespace espalier::wire {

using Kind = RoomEntry::Kind;

namespace {

bool isText(const std::string& in) {
  return !in.empty() && in.size() <= limits::kRoomTextBytes && isUtf8(in);
}

}  // namespace

Result<RoomName> readRoom(const std::string& in) {
  auto room = RoomName::parse(in);
  if (!room) return malformed("a room without a valid name");
  return *std::move(room);
}

Result<std::uint64_t> readRoomNumber(std::uint64_t in) {
  if (in >= limits::kSequenceNumbers) return malformed(fmt::format("the number {}", in));
  return in;
}

Result<std::uint32_t> readGate(std::uint32_t in) {
  if (in > limits::kMembers) return malformed(fmt::format("a room that opens at {}", in));
  return in;
}

std::string readSentence(const std::string& in) {
  if (!isUtf8(in)) return {};
  return std::string(cutUtf8(in, limits::kMessageBytes));
}

void fill(const LogPosition& position, proto::LogPosition& out) {
  out.set_epoch_counter(position.epoch.counter);
  out.set_epoch_number(number(position.epoch.number));
  out.set_sequence(position.sequence);
}

Result<LogPosition> readPosition(const proto::LogPosition& in) {
  const auto epoch = readEpoch(in.epoch_counter(), in.epoch_number());
  if (!epoch) return epoch.error();
  if (in.sequence() >= limits::kSequenceNumbers) {
    return malformed(fmt::format("position {} of a log", in.sequence()));
  }
  if (in.sequence() == 0 && *epoch != Epoch()) return malformed("an epoch without a position");
  return LogPosition{*epoch, in.sequence()};
}

void fill(const RoomEntryId& id, proto::RoomEntryId& out) {
  if (!id.speaker.isZero()) out.set_speaker(std::string(id.speaker.view()));
  out.set_counter(id.counter);
}

Result<RoomEntryId> readEntryId(const proto::RoomEntryId& in) {
  RoomEntryId id;
  if (!in.speaker().empty()) {
    const auto speaker = SpeakerId::fromRaw(in.speaker());
    if (!speaker) return speaker.error();
    id.speaker = *speaker;
  }
  if (in.counter() == 0) return malformed("a message without an id");
  id.counter = in.counter();
  return id;
}

void fill(const RoomEntry& entry, proto::RoomEntry& out) {
  out.set_room(entry.room.text());
  fill(entry.position, *out.mutable_position());
  out.set_number(entry.number);
  fill(entry.id, *out.mutable_id());
  out.set_at_ms(entry.atMs);
  out.set_author(entry.author.text());
  out.set_kind(static_cast<std::uint32_t>(entry.kind));
  out.set_opens_at(entry.opensAt);
  out.set_is_apart(entry.isApart);
  out.set_text(entry.text);
}

Result<RoomEntry> readEntry(const proto::RoomEntry& in) {
  RoomEntry entry;
  auto room = readRoom(in.room());
  if (!room) return room.error();
  entry.room = *std::move(room);
  const auto position = readPosition(in.position());
  if (!position) return position.error();
  entry.position = *position;
  const auto roomNumber = readRoomNumber(in.number());
  if (!roomNumber) return roomNumber.error();
  entry.number = *roomNumber;
  const auto id = readEntryId(in.id());
  if (!id) return id.error();
  entry.id = *id;
  if (in.at_ms() >= kTimesMost) return malformed(fmt::format("the time {}", in.at_ms()));
  entry.atMs = in.at_ms();
  if (in.kind() < 1 || in.kind() > static_cast<std::uint32_t>(Kind::ended)) {
    return malformed(fmt::format("an entry of the kind {}", in.kind()));
  }
  entry.kind = static_cast<Kind>(in.kind());
  entry.isApart = in.is_apart();
  const auto opensAt = readGate(in.opens_at());
  if (!opensAt) return opensAt.error();
  if ((entry.kind == Kind::made) != (*opensAt > 1)) return malformed("a gate at a wrong place");
  if (entry.kind != Kind::made && *opensAt > 0) return malformed("a gate at a wrong place");
  entry.opensAt = *opensAt;
  if (entry.kind != Kind::message) {
    if (!in.author().empty() || !in.text().empty()) return malformed("a text at a wrong place");
    return entry;
  }
  auto author = readPeerId(in.author());
  if (!author) return author.error();
  entry.author = *std::move(author);
  if (!isText(in.text())) return malformed("a message without a valid text");
  entry.text = in.text();
  return entry;
}

void fill(const RoomSay& say, proto::RoomSay& out) {
  out.set_room(say.room.text());
  fill(say.id, *out.mutable_id());
  out.set_text(say.text);
}

Result<RoomSay> readSay(const proto::RoomSay& in) {
  auto room = readRoom(in.room());
  if (!room) return room.error();
  const auto id = readEntryId(in.id());
  if (!id) return id.error();
  if (id->speaker.isZero()) return malformed("a message of nobody");
  if (!isText(in.text())) return malformed("a message without a valid text");
  return RoomSay{*std::move(room), *id, in.text()};
}

void fill(const RoomsWanted& wanted, proto::RoomsWanted& out) {
  out.set_revision(wanted.revision);
  for (const auto& one : wanted.rooms) {
    auto& added = *out.add_rooms();
    added.set_room(one.room.text());
    added.set_opens_at(one.opensAt);
  }
}

Result<RoomsWanted> readWanted(const proto::RoomsWanted& in) {
  const auto read = [](const proto::RoomWanted& one) -> Result<RoomWanted> {
    auto room = readRoom(one.room());
    if (!room) return room.error();
    const auto opensAt = readGate(one.opens_at());
    if (!opensAt) return opensAt.error();
    return RoomWanted{*std::move(room), *opensAt};
  };
  auto rooms = readEach<RoomWanted>(in.rooms(), limits::kRoomsOfPeer, read);
  if (!rooms) return rooms.error();
  for (std::size_t i = 1; i < rooms->size(); ++i) {
    if ((*rooms)[i].room <= (*rooms)[i - 1].room) return malformed("rooms that are not by name");
  }
  return RoomsWanted{in.revision(), *std::move(rooms)};
}

void fill(const RoomSaidReply& reply, proto::RoomSaidReply& out) {
  out.set_room(reply.room.text());
  fill(reply.id, *out.mutable_id());
  out.set_number(reply.number);
  out.set_epoch_counter(reply.epoch.counter);
  out.set_epoch_number(number(reply.epoch.number));
  out.set_stored(reply.stored);
  if (reply.number == 0) out.set_code(static_cast<std::uint32_t>(reply.code));
  out.set_wait_ms(reply.waitMs);
  out.set_why(reply.why);
}

Result<RoomSaidReply> readSaidReply(const proto::RoomSaidReply& in) {
  RoomSaidReply reply;
  auto room = readRoom(in.room());
  if (!room) return room.error();
  reply.room = *std::move(room);
  const auto id = readEntryId(in.id());
  if (!id) return id.error();
  reply.id = *id;
  const auto roomNumber = readRoomNumber(in.number());
  if (!roomNumber) return roomNumber.error();
  reply.number = *roomNumber;
  const auto epoch = readEpoch(in.epoch_counter(), in.epoch_number());
  if (!epoch) return epoch.error();
  reply.epoch = *epoch;
  if (in.stored() > limits::kMetaservers) return malformed(fmt::format("stored {}", in.stored()));
  reply.stored = in.stored();
  // Else it would encode to more bytes than it was decoded from.
  if (reply.number == 0 && in.code() == 0) return malformed("a refusal without a code");
  if (reply.number == 0) reply.code = errorCodeFromWire(in.code());
  reply.waitMs = in.wait_ms();
  reply.why = readSentence(in.why());
  return reply;
}

}  // namespace espalier::wire
