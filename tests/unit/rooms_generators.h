// Messages of rooms at random, for the tests of their codecs.
#pragma once

#include <rapidcheck.h>

#include <string>
#include <vector>

#include "common/base/limits.h"
#include "common/wire/room_lists.h"
#include "common/wire/rooms.h"
#include "tests/unit/cluster_codec_fixture.h"

namespace espalier::test {

inline RoomName someRoom() {
  return *RoomName::parse(someId().text());
}

inline wire::LogPosition somePosition() {
  if (numberOf(0, 5) == 0) return {};
  return {someEpoch(), someSequence(1)};
}

inline wire::RoomEntryId someEntryId() {
  return {rawOf<SpeakerId>(), numberOf<std::uint64_t>(1, ~0ull)};
}

inline wire::RoomEntry someEntry() {
  wire::RoomEntry entry;
  entry.room = someRoom();
  entry.position = somePosition();
  entry.number = someSequence(0);
  entry.id = someEntryId();
  entry.atMs = numberOf<std::uint64_t>(0, (1ull << 53) - 1);
  entry.kind = static_cast<wire::RoomEntry::Kind>(numberOf(1, 4));
  entry.isApart = *rc::gen::arbitrary<bool>();
  if (entry.kind == wire::RoomEntry::Kind::made) {
    entry.opensAt = numberOf<std::uint32_t>(2, limits::kMembers);
  }
  if (entry.kind == wire::RoomEntry::Kind::message) {
    entry.author = someId();
    entry.text = textOf(1, 40);
  }
  return entry;
}

template <typename T, typename Make>
std::vector<T> someOf(std::size_t most, Make make) {
  std::vector<T> values(numberOf<std::size_t>(0, most));
  for (auto& value : values) value = make();
  return values;
}

inline wire::RoomPlace somePlace() {
  return {somePosition(), someSequence(0)};
}

inline wire::RoomSaidReply someSaidReply() {
  wire::RoomSaidReply reply{someRoom(),
                            someEntryId(),
                            someSequence(0),
                            someEpoch(),
                            numberOf<std::uint32_t>(0, limits::kMetaservers),
                            {},
                            0,
                            {}};
  reply.waitMs = numberOf<std::uint32_t>(0, 5000);
  reply.why = textOf(0, 30);
  reply.code = reply.number == 0 ? ErrorCode::timeout : ErrorCode::refused;
  return reply;
}

inline wire::RoomRequest someRoomRequest() {
  switch (numberOf(0, 2)) {
    case 0:
      return wire::RoomsWanted{someNumber(), {{someRoom(), numberOf<std::uint32_t>(0, 9)}}};
    case 1:
      return wire::RoomSay{someRoom(), {*SpeakerId::fromRaw("one who speaks.."), 7}, textOf(1, 50)};
    default:
      const auto from = static_cast<wire::RoomAsk::From>(numberOf(1, 3));
      const auto most = from == wire::RoomAsk::From::last ? numberOf<std::uint32_t>(1, 1000) : 0;
      return wire::RoomAsk{someRoom(), numberOf<std::uint64_t>(1, ~0ull), from,
                           someOf<wire::RoomPlace>(limits::kRoomPlaces, somePlace), most};
  }
}

inline wire::RoomReply someRoomReply() {
  switch (numberOf(0, 3)) {
    case 0:
      return someSaidReply();
    case 1: {
      wire::RoomMessages messages;
      messages.room = someRoom();
      messages.answers = someNumber();
      messages.after = somePlace();
      messages.earlier = someOf<wire::RoomPlace>(limits::kRoomPlaces, somePlace);
      messages.entries = someOf<wire::RoomEntry>(5, someEntry);
      for (auto& entry : messages.entries) entry.room = messages.room;
      messages.missingFrom = numberOf<std::uint64_t>(0, 3);
      messages.missingTo = messages.missingFrom * 2;
      messages.isMore = *rc::gen::arbitrary<bool>();
      messages.isClosed = *rc::gen::arbitrary<bool>();
      return messages;
    }
    case 2:
      return wire::RoomState{someRoom(), someMembers(), numberOf<std::uint32_t>(0, 20),
                             *rc::gen::arbitrary<bool>(), textOf(0, 20)};
    default:
      return wire::RoomMoved{someRoom(), someId(), *rc::gen::arbitrary<bool>()};
  }
}

inline wire::RoomServerMessage someRoomServerMessage() {
  const auto epoch = someEpoch();
  switch (numberOf(0, 3)) {
    case 0: {
      wire::RoomEntries entries;
      entries.epoch = epoch;
      entries.answers = someNumber();
      entries.after = {someEpoch(), 5};
      entries.entries = someOf<wire::RoomEntry>(5, someEntry);
      for (std::size_t i = 0; i < entries.entries.size(); ++i) {
        entries.entries[i].position = {epoch, 6 + 2 * i};
      }
      entries.upTo = {epoch, 20};
      entries.last = somePosition();
      entries.committed = someSequence(0);
      entries.rests = someOf<wire::RoomRest>(3, [] {
        return wire::RoomRest{someRoom(), somePosition(), someSequence(0),
                              numberOf<std::uint32_t>(0, 20), *rc::gen::arbitrary<bool>()};
      });
      entries.ended = someOf<wire::LogPosition>(3, somePosition);
      entries.known = someOf<wire::RoomKnown>(3, [] {
        return wire::RoomKnown{someRoom(), someEntryId()};
      });
      return entries;
    }
    case 1:
      return wire::RoomPull{epoch, numberOf<std::uint64_t>(1, ~0ull),
                            someOf<wire::LogPosition>(limits::kRoomMarks, somePosition)};
    case 2:
      return wire::RoomHave{epoch, someSequence(0), *rc::gen::arbitrary<bool>()};
    default:
      return wire::RoomApart{epoch, someOf<wire::RoomEntry>(5, someEntry)};
  }
}

inline wire::RoomPassed someRoomPassed() {
  if (*rc::gen::arbitrary<bool>()) {
    return wire::MemberRooms{someId(), {someNumber(), {{someRoom(), 3}}}};
  }
  const wire::RoomSay say{someRoom(), {*SpeakerId::fromRaw("one who speaks.."), 7}, textOf(1, 99)};
  return wire::RoomSaid{say, someId(), 17, 3};
}

inline wire::RoomAnswer someRoomAnswer() {
  if (*rc::gen::arbitrary<bool>()) return someSaidReply();
  return wire::RoomRefused{someId(), someRoom(), textOf(0, 99)};
}

// The names say `i`, so that they rise.
inline wire::RoomList someRoomList() {
  wire::RoomList list{numberOf<std::uint64_t>(1, ~0ull), {}, false};
  const auto count = numberOf<std::size_t>(0, 5);
  for (std::size_t i = 0; i < count; ++i) {
    list.rooms.push_back({*RoomName::parse("r" + std::to_string(i)), someMembers(),
                          numberOf<std::uint32_t>(0, limits::kMembers), *rc::gen::arbitrary<bool>(),
                          someSequence(0)});
  }
  list.isMore = count > 0 && *rc::gen::arbitrary<bool>();
  return list;
}

inline wire::RoomWho someRoomWho() {
  wire::RoomWho who{numberOf<std::uint64_t>(1, ~0ull), someMembers(), {}, false};
  const auto count = numberOf<std::size_t>(0, 5);
  for (std::size_t i = 0; i < count; ++i) {
    const auto home =
        *rc::gen::arbitrary<bool>() ? *ServerName::parse("m" + std::to_string(i)) : ServerName();
    who.members.push_back({*PeerId::parse("s" + std::to_string(i)), home,
                           std::chrono::milliseconds(numberOf<std::int64_t>(0, (1ll << 53) - 1))});
  }
  who.isMore = count > 0 && *rc::gen::arbitrary<bool>();
  return who;
}

}  // namespace espalier::test
