// Messages of rooms in the frames of peers and of metaservers, and the lists of rooms and members.
#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <string>
#include <utility>
#include <variant>

#include "common/base/limits.h"
#include "common/wire/cluster_codec.h"
#include "common/wire/registry_codec.h"
#include "registry.pb.h"
#include "tests/unit/rooms_generators.h"

using namespace espalier;
using namespace espalier::wire;

namespace {

RegistryRequest someRequest() {
  const auto number = test::numberOf<std::uint64_t>(1, ~0ull);
  switch (test::numberOf(0, 2)) {
    case 0:
      return test::someRoomRequest();
    case 1:
      return RoomListRequest{test::numberOf(0, 1) == 0 ? RoomName() : test::someRoom(), number};
    default:
      return RoomWhoRequest{test::numberOf(0, 1) == 0 ? RoomName() : test::someRoom(),
                            test::maybeId().value_or(PeerId()), number};
  }
}

RegistryReply someReply() {
  switch (test::numberOf(0, 2)) {
    case 0:
      return test::someRoomReply();
    case 1:
      return test::someRoomList();
    default:
      return test::someRoomWho();
  }
}

ClusterFrame someFrame() {
  switch (test::numberOf(0, 2)) {
    case 0: {
      SessionRequests batch{test::someEpoch(), 1, 9, {}};
      batch.messages.emplace_back(SessionRoomPassed{test::someRoomPassed()});
      batch.messages.emplace_back(SessionEnded{SessionId{3}});
      return {test::maybeRoute(), std::move(batch)};
    }
    case 1: {
      SessionAnswers batch{test::someEpoch(), 1, 9, false, {}};
      batch.messages.emplace_back(SessionClosed{SessionId{3}});
      batch.messages.emplace_back(SessionRoomAnswer{test::someRoomAnswer()});
      return {test::maybeRoute(), std::move(batch)};
    }
    default:
      return {test::maybeRoute(), test::someRoomServerMessage()};
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
bool listDecodesWhen(Change change) {
  const RoomList list{
      7,
      {{*RoomName::parse("fleece"), 2, 3, false, 17}, {*RoomName::parse("wool"), 1, 0, true, 1}},
      true};
  proto::RegistryReplyFrame frame;
  REQUIRE(frame.ParseFromString(encode(RegistryReply(list))));
  change(*frame.mutable_room_list());
  return decodeRegistryReply(frame.SerializeAsString()).ok();
}

template <typename Change>
bool whoDecodesWhen(Change change) {
  const RoomWho who{7,
                    2,
                    {{*PeerId::parse("s1"), *ServerName::parse("m1"), {}},
                     {*PeerId::parse("s2"), ServerName(), {}}},
                    true};
  proto::RegistryReplyFrame frame;
  REQUIRE(frame.ParseFromString(encode(RegistryReply(who))));
  change(*frame.mutable_room_who());
  return decodeRegistryReply(frame.SerializeAsString()).ok();
}

RoomEntry longEntry(std::uint64_t sequence) {
  RoomEntry entry;
  entry.room = *RoomName::parse(std::string(limits::kPeerIdBytes, 'r'));
  entry.position = {{limits::kEpochCounter, ServerNumber{0xffff}}, sequence};
  entry.number = limits::kSequenceNumbers - 1;
  entry.id = {*SpeakerId::fromRaw("one who speaks.."), ~0ull};
  entry.atMs = (1ull << 53) - 1;
  entry.author = *PeerId::parse(std::string(limits::kPeerIdBytes, 'a'));
  entry.text = std::string(limits::kRoomTextBytes, 'x');
  return entry;
}

}  // namespace

TEST_CASE("messages of rooms read back in the frames that contain them") {
  CHECK(rc::check([] { checkBothWays(someRequest(), decodeRegistryRequest); }));
  CHECK(rc::check([] { checkBothWays(someReply(), decodeRegistryReply); }));
  CHECK(rc::check([] { checkBothWays(someFrame(), decodeCluster); }));
}

TEST_CASE("a list of rooms rises, is a page at most, and has a row before more") {
  using List = proto::RoomList;
  CHECK(listDecodesWhen([](List&) {}));
  CHECK_FALSE(listDecodesWhen([](List& list) { list.clear_number(); }));
  CHECK_FALSE(listDecodesWhen([](List& list) { list.clear_rooms(); }));
  CHECK_FALSE(listDecodesWhen([](List& list) { list.mutable_rooms(1)->set_room("fleece"); }));
  CHECK_FALSE(listDecodesWhen([](List& list) { list.mutable_rooms(1)->set_room(""); }));
  CHECK_FALSE(listDecodesWhen([](List& list) { list.mutable_rooms(0)->set_members(1u << 30); }));
  CHECK_FALSE(listDecodesWhen([](List& list) { list.mutable_rooms(0)->set_opens_at(~0u); }));
  CHECK_FALSE(listDecodesWhen([](List& list) { list.mutable_rooms(0)->set_last(~0ull); }));
  const auto fill = [](List& list, std::size_t count) {
    list.clear_rooms();
    for (std::size_t i = 0; i < count; ++i) {
      list.add_rooms()->set_room("r" + std::to_string(1000 + i));
    }
  };
  CHECK(listDecodesWhen([&](List& list) { fill(list, limits::kRoomListPage); }));
  CHECK_FALSE(listDecodesWhen([&](List& list) { fill(list, limits::kRoomListPage + 1); }));
}

TEST_CASE("a list of members rises, and names homes that can be") {
  using Who = proto::RoomWho;
  CHECK(whoDecodesWhen([](Who&) {}));
  CHECK_FALSE(whoDecodesWhen([](Who& who) { who.clear_number(); }));
  CHECK_FALSE(whoDecodesWhen([](Who& who) { who.clear_members(); }));
  CHECK_FALSE(whoDecodesWhen([](Who& who) { who.mutable_members(1)->set_id("s1"); }));
  CHECK_FALSE(whoDecodesWhen([](Who& who) { who.mutable_members(0)->set_id(""); }));
  CHECK_FALSE(whoDecodesWhen([](Who& who) { who.mutable_members(0)->set_home("a:b"); }));
  CHECK_FALSE(whoDecodesWhen([](Who& who) { who.mutable_members(0)->set_since_ms(1ull << 53); }));
  CHECK_FALSE(whoDecodesWhen([](Who& who) { who.set_count(~0ull); }));
}

TEST_CASE("a message of rooms between metaservers fits a frame, also on its way") {
  RoomEntries entries;
  entries.epoch = {limits::kEpochCounter, ServerNumber{0xffff}};
  std::size_t bytes = 0;
  for (std::uint64_t sequence = 1; bytes <= limits::kRoomBatchBytes; ++sequence) {
    entries.entries.push_back(longEntry(sequence));
    bytes += 128 + 2 * limits::kPeerIdBytes + limits::kRoomTextBytes;
  }
  entries.after = {};
  entries.upTo = entries.last = entries.entries.back().position;
  const Route route{ServerNumber{0xffff}, ServerNumber{0xfffe}, limits::kMetaservers};
  const auto frame = decodeCluster(encode(ClusterMessage(RoomServerMessage(entries)), route));
  REQUIRE(frame);
  CHECK(encode(*frame).size() <= limits::kFrameBytes);
}

TEST_CASE("a message that would not fit a frame again on its way is refused") {
  // Each position of zero may be absent, and has two bytes when it is written again.
  proto::ClusterFrame frame;
  auto& apart = *frame.mutable_rooms()->mutable_apart();
  for (std::size_t i = 0; i < limits::kRoomBatch; ++i) {
    auto& entry = *apart.add_entries();
    entry.set_room("fleece");
    entry.set_number(1);
    entry.mutable_id()->set_speaker("one who speaks..");
    entry.mutable_id()->set_counter(i + 1);
    entry.set_author("s4");
    entry.set_kind(1);
    entry.set_text(std::string(70, 'x'));
  }
  const auto last = static_cast<int>(limits::kRoomBatch) - 1;
  while (frame.ByteSizeLong() < limits::kFrameBytes - 100) {
    apart.mutable_entries(last)->mutable_text()->append(50, 'x');
  }
  const auto back = decodeCluster(frame.SerializeAsString());
  CHECK_FALSE(back);
}

TEST_CASE("what is about a room in a stream of sessions is of no session") {
  const SessionRequests requests{
      {3, ServerNumber{7}}, 1, 1, {SessionRoomPassed{MemberRooms{*PeerId::parse("s1"), {}}}}};
  using Frame = proto::ClusterFrame;
  CHECK_FALSE(test::decodesWhen(requests, [](Frame& frame) {
    frame.mutable_session_requests()->mutable_messages(0)->set_session(4);
  }));
  CHECK_FALSE(test::decodesWhen(requests, [](Frame& frame) {
    frame.mutable_session_requests()->mutable_messages(0)->mutable_room()->clear_rooms();
  }));
  CHECK_FALSE(test::decodesWhen(requests, [](Frame& frame) {
    auto& room = *frame.mutable_session_requests()->mutable_messages(0)->mutable_room();
    room.mutable_rooms()->clear_wanted();
  }));
}
