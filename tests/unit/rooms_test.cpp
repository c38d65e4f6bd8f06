// One metaserver, or the log of one, by hand. What several do together is in tests/simulation.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "metaserver/core/rooms/room_tail.h"
#include "metaserver/core/rooms/rooms.h"
#include "tests/support/room_network.h"
#include "tests/support/room_store.h"

using namespace espalier;
using namespace espalier::metaserver::rooms;
using namespace std::chrono_literals;
using Kind = wire::RoomEntry::Kind;

namespace {

constexpr ConnectionId kConnection{2};
const PeerId kPeer = *PeerId::parse("s4");
const RoomName kRoom = *RoomName::parse("fleece");
const SpeakerId kSpeaker = *SpeakerId::fromRaw("sixteen at rando");
const Epoch kEpoch{1, ServerNumber{7}};

TimePoint at(Duration since) {
  return TimePoint(1h) + since;
}

// A metaserver that decides alone, with a disk that is synced when told.
struct Alone {
  explicit Alone(test::RoomStore disk = {}, Epoch epoch = kEpoch, Rooms::Options options = {})
      : store(std::move(disk)), rooms(with(options), store.stored()) {
    rooms.decide(epoch, {}, now, fx);
    rooms.peerOpened(kConnection, kPeer, now);
    sync();
  }
  static Rooms::Options with(Rooms::Options options) {
    options.self = ServerNumber{7};
    options.wallMs = 1'000'000;
    return options;
  }
  void request(const wire::RoomRequest& message) {
    rooms.peerReceived(kConnection, message, 1'000'000, now, fx);
  }
  void join(std::uint32_t opensAt) {
    request(wire::RoomsWanted{++revision, {{kRoom, opensAt}}});
    for (const auto& member : std::exchange(fx.members, {})) {
      rooms.memberRooms(member.member, member.rooms, true, now, fx);
    }
  }
  void say(std::uint64_t counter, const RoomName& room = kRoom) {
    request(wire::RoomSay{room, {kSpeaker, counter}, "number " + std::to_string(counter)});
  }
  void sync() {
    while (fx.persist) {
      for (const auto& write : std::exchange(fx.writes, {})) store.write(write);
      rooms.persisted(*std::exchange(fx.persist, {}), now, fx);
    }
  }
  template <typename Reply>
  std::vector<Reply> take() {
    std::vector<Reply> taken;
    for (auto& [to, reply, range] : fx.peers) {
      if (auto* messages = std::get_if<wire::RoomMessages>(&reply); messages && range) {
        store.fill(*messages, *range);
      }
      if (const auto* one = std::get_if<Reply>(&reply)) taken.push_back(*one);
    }
    std::erase_if(fx.peers,
                  [](const auto& one) { return std::holds_alternative<Reply>(one.reply); });
    return taken;
  }
  wire::RoomMessages ask(const wire::RoomAsk& ask) {
    take<wire::RoomMessages>();
    request(ask);
    const auto answers = take<wire::RoomMessages>();
    REQUIRE(answers.size() == 1);
    return answers.front();
  }

  TimePoint now = at(0s);
  test::RoomStore store;
  RoomsEffects fx;
  Rooms rooms;
  std::uint64_t revision = 0;
};

wire::RoomEntry entry(wire::RoomEntry one, Epoch epoch, std::uint64_t sequence,
                      std::uint64_t numberInRoom) {
  one.position = {epoch, sequence};
  one.number = numberInRoom;
  return one;
}

}  // namespace

TEST_CASE("a message is acknowledged and told once it is on the disk") {
  Alone alone;
  alone.join(0);
  alone.say(1);
  CHECK(alone.take<wire::RoomSaidReply>().empty());
  CHECK(alone.take<wire::RoomMessages>().empty());

  alone.sync();

  const auto said = alone.take<wire::RoomSaidReply>();
  REQUIRE(said.size() == 1);
  CHECK(said[0].number == 1);
  CHECK(said[0].epoch == kEpoch);
  CHECK(said[0].stored == 1);
  const auto told = alone.take<wire::RoomMessages>();
  REQUIRE(told.size() == 1);
  REQUIRE(told[0].entries.size() == 1);
  CHECK(told[0].entries[0].text == "number 1");
}

TEST_CASE("the same id has the same number, also after a restart") {
  Alone alone;
  alone.join(0);
  alone.say(1);
  alone.say(2);
  alone.sync();
  Alone again(alone.store, {2, ServerNumber{7}});
  again.join(0);
  again.say(2);
  again.sync();

  const auto said = again.take<wire::RoomSaidReply>();

  REQUIRE(said.size() == 1);
  CHECK(said[0].number == 2);
  CHECK(said[0].epoch == kEpoch);
  CHECK(again.rooms.log().find(kRoom)->lastNumber() == 2);
}

TEST_CASE("whoever says too much is told how long to wait") {
  Rooms::Options options;
  options.rate = {5, 2};
  Alone alone({}, kEpoch, options);
  alone.join(0);
  for (std::uint64_t i = 1; i <= 3; ++i) alone.say(i);
  alone.sync();

  auto said = alone.take<wire::RoomSaidReply>();
  REQUIRE(said.size() == 3);
  CHECK(said[0].number == 0);
  CHECK(said[0].id.counter == 3);
  CHECK(said[0].code == ErrorCode::refused);
  CHECK(said[0].waitMs == 200);

  alone.now += 200ms;
  alone.say(4);
  alone.sync();
  CHECK(alone.take<wire::RoomSaidReply>().at(0).number == 3);
}

TEST_CASE("the answer goes to the latest session of its author") {
  constexpr ConnectionId kLater{1};  // ids need not rise
  Alone alone;
  alone.join(0);
  alone.rooms.peerOpened(kLater, kPeer, alone.now);
  alone.rooms.peerReceived(kLater, wire::RoomsWanted{9, {}}, 1'000'000, alone.now, alone.fx);
  const wire::RoomSay say{lobby(), {kSpeaker, 1}, "twice"};
  alone.rooms.peerReceived(kLater, say, 1'000'000, alone.now, alone.fx);
  // What was under way in the session before is read behind that.
  alone.request(say);
  alone.fx.peers.clear();

  alone.sync();

  std::vector<ConnectionId> answered;
  for (const auto& [to, reply, range] : alone.fx.peers) {
    if (std::holds_alternative<wire::RoomSaidReply>(reply)) answered = to;
  }
  REQUIRE(answered.size() == 1);
  CHECK(answered[0] == kLater);
}

TEST_CASE("a peer that has not told its rooms hears nothing, and says nothing") {
  constexpr ConnectionId kOld{1};
  Alone alone;
  alone.rooms.peerOpened(kOld, *PeerId::parse("s5"), alone.now);
  alone.join(0);
  alone.say(1, lobby());
  alone.sync();
  for (const auto& [to, reply, range] : alone.fx.peers) {
    CHECK(std::find(to.begin(), to.end(), kOld) == to.end());
  }
  alone.fx.peers.clear();

  alone.rooms.peerReceived(kOld, wire::RoomSay{lobby(), {kSpeaker, 9}, "hi"}, 1, alone.now,
                           alone.fx);

  CHECK(alone.take<wire::RoomSaidReply>().at(0).number == 0);
}

TEST_CASE("what the disk does not take is refused before it fills the memory") {
  Rooms::Options options;
  options.rate = {1e6, 1e6};
  Alone alone({}, kEpoch, options);
  alone.join(0);
  alone.sync();
  const std::string text(limits::kRoomTextBytes, 'x');
  std::uint64_t counter = 0;
  std::vector<wire::RoomSaidReply> refused;
  constexpr auto kMost = 2 * limits::kRoomUnsyncedBytes / limits::kRoomTextBytes;
  for (ConnectionId peer{100}; refused.empty() && counter < kMost;) {
    if (counter % limits::kRoomSays == 0) {  // so many of one peer may wait
      peer = ConnectionId{number(peer) + 1};
      alone.rooms.peerOpened(peer, *PeerId::parse("p" + std::to_string(counter)), alone.now);
      alone.rooms.peerReceived(peer, wire::RoomsWanted{1, {}}, 1, alone.now, alone.fx);
    }
    const wire::RoomSay say{lobby(), {kSpeaker, ++counter}, text};
    alone.rooms.peerReceived(peer, say, 1'000'000, alone.now, alone.fx);
    refused = alone.take<wire::RoomSaidReply>();
  }
  REQUIRE(refused.size() == 1);
  CHECK(refused[0].number == 0);
  CHECK(refused[0].waitMs > 0);

  alone.sync();  // the disk has caught up

  CHECK(alone.take<wire::RoomSaidReply>().size() == counter - 1);
  alone.say(counter + 1);
  alone.sync();
  CHECK(alone.take<wire::RoomSaidReply>().at(0).number > 0);
}

TEST_CASE("while its disk fails the master refuses, and says so") {
  Alone alone;
  alone.join(0);
  alone.sync();
  alone.rooms.setFailing(true, alone.now, alone.fx);
  alone.say(1);
  const auto refused = alone.take<wire::RoomSaidReply>();
  REQUIRE(refused.size() == 1);
  CHECK(refused[0].number == 0);
  CHECK(refused[0].why.find("disk") != std::string::npos);

  alone.rooms.setFailing(false, alone.now, alone.fx);
  alone.say(1);
  alone.sync();

  CHECK(alone.take<wire::RoomSaidReply>().at(0).number == 1);
}

TEST_CASE("without a master what is said waits, or is refused where etcd decides") {
  Alone alone;
  alone.join(0);
  alone.rooms.leaderless(false, alone.now, alone.fx);
  alone.say(1);
  alone.sync();
  CHECK(alone.take<wire::RoomSaidReply>().empty());

  alone.rooms.leaderless(true, alone.now, alone.fx);
  alone.say(2);

  const auto refused = alone.take<wire::RoomSaidReply>();
  REQUIRE(refused.size() == 2);
  for (const auto& one : refused) {
    CHECK(one.number == 0);
    CHECK(exitCode(one.code) == 75);
  }
}

TEST_CASE("a room that opens at two shows nothing before, and all of it then") {
  Alone alone;
  alone.join(2);
  alone.say(1);
  alone.sync();
  CHECK(alone.take<wire::RoomMessages>().empty());
  CHECK(alone.take<wire::RoomSaidReply>().size() == 1);
  CHECK(alone.ask({kRoom, 1, wire::RoomAsk::From::places, {}, 0}).isClosed);
  const auto rows = alone.rooms.rows();
  CHECK(rows.at(0).room == kRoom);
  CHECK(rows.at(0).opensAt == 2);
  CHECK_FALSE(rows.at(0).isOpen);
  CHECK(tailOf(alone.rooms, kRoom, 9, 9999).state == RoomTail::State::closed);

  alone.rooms.memberRooms(*PeerId::parse("s5"), {kRoom}, true, alone.now, alone.fx);
  CHECK(alone.take<wire::RoomMessages>().empty());  // that it opens is not on the disk yet
  alone.sync();

  const auto told = alone.take<wire::RoomMessages>();
  REQUIRE(told.size() == 1);
  CHECK(told[0].entries.at(0).kind == Kind::opened);
  const auto all = alone.ask({kRoom, 2, wire::RoomAsk::From::places, {}, 0});
  REQUIRE(all.entries.size() == 3);
  CHECK(all.entries[0].kind == Kind::made);
  CHECK(all.entries[1].text == "number 1");

  alone.rooms.memberGone(*PeerId::parse("s5"), alone.now, alone.fx);
  Alone again(alone.store, {2, ServerNumber{7}});
  again.join(2);
  CHECK_FALSE(again.rooms.isClosed(kRoom));
}

TEST_CASE(
    "who was there before a room has opened is told that it was closed, and then where it is") {
  Alone alone;
  alone.join(2);
  alone.say(1);
  alone.sync();
  alone.rooms.memberRooms(*PeerId::parse("s5"), {kRoom}, true, alone.now, alone.fx);
  alone.sync();
  REQUIRE_FALSE(alone.rooms.isClosed(kRoom));
  alone.take<wire::RoomMessages>();

  alone.request(wire::RoomAsk{kRoom, 1, wire::RoomAsk::From::now, {}, 0});

  const auto told = alone.take<wire::RoomMessages>();
  REQUIRE(told.size() == 2);
  CHECK(told[0].isClosed);
  CHECK(told[0].answers == 1);
  CHECK(told[1].answers == 0);
  CHECK(told[1].after.number == 3);
  const auto now = alone.ask({kRoom, 2, wire::RoomAsk::From::now, {}, 0});
  CHECK_FALSE(now.isClosed);
  CHECK(now.after.number == 3);
}

TEST_CASE("the network opens by members that have told their rooms, not by newcomers") {
  Rooms::Options options;
  options.lobbyOpensAt = 2;
  Alone alone({}, kEpoch, options);
  alone.rooms.memberRooms(kPeer, {}, true, alone.now, alone.fx);
  alone.rooms.memberRooms(*PeerId::parse("s5"), {}, false, alone.now, alone.fx);
  alone.sync();
  CHECK(alone.rooms.isClosed(lobby()));
  CHECK(alone.rooms.members().countOf(lobby()) == 1);
  CHECK(alone.rooms.members().all().size() == 2);

  alone.rooms.memberRooms(*PeerId::parse("s5"), {}, true, alone.now, alone.fx);
  alone.sync();

  CHECK_FALSE(alone.rooms.isClosed(lobby()));
  alone.rooms.memberGone(*PeerId::parse("s5"), alone.now, alone.fx);
  CHECK(alone.rooms.members().countOf(lobby()) == 1);
}

TEST_CASE("a metaserver whose disk fails is not waited for") {
  Rooms::Options options;
  options.self = ServerNumber{7};
  options.wallMs = 1'000'000;
  test::RoomStore disk;
  Rooms master(options, disk.stored());
  const ServerNumber other{8};
  RoomsEffects fx;
  master.decide(kEpoch, {other}, at(0s), fx);
  master.tick(1'000'000, at(3s), fx);  // it has not answered: the master goes on without its log
  master.passed(other, wire::RoomSaid{{kRoom, {kSpeaker, 1}, "hello"}, kPeer, 5, 0}, at(3s), fx);
  REQUIRE(fx.persist);
  master.persisted(*fx.persist, at(3s), fx);
  CHECK(fx.toHomes.empty());
  CHECK(master.committed() == 0);

  master.received(other, wire::RoomHave{kEpoch, 0, true}, at(4s), fx);

  CHECK(master.committed() == 1);
  REQUIRE(fx.toHomes.size() == 1);
  CHECK(std::get<wire::RoomSaidReply>(fx.toHomes[0].second).stored == 1);
}

TEST_CASE("an epoch below that of the log decides nothing") {
  Alone alone({}, {3, ServerNumber{7}});
  alone.join(0);
  alone.say(1);
  alone.sync();

  Alone again(alone.store, {2, ServerNumber{7}});

  CHECK_FALSE(again.rooms.isDeciding());
  REQUIRE(again.fx.needsEpoch);
  CHECK(*again.fx.needsEpoch == Epoch{3, ServerNumber{7}});
}

TEST_CASE("a room that ended on another side only is closed again, also after a restart") {
  const auto other = *RoomName::parse("barn");
  wire::RoomEntry said;
  said.room = kRoom;
  said.id = {kSpeaker, 1};
  said.text = "in the closed room";
  auto ended = said;
  ended.kind = Kind::ended;
  ended.id = endedId();
  test::RoomStore store;
  RoomLog first;
  const auto write = [&](RoomLog::Writes writes) {
    for (const auto& one : writes) store.write(one);
  };
  RoomLog::Writes writes;
  REQUIRE(first.append(entry(madeEntry(kRoom, 5), kEpoch, 1, 1), writes));
  REQUIRE(first.append(entry(ended, kEpoch, 2, 2), writes));
  first.forget(kRoom, writes);
  // One that was made again, with an easier gate: it gets the one that it had.
  REQUIRE(first.append(entry(madeEntry(other, 4), kEpoch, 3, 1), writes));
  ended.room = other;
  REQUIRE(first.append(entry(ended, kEpoch, 4, 2), writes));
  first.forget(other, writes);
  REQUIRE(first.append(entry(madeEntry(other, 3), kEpoch, 5, 1), writes));
  write(std::exchange(writes, {}));
  REQUIRE_FALSE(first.find(kRoom));

  RoomLog log(store.stored());
  log.truncate({kEpoch, 1}, writes);

  REQUIRE(log.find(kRoom));
  CHECK(log.find(kRoom)->isClosed());
  CHECK(log.find(kRoom)->opensAt() == 5);
  CHECK(log.find(other)->opensAt() == 4);
  CHECK(log.append(entry(said, {2, ServerNumber{1}}, 2, 2), writes));
  CHECK(log.find(kRoom)->isClosed());
  CHECK(log.checkInvariants());
  write(std::exchange(writes, {}));
  RoomLog again(store.stored());
  CHECK(again.find(kRoom)->isClosed());
  CHECK(again.find(kRoom)->opensAt() == 5);
  CHECK(store.stored().ended.empty());

  // A log that keeps the end keeps the room away.
  write([&] {
    RoomLog::Writes more;
    ended.room = kRoom;
    REQUIRE(again.append(entry(ended, {2, ServerNumber{1}}, 3, 3), more));
    again.forget(kRoom, more);
    REQUIRE(again.append(entry(madeEntry(other, 3), {2, ServerNumber{1}}, 4, 1), more));
    return more;
  }());
  again.truncate({{2, ServerNumber{1}}, 3}, writes);
  CHECK_FALSE(again.find(kRoom));
}

// A room has ended at the master of one side of a cut; the other side has said something in it.
TEST_CASE("what another side has said in a room that ended here comes behind its gate again") {
  wire::RoomEntry said;
  said.room = kRoom;
  said.id = {kSpeaker, 1};
  said.author = kPeer;
  said.text = "in the closed room";
  auto ended = said;
  ended.kind = Kind::ended;
  ended.id = endedId();
  const Epoch later{2, ServerNumber{7}};
  RoomLog::Writes writes;
  RoomLog copy;
  REQUIRE(copy.append(entry(madeEntry(kRoom, 2), kEpoch, 1, 1), writes));
  REQUIRE(copy.append(entry(said, kEpoch, 2, 2), writes));
  copy.truncate({kEpoch, 1}, writes);
  REQUIRE(copy.append(entry(ended, later, 2, 2), writes));
  copy.forget(kRoom, writes);

  const auto offered = withGates(copy, {said});

  REQUIRE(offered.size() == 2);
  CHECK(offered[0].kind == Kind::made);
  CHECK(offered[0].opensAt == 2);

  // At the master, which has not forgotten the room yet.
  test::RoomStore disk;
  RoomLog log;
  writes.clear();
  REQUIRE(log.append(entry(madeEntry(kRoom, 2), kEpoch, 1, 1), writes));
  REQUIRE(log.append(entry(ended, later, 2, 2), writes));
  for (const auto& write : writes) disk.write(write);
  Alone master(disk, {3, ServerNumber{7}});
  RoomsEffects fx;
  master.rooms.setOthers({ServerNumber{8}}, master.now, fx);
  master.rooms.received(ServerNumber{8}, wire::RoomApart{{3, ServerNumber{7}}, offered}, master.now,
                        fx);

  const auto* room = master.rooms.log().find(kRoom);
  REQUIRE(room);
  CHECK(room->lastNumber() == 2);
  CHECK(room->entries().front().kind == Kind::made);
  CHECK(room->isClosed());
  // And at the copy, which takes that in.
  for (const auto& message : fx.messages) {
    const auto* entries = std::get_if<wire::RoomEntries>(&message.message);
    if (entries == nullptr) continue;
    for (const auto& one : entries->entries) CHECK(copy.append(one, writes));
  }
  REQUIRE(copy.find(kRoom));
  CHECK(copy.find(kRoom)->isClosed());
  CHECK(copy.find(kRoom)->lastNumber() == 2);
  CHECK(copy.apart().empty());
  CHECK(copy.checkInvariants());
}

TEST_CASE("a room whose end the master has not heard of goes on behind its gate") {
  RoomLog::Writes writes;
  RoomLog log;
  auto made = madeEntry(kRoom, 2);
  made.position = {kEpoch, 1};
  made.number = 1;
  REQUIRE(log.append(made, writes));
  wire::RoomEntry entry;
  entry.room = kRoom;
  entry.id = endedId();
  entry.kind = Kind::ended;
  entry.position = {kEpoch, 2};
  entry.number = 2;
  REQUIRE(log.append(entry, writes));
  log.forget(kRoom, writes);

  entry.id = {kSpeaker, 1};
  entry.kind = Kind::message;
  entry.position = {{2, ServerNumber{8}}, 3};
  REQUIRE(log.append(entry, writes));  // as number 2

  CHECK(log.find(kRoom)->isClosed());
  CHECK(log.find(kRoom)->opensAt() == 2);
}

TEST_CASE("a master that counts a room anew is followed, also behind what has lapsed there") {
  RoomLog::Writes writes;
  RoomLog log;
  wire::RoomEntry entry;
  entry.room = kRoom;
  for (std::uint64_t i = 1; i <= 5; ++i) {
    entry.id = {kSpeaker, i};
    entry.position = {kEpoch, i};
    entry.number = i;
    REQUIRE(log.append(entry, writes));
  }
  const Epoch later{2, ServerNumber{7}};

  log.takeRest({kRoom, {later, 7}, 2, 0, false}, writes);

  entry.id = {kSpeaker, 8};
  entry.position = {later, 8};
  entry.number = 3;
  CHECK(log.append(entry, writes));
  CHECK(log.find(kRoom)->lastNumber() == 3);
  CHECK(log.find(kRoom)->firstNumber() == 3);
  CHECK(log.checkInvariants());
}

TEST_CASE("what is not kept any more is told by its numbers") {
  Rooms::Options options;
  options.messagesMost = 3;
  Alone alone({}, kEpoch, options);
  alone.join(0);
  for (std::uint64_t i = 1; i <= 10; ++i) alone.say(i);
  alone.sync();
  const auto first = alone.rooms.log().find(kRoom)->at(2).position;
  alone.rooms.tick(1'000'000 + 61'000, alone.now + 61s, alone.fx);
  alone.sync();

  const auto answer = alone.ask({kRoom, 1, wire::RoomAsk::From::places, {{first, 2}}, 0});

  CHECK(answer.missingFrom == 3);
  CHECK(answer.missingTo == 7);
  REQUIRE(answer.entries.size() == 3);
  CHECK(answer.entries.front().number == 8);
  CHECK(alone.ask({kRoom, 2, wire::RoomAsk::From::last, {}, 2}).entries.size() == 2);
}

TEST_CASE("the end of a room has the last entries that are committed, and fit") {
  Alone alone;
  CHECK(tailOf(alone.rooms, kRoom, 5, 9999).state == RoomTail::State::unknown);
  alone.join(0);
  alone.say(1);
  CHECK_FALSE(tailOf(alone.rooms, kRoom, 5, 9999).range);  // it is not on the disk yet
  for (std::uint64_t i = 2; i <= 4; ++i) alone.say(i);
  alone.sync();
  const auto last = tailOf(alone.rooms, kRoom, 2, 9999);
  REQUIRE(last.range);
  CHECK(last.range->after == alone.rooms.log().find(kRoom)->at(2).position.sequence);
  CHECK(last.range->upTo == alone.rooms.committed());
  CHECK(last.more == 0);
  CHECK(tailOf(alone.rooms, kRoom, 4, 600).more == 2);
  CHECK(tailOf(alone.rooms, kRoom, 4, 1).more == 3);
}

TEST_CASE("two metaservers acknowledge what both have, and the other one goes on alone") {
  test::RoomNetwork::Settings settings;
  settings.servers = 2;
  settings.peers = 2;
  test::RoomNetwork network(settings);
  network.run(6s);
  network.say(0, "lobby");
  network.say(1, "lobby");
  network.run(2s);
  CHECK(network.acknowledgedCount() == 2);
  network.kill(0);
  network.run(10s);
  network.say(0, "lobby");
  network.run(5s);
  CHECK(network.acknowledgedCount() == 3);
  network.rest();
  network.checkAtRest();
  CHECK(network.failure() == "");
  CHECK(network.shownCount() == 6);
}
