#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <string>
#include <vector>

#include "common/base/limits.h"
#include "common/wire/rooms_codec.h"
#include "rooms.pb.h"
#include "tests/unit/cluster_codec_fixture.h"

using namespace espalier;
using namespace espalier::wire;
using Kind = RoomEntry::Kind;

namespace {

RoomName someRoom() {
  return *RoomName::parse(test::someId().text());
}

LogPosition somePosition() {
  if (test::numberOf(0, 5) == 0) return {};
  return {test::someEpoch(), test::someSequence(1)};
}

RoomEntryId someEntryId() {
  return {test::rawOf<SpeakerId>(), test::numberOf<std::uint64_t>(1, ~0ull)};
}

RoomEntry someEntry() {
  RoomEntry entry;
  entry.room = someRoom();
  entry.position = somePosition();
  entry.number = test::someSequence(0);
  entry.id = someEntryId();
  entry.atMs = test::numberOf<std::uint64_t>(0, (1ull << 53) - 1);
  entry.kind = static_cast<Kind>(test::numberOf(1, 4));
  entry.isApart = *rc::gen::arbitrary<bool>();
  if (entry.kind == Kind::made) {
    entry.opensAt = test::numberOf<std::uint32_t>(2, limits::kMembers);
  }
  if (entry.kind == Kind::message) {
    entry.author = test::someId();
    entry.text = test::textOf(1, 40);
  }
  return entry;
}

template <typename T, typename Make>
std::vector<T> someOf(std::size_t most, Make make) {
  std::vector<T> values(test::numberOf<std::size_t>(0, most));
  for (auto& value : values) value = make();
  return values;
}

RoomPlace somePlace() {
  return {somePosition(), test::someSequence(0)};
}

RoomSaidReply someSaidReply() {
  RoomSaidReply reply{someRoom(),
                      someEntryId(),
                      test::someSequence(0),
                      test::someEpoch(),
                      test::numberOf<std::uint32_t>(0, limits::kMetaservers),
                      {},
                      0,
                      {}};
  reply.waitMs = test::numberOf<std::uint32_t>(0, 5000);
  reply.why = test::textOf(0, 30);
  reply.code = reply.number == 0 ? ErrorCode::timeout : ErrorCode::refused;
  return reply;
}

RoomRequest someRequest() {
  switch (test::numberOf(0, 2)) {
    case 0:
      return RoomsWanted{test::someNumber(), {{someRoom(), test::numberOf<std::uint32_t>(0, 9)}}};
    case 1:
      return RoomSay{someRoom(), {*SpeakerId::fromRaw("one who speaks.."), 7}, test::textOf(1, 50)};
    default:
      const auto from = static_cast<RoomAsk::From>(test::numberOf(1, 3));
      const auto most = from == RoomAsk::From::last ? test::numberOf<std::uint32_t>(1, 1000) : 0;
      return RoomAsk{someRoom(), test::numberOf<std::uint64_t>(1, ~0ull), from,
                     someOf<RoomPlace>(limits::kRoomPlaces, somePlace), most};
  }
}

RoomReply someReply() {
  switch (test::numberOf(0, 3)) {
    case 0:
      return someSaidReply();
    case 1: {
      RoomMessages messages;
      messages.room = someRoom();
      messages.answers = test::someNumber();
      messages.after = somePlace();
      messages.earlier = someOf<RoomPlace>(limits::kRoomPlaces, somePlace);
      messages.entries = someOf<RoomEntry>(5, someEntry);
      for (auto& entry : messages.entries) entry.room = messages.room;
      messages.missingFrom = test::numberOf<std::uint64_t>(0, 3);
      messages.missingTo = messages.missingFrom * 2;
      messages.isMore = *rc::gen::arbitrary<bool>();
      messages.isClosed = *rc::gen::arbitrary<bool>();
      return messages;
    }
    case 2:
      return RoomState{someRoom(), test::someMembers(), test::numberOf<std::uint32_t>(0, 20),
                       *rc::gen::arbitrary<bool>(), test::textOf(0, 20)};
    default:
      return RoomMoved{someRoom(), test::someId(), *rc::gen::arbitrary<bool>()};
  }
}

RoomServerMessage someServerMessage() {
  const auto epoch = test::someEpoch();
  switch (test::numberOf(0, 3)) {
    case 0: {
      RoomEntries entries;
      entries.epoch = epoch;
      entries.answers = test::someNumber();
      entries.after = {test::someEpoch(), 5};
      entries.entries = someOf<RoomEntry>(5, someEntry);
      for (std::size_t i = 0; i < entries.entries.size(); ++i) {
        entries.entries[i].position = {epoch, 6 + 2 * i};
      }
      entries.upTo = {epoch, 20};
      entries.last = somePosition();
      entries.committed = test::someSequence(0);
      entries.rests = someOf<RoomRest>(3, [] {
        return RoomRest{someRoom(), somePosition(), test::someSequence(0),
                        test::numberOf<std::uint32_t>(0, 20), *rc::gen::arbitrary<bool>()};
      });
      entries.ended = someOf<LogPosition>(3, somePosition);
      entries.known = someOf<RoomKnown>(3, [] { return RoomKnown{someRoom(), someEntryId()}; });
      return entries;
    }
    case 1:
      return RoomPull{epoch, test::numberOf<std::uint64_t>(1, ~0ull),
                      someOf<LogPosition>(limits::kRoomMarks, somePosition)};
    case 2:
      return RoomHave{epoch, test::someSequence(0), *rc::gen::arbitrary<bool>()};
    default:
      return RoomApart{epoch, someOf<RoomEntry>(5, someEntry)};
  }
}

// What was encoded reads back; of damaged bytes comes an error, or a message that reads back.
template <typename Message, typename Decode>
void checkBothWays(const Message& message, Decode decode) {
  const auto back = decode(encode(message));
  RC_ASSERT(back.ok());
  RC_ASSERT(*back == message);
  const auto other = decode(test::damaged(encode(message)));
  if (!other) return RC_ASSERT(other.error().code == ErrorCode::protocol);
  const auto again = decode(encode(*other));
  RC_ASSERT(again.ok());
  RC_ASSERT(*again == *other);
}

template <typename Change>
bool entryDecodesWhen(Change change) {
  RoomEntry entry;
  entry.room = *RoomName::parse("fleece");
  entry.position = {{1, ServerNumber{7}}, 5};
  entry.number = 3;
  entry.id = {*SpeakerId::fromRaw("one who speaks.."), 1};
  entry.author = *PeerId::parse("s4");
  entry.text = "hello";
  proto::RoomServerMessage message;
  toProto(RoomServerMessage(RoomApart{{1, ServerNumber{7}}, {entry}}), message);
  change(*message.mutable_apart()->mutable_entries(0));
  return fromProto(message).ok();
}

}  // namespace

TEST_CASE("each message of rooms reads back, and damaged ones are refused or sound") {
  CHECK(rc::check([] { checkBothWays(someRequest(), decodeRoomRequest); }));
  CHECK(rc::check([] { checkBothWays(someReply(), decodeRoomReply); }));
  CHECK(rc::check([] { checkBothWays(someServerMessage(), decodeRoomServerMessage); }));
  CHECK(rc::check([] {
    const RoomSay say{someRoom(), {*SpeakerId::fromRaw("one who speaks.."), 7}, "hi"};
    checkBothWays(RoomPassed(RoomSaid{say, test::someId(), 17, 3}), decodeRoomPassed);
    const RoomsWanted wanted{3, {{someRoom(), 0}}};
    checkBothWays(RoomPassed(MemberRooms{test::someId(), wanted}), decodeRoomPassed);
    checkBothWays(RoomAnswer(someSaidReply()), decodeRoomAnswer);
    checkBothWays(RoomAnswer(RoomRefused{test::someId(), someRoom(), "no"}), decodeRoomAnswer);
  }));
}

TEST_CASE("an entry of a room keeps its limits") {
  using Entry = proto::RoomEntry;
  CHECK(entryDecodesWhen([](Entry&) {}));
  const auto longest = std::string(limits::kRoomTextBytes, 'x');
  CHECK(entryDecodesWhen([&](Entry& entry) { entry.set_text(longest); }));
  CHECK_FALSE(entryDecodesWhen([&](Entry& entry) { entry.set_text(longest + "x"); }));
  CHECK_FALSE(entryDecodesWhen([](Entry& entry) { entry.clear_text(); }));
  CHECK_FALSE(entryDecodesWhen([](Entry& entry) { entry.set_text("half a character: \xc3"); }));
  CHECK_FALSE(entryDecodesWhen([](Entry& entry) { entry.set_room("a:b"); }));
  CHECK_FALSE(entryDecodesWhen([](Entry& entry) { entry.clear_author(); }));
  CHECK_FALSE(entryDecodesWhen([](Entry& entry) { entry.set_kind(5); }));
  CHECK_FALSE(entryDecodesWhen([](Entry& entry) { entry.set_opens_at(3); }));
  CHECK_FALSE(entryDecodesWhen([](Entry& entry) { entry.mutable_id()->set_counter(0); }));
  CHECK_FALSE(entryDecodesWhen([](Entry& entry) { entry.mutable_id()->set_speaker("short"); }));
  CHECK_FALSE(entryDecodesWhen([](Entry& entry) { entry.set_at_ms(1ull << 53); }));
  CHECK_FALSE(entryDecodesWhen([](Entry& entry) { entry.mutable_position()->set_sequence(0); }));
}

TEST_CASE("a peer's list of rooms is by name, each once, and 32 at most") {
  const auto decodes = [](std::size_t count, bool isTwice) {
    proto::RoomRequest request;
    auto& wanted = *request.mutable_wanted();
    for (std::size_t i = 0; i < count; ++i) {
      wanted.add_rooms()->set_room("r" + std::to_string(100 + (isTwice ? i / 2 : i)));
    }
    return fromProto(request).ok();
  };
  CHECK(decodes(limits::kRoomsOfPeer, false));
  CHECK_FALSE(decodes(limits::kRoomsOfPeer + 1, false));
  CHECK_FALSE(decodes(4, true));
}
