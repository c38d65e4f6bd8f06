#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <string>
#include <vector>

#include "common/base/limits.h"
#include "common/wire/rooms_codec.h"
#include "rooms.pb.h"
#include "tests/unit/rooms_generators.h"

using namespace espalier;
using namespace espalier::wire;

namespace {

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
  CHECK(rc::check([] { checkBothWays(test::someRoomRequest(), decodeRoomRequest); }));
  CHECK(rc::check([] { checkBothWays(test::someRoomReply(), decodeRoomReply); }));
  CHECK(rc::check([] { checkBothWays(test::someRoomServerMessage(), decodeRoomServerMessage); }));
  CHECK(rc::check([] {
    const RoomSay say{test::someRoom(), {*SpeakerId::fromRaw("one who speaks.."), 7}, "hi"};
    checkBothWays(RoomPassed(RoomSaid{say, test::someId(), 17, 3}), decodeRoomPassed);
    const RoomsWanted wanted{3, {{test::someRoom(), 0}}};
    checkBothWays(RoomPassed(MemberRooms{test::someId(), wanted}), decodeRoomPassed);
    checkBothWays(RoomAnswer(test::someSaidReply()), decodeRoomAnswer);
    checkBothWays(RoomAnswer(RoomRefused{test::someId(), test::someRoom(), "no"}),
                  decodeRoomAnswer);
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
