#include "common/wire/room_lists_codec.h"

#include <utility>

#include "common/base/limits.h"
#include "common/wire/contact_codec.h"
#include "common/wire/rooms_codec_parts.h"

namespace espalier::wire {
namespace {

// Empty: absent.
Result<RoomName> readOptionalRoom(const std::string& in) {
  return in.empty() ? Result<RoomName>(RoomName()) : readRoom(in);
}

Result<RoomRow> readRoomRow(const proto::RoomRow& in) {
  RoomRow row;
  auto room = readRoom(in.room());
  if (!room) return room.error();
  row.room = *std::move(room);
  const auto members = readMembers(in.members(), 0);
  if (!members) return members.error();
  row.members = *members;
  const auto opensAt = readGate(in.opens_at());
  if (!opensAt) return opensAt.error();
  row.opensAt = *opensAt;
  row.isOpen = in.is_open();
  const auto last = readRoomNumber(in.last());
  if (!last) return last.error();
  row.last = *last;
  return row;
}

Result<RoomMember> readRoomMember(const proto::RoomMember& in) {
  RoomMember member;
  auto id = readPeerId(in.id());
  if (!id) return id.error();
  member.id = *std::move(id);
  if (!in.home().empty()) {
    auto home = ServerName::parse(in.home());
    if (!home) return malformed("a home without a valid name");
    member.home = *std::move(home);
  }
  if (in.since_ms() >= kTimesMost) return malformed("a session of no time");
  member.since = std::chrono::milliseconds(in.since_ms());
  return member;
}

// Otherwise who asks for the next page would do so for ever.
Result<void> checkListPage(std::uint64_t number, std::size_t rows, bool isMore, bool rises) {
  if (number == 0) return malformed("a list without a number");
  if (isMore && rows == 0) return malformed("an empty page with more behind it");
  if (!rises) return malformed("a list that does not rise");
  return {};
}

template <typename Rows, typename Key>
bool doesRise(const Rows& rows, Key key) {
  for (std::size_t i = 1; i < rows.size(); ++i) {
    if (!(key(rows[i - 1]) < key(rows[i]))) return false;
  }
  return true;
}

}  // namespace

void toProto(const RoomListRequest& message, proto::RoomListRequest& out) {
  out.set_after(message.after.text());
  out.set_number(message.number);
}

Result<RoomListRequest> fromProto(const proto::RoomListRequest& in) {
  auto after = readOptionalRoom(in.after());
  if (!after) return after.error();
  if (in.number() == 0) return malformed("a question without a number");
  return RoomListRequest{*std::move(after), in.number()};
}

void toProto(const RoomList& message, proto::RoomList& out) {
  out.set_number(message.number);
  out.set_is_more(message.isMore);
  for (const auto& row : message.rooms) {
    auto& added = *out.add_rooms();
    added.set_room(row.room.text());
    added.set_members(row.members);
    added.set_opens_at(row.opensAt);
    added.set_is_open(row.isOpen);
    added.set_last(row.last);
  }
}

Result<RoomList> fromProto(const proto::RoomList& in) {
  auto rooms = readEach<RoomRow>(in.rooms(), limits::kRoomListPage, readRoomRow);
  if (!rooms) return rooms.error();
  const bool rises = doesRise(*rooms, [](const RoomRow& row) { return row.room; });
  if (auto sound = checkListPage(in.number(), rooms->size(), in.is_more(), rises); !sound) {
    return sound.error();
  }
  return RoomList{in.number(), *std::move(rooms), in.is_more()};
}

void toProto(const RoomWhoRequest& message, proto::RoomWhoRequest& out) {
  out.set_room(message.room.text());
  out.set_after(message.after.text());
  out.set_number(message.number);
}

Result<RoomWhoRequest> fromProto(const proto::RoomWhoRequest& in) {
  auto room = readOptionalRoom(in.room());
  if (!room) return room.error();
  auto after = readOptionalPeerId(in.after());
  if (!after) return after.error();
  if (in.number() == 0) return malformed("a question without a number");
  return RoomWhoRequest{*std::move(room), after->value_or(PeerId()), in.number()};
}

void toProto(const RoomWho& message, proto::RoomWho& out) {
  out.set_number(message.number);
  out.set_count(message.count);
  out.set_is_more(message.isMore);
  for (const auto& member : message.members) {
    auto& added = *out.add_members();
    added.set_id(member.id.text());
    added.set_home(member.home.text());
    added.set_since_ms(static_cast<std::uint64_t>(member.since.count()));
  }
}

Result<RoomWho> fromProto(const proto::RoomWho& in) {
  const auto count = readMembers(in.count(), 0);
  if (!count) return count.error();
  auto members = readEach<RoomMember>(in.members(), limits::kRoomListPage, readRoomMember);
  if (!members) return members.error();
  const bool rises = doesRise(*members, [](const RoomMember& member) { return member.id; });
  if (auto sound = checkListPage(in.number(), members->size(), in.is_more(), rises); !sound) {
    return sound.error();
  }
  return RoomWho{in.number(), *count, *std::move(members), in.is_more()};
}

}  // namespace espalier::wire
