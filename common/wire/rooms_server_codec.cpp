// The messages of rooms between the master and other metaservers.
#include <utility>

#include "common/base/limits.h"
#include "common/wire/cluster_directory_codec.h"
#include "common/wire/contact_codec.h"
#include "common/wire/rooms_codec.h"
#include "common/wire/rooms_codec_parts.h"

namespace espalier::wire {
namespace {

template <typename Message, typename Out>
void fillEpoch(const Message& message, Out& out) {
  out.set_epoch_counter(message.epoch.counter);
  out.set_epoch_number(number(message.epoch.number));
}

void fill(const RoomRest& rest, proto::RoomRest& out) {
  out.set_room(rest.room.text());
  fill(rest.before, *out.mutable_before());
  out.set_last(rest.last);
  out.set_opens_at(rest.opensAt);
  out.set_is_opened(rest.isOpened);
}

Result<RoomRest> readRest(const proto::RoomRest& in) {
  RoomRest rest;
  auto room = readRoom(in.room());
  if (!room) return room.error();
  rest.room = *std::move(room);
  const auto before = readPosition(in.before());
  if (!before) return before.error();
  rest.before = *before;
  const auto last = readRoomNumber(in.last());
  if (!last) return last.error();
  rest.last = *last;
  const auto opensAt = readGate(in.opens_at());
  if (!opensAt) return opensAt.error();
  rest.opensAt = *opensAt;
  rest.isOpened = in.is_opened();
  return rest;
}

Result<RoomKnown> readKnown(const proto::RoomKnown& in) {
  auto room = readRoom(in.room());
  if (!room) return room.error();
  const auto id = readEntryId(in.id());
  if (!id) return id.error();
  return RoomKnown{*std::move(room), *id};
}

void fill(const RoomEntries& message, proto::RoomEntries& out) {
  fillEpoch(message, out);
  out.set_answers(message.answers);
  fill(message.after, *out.mutable_after());
  fill(message.upTo, *out.mutable_up_to());
  fill(message.last, *out.mutable_last());
  out.set_committed(message.committed);
  for (const auto& rest : message.rests) fill(rest, *out.add_rests());
  for (const auto& position : message.ended) fill(position, *out.add_ended());
  for (const auto& known : message.known) {
    auto& added = *out.add_known();
    added.set_room(known.room.text());
    fill(known.id, *added.mutable_id());
  }
  for (const auto& entry : message.entries) fill(entry, *out.add_entries());
}

Result<RoomServerMessage> read(const proto::RoomEntries& in) {
  RoomEntries message;
  const auto epoch = readEpoch(in.epoch_counter(), in.epoch_number());
  const auto after = readPosition(in.after());
  const auto upTo = readPosition(in.up_to());
  const auto last = readPosition(in.last());
  const auto committed = readRoomNumber(in.committed());
  auto rests = readEach<RoomRest>(in.rests(), limits::kRoomRests, readRest);
  auto ended = readEach<LogPosition>(in.ended(), limits::kRoomEpochs, readPosition);
  auto known = readEach<RoomKnown>(in.known(), limits::kRoomBatch, readKnown);
  auto entries = readEach<RoomEntry>(in.entries(), limits::kRoomBatch, readEntry);
  if (!epoch) return epoch.error();
  if (!after) return after.error();
  if (!upTo) return upTo.error();
  if (!last) return last.error();
  if (!committed) return committed.error();
  if (!rests) return rests.error();
  if (!ended) return ended.error();
  if (!known) return known.error();
  if (!entries) return entries.error();
  auto before = after->sequence;
  for (const auto& entry : *entries) {
    if (entry.position.sequence <= before || entry.position.sequence > upTo->sequence) {
      return malformed("positions that do not rise");
    }
    before = entry.position.sequence;
  }
  message.epoch = *epoch;
  message.answers = in.answers();
  message.after = *after;
  message.upTo = *upTo;
  message.last = *last;
  message.committed = *committed;
  message.rests = *std::move(rests);
  message.ended = *std::move(ended);
  message.known = *std::move(known);
  message.entries = *std::move(entries);
  return RoomServerMessage(std::move(message));
}

Result<RoomServerMessage> read(const proto::RoomPull& in) {
  const auto epoch = readEpoch(in.epoch_counter(), in.epoch_number());
  if (!epoch) return epoch.error();
  if (in.number() == 0) return malformed("a pull without a number");
  auto marks = readEach<LogPosition>(in.marks(), limits::kRoomMarks, readPosition);
  if (!marks) return marks.error();
  return RoomServerMessage(RoomPull{*epoch, in.number(), *std::move(marks)});
}

Result<RoomServerMessage> read(const proto::RoomHave& in) {
  const auto epoch = readEpoch(in.epoch_counter(), in.epoch_number());
  if (!epoch) return epoch.error();
  const auto sequence = readRoomNumber(in.sequence());
  if (!sequence) return sequence.error();
  return RoomServerMessage(RoomHave{*epoch, *sequence, in.is_failing()});
}

Result<RoomServerMessage> read(const proto::RoomApart& in) {
  const auto epoch = readEpoch(in.epoch_counter(), in.epoch_number());
  if (!epoch) return epoch.error();
  auto entries = readEach<RoomEntry>(in.entries(), limits::kRoomBatch, readEntry);
  if (!entries) return entries.error();
  return RoomServerMessage(RoomApart{*epoch, *std::move(entries)});
}

}  // namespace

std::size_t zeroPositionBytes(const proto::RoomServerMessage& in) {
  constexpr std::size_t kEach = 3;  // the field, and a longer length of the message around it
  const auto some = static_cast<std::size_t>(in.entries().entries_size() +
                                             in.entries().rests_size() + in.apart().entries_size());
  return kEach * (some + 3);
}

void toProto(const RoomServerMessage& message, proto::RoomServerMessage& out) {
  if (const auto* entries = std::get_if<RoomEntries>(&message)) {
    fill(*entries, *out.mutable_entries());
  } else if (const auto* pull = std::get_if<RoomPull>(&message)) {
    auto& to = *out.mutable_pull();
    fillEpoch(*pull, to);
    to.set_number(pull->number);
    for (const auto& mark : pull->marks) fill(mark, *to.add_marks());
  } else if (const auto* have = std::get_if<RoomHave>(&message)) {
    auto& to = *out.mutable_have();
    fillEpoch(*have, to);
    to.set_sequence(have->sequence);
    to.set_is_failing(have->isFailing);
  } else {
    const auto& apart = std::get<RoomApart>(message);
    auto& to = *out.mutable_apart();
    fillEpoch(apart, to);
    for (const auto& entry : apart.entries) fill(entry, *to.add_entries());
  }
}

Result<RoomServerMessage> fromProto(const proto::RoomServerMessage& in) {
  switch (in.kind_case()) {
    case proto::RoomServerMessage::kEntries:
      return read(in.entries());
    case proto::RoomServerMessage::kPull:
      return read(in.pull());
    case proto::RoomServerMessage::kHave:
      return read(in.have());
    case proto::RoomServerMessage::kApart:
      return read(in.apart());
    case proto::RoomServerMessage::KIND_NOT_SET:
      break;
  }
  return malformed("about rooms, of no kind that this version knows");
}

}  // namespace espalier::wire
