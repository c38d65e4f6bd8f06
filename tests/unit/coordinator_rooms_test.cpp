// Rooms in a cluster of coordinators: stored, ordered and told over deaths of masters and homes.
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/unit/cluster_fixture.h"

using namespace espalier;
using namespace std::chrono_literals;
using test::Cluster;

namespace {

const RoomName kRoom = *RoomName::parse("fleece");

struct Rooms : Cluster {
  using Cluster::Cluster;

  // Peers 1 to 3, one at each of three metaservers, all in the room.
  void begin() {
    startAll();
    settle(0);
    for (int peer = 1; peer <= 3; ++peer) {
      joinAndReport(peer, static_cast<std::size_t>(peer - 1));
    }
    settle(3);
    for (int peer = 1; peer <= 3; ++peer) want(peer, {{kRoom, 0}});
  }
  void want(int number, std::vector<wire::RoomWanted> rooms) {
    send(number, wire::RoomRequest(wire::RoomsWanted{++revisions_[number], std::move(rooms)}));
  }
  void say(int number, std::uint64_t counter, const RoomName& room = kRoom) {
    send(number, wire::RoomRequest(sayOf(number, counter, room)));
  }
  static wire::RoomSay sayOf(int number, std::uint64_t counter, const RoomName& room) {
    SpeakerId speaker;
    speaker.bytes[0] = static_cast<std::uint8_t>(number);
    return {room, {speaker, counter}, fmt::format("s{} {}", number, counter)};
  }
  template <typename Reply>
  std::vector<Reply> told(int number) const {
    std::vector<Reply> found;
    for (const auto& heard : peers.at(number).heard) {
      const auto* reply = std::get_if<wire::RoomReply>(&heard);
      const auto* one = reply ? std::get_if<Reply>(reply) : nullptr;
      if (one) found.push_back(*one);
    }
    return found;
  }
  std::vector<std::string> texts(int number) const {
    std::vector<std::string> texts;
    for (const auto& messages : told<wire::RoomMessages>(number)) {
      for (const auto& entry : messages.entries) {
        if (!entry.text.empty()) texts.push_back(entry.text);
      }
    }
    return texts;
  }
  std::vector<std::string> onDisk(std::size_t i) const {
    std::vector<std::string> texts;
    for (const auto& [sequence, entry] : network.roomsOf(i).log()) {
      if (!entry.text.empty()) texts.push_back(entry.text);
    }
    return texts;
  }
  wire::RoomWho who(std::size_t i, const RoomName& room) const {
    return network.core(i).roomWho({room, {}, 1});
  }

  // As a peer does: its rooms at each home, and what was not answered again.
  void sayNext(int number) {
    ++said_[number];
    if (peers.at(number).isJoined) say(number, said_[number]);
  }
  void refresh() {
    for (auto& [number, one] : peers) {
      if (!one.isJoined || std::exchange(homes_[number], one.connections) == one.connections) {
        continue;
      }
      want(number, {{kRoom, 0}});
      std::set<std::uint64_t> answered;
      for (const auto& reply : told<wire::RoomSaidReply>(number)) {
        if (reply.number > 0) answered.insert(reply.id.counter);
      }
      for (std::uint64_t counter = 1; counter <= said_[number]; ++counter) {
        if (!answered.contains(counter)) say(number, counter);
      }
    }
  }
  std::uint64_t saidCount(int number) { return said_[number]; }

 private:
  std::map<int, std::uint64_t> revisions_;
  std::map<int, std::uint64_t> said_;
  std::map<int, int> homes_;  // the connection at which it has told its rooms
};

}  // namespace

TEST_CASE("alone: what is said is stored once, then answered, and told to all in the room") {
  Rooms alone(1, false);
  alone.startAll();
  alone.joinAndReport(1, 0);
  alone.joinAndReport(2, 0);
  alone.want(1, {{kRoom, 0}});
  alone.want(2, {{kRoom, 0}});
  alone.run(100ms);

  alone.say(1, 1);
  alone.run(200ms);

  const auto said = alone.told<wire::RoomSaidReply>(1);
  REQUIRE(said.size() == 1);
  CHECK(said[0].number == 1);
  CHECK(said[0].stored == 1);
  CHECK(alone.texts(2) == std::vector<std::string>{"s1 1"});
  CHECK(alone.who(0, kRoom).count == 2);
  const auto rooms = alone.network.core(0).roomList({{}, 1}).rooms;
  REQUIRE(rooms.size() == 2);
  CHECK(rooms[0].members == 2);
  CHECK(rooms[0].last == 1);

  // Its log is there after a kill, and goes on in a later epoch.
  alone.kill(0);
  alone.network.start(0);
  alone.run(15s);  // its peers come back
  REQUIRE(alone.peers[1].isJoined);
  alone.want(1, {{kRoom, 0}});
  alone.say(1, 1);
  alone.say(1, 2);
  alone.run(300ms);
  CHECK(alone.onDisk(0) == std::vector<std::string>{"s1 1", "s1 2"});
}

TEST_CASE("a single metaserver's log becomes the cluster's when others link") {
  Rooms two(2, false);
  two.startAll();
  two.joinAndReport(1, 0);
  two.want(1, {{kRoom, 0}});
  two.say(1, 1);
  two.run(200ms);

  two.network.link(1, 0);
  two.settle(1);
  two.run(5s);

  CHECK(two.onDisk(1) == std::vector<std::string>{"s1 1"});
  two.say(1, 2);
  two.run(500ms);
  const auto said = two.told<wire::RoomSaidReply>(1);
  REQUIRE(said.size() == 2);
  CHECK(said[1].number == 2);
  CHECK(said[1].stored == 2);
}

TEST_CASE("in a cluster everything is on two disks before it is answered, in one order") {
  Rooms three(3);
  three.startAll();
  three.settle(0);
  for (int peer = 1; peer <= 3; ++peer)
    three.joinAndReport(peer, static_cast<std::size_t>(peer - 1));
  three.settle(3);
  for (int peer = 1; peer <= 3; ++peer) three.want(peer, {{kRoom, 0}});
  three.run(1s);
  for (std::size_t i = 0; i < 3; ++i) CHECK(three.who(i, kRoom).count == 3);
  CHECK(three.who(2, kRoom).members.at(0).home.text() == "m5000");

  for (std::uint64_t counter = 1; counter <= 20; ++counter) {
    for (int peer = 1; peer <= 3; ++peer) three.say(peer, counter);
    three.run(5ms);
  }
  three.run(1s);

  const auto order = three.onDisk(0);
  CHECK(order.size() == 60);
  for (std::size_t i = 1; i < 3; ++i) CHECK(three.onDisk(i) == order);
  for (int peer = 1; peer <= 3; ++peer) {
    CHECK(three.texts(peer) == order);
    const auto said = three.told<wire::RoomSaidReply>(peer);
    CHECK(said.size() == 20);
    for (const auto& one : said) CHECK(one.stored >= 2);
  }
}

TEST_CASE("the death of the master loses nothing that was answered, and moves no number") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    INFO("seed " << seed);
    Rooms three(3, true, {}, seed);
    three.begin();
    three.run(1s);
    const auto master = three.network.master();
    REQUIRE(master);
    const auto sayAll = [&](std::uint64_t from, std::uint64_t upTo) {
      for (std::uint64_t counter = from; counter <= upTo; ++counter) {
        for (int peer = 1; peer <= 3; ++peer) three.say(peer, counter);
        three.run(2ms);
      }
    };
    sayAll(1, 30);
    three.kill(*master);
    three.settle(3);
    three.run(3s);
    for (int peer = 1; peer <= 3; ++peer) three.want(peer, {{kRoom, 0}});
    three.run(1s);
    sayAll(1, 40);  // again, at the homes of now
    three.run(3s);

    std::vector<std::size_t> living;
    for (std::size_t i = 0; i < 3; ++i) {
      if (three.network.runs(i)) living.push_back(i);
    }
    REQUIRE(living.size() == 2);
    const auto order = three.onDisk(living[0]);
    CHECK(order.size() == 120);
    CHECK(three.onDisk(living[1]) == order);
    for (int peer = 1; peer <= 3; ++peer) {
      std::map<std::uint64_t, std::uint64_t> numbers;  // by counter
      for (const auto& said : three.told<wire::RoomSaidReply>(peer)) {
        REQUIRE(said.number > 0);
        const auto known = numbers.emplace(said.id.counter, said.number).first;
        CHECK(known->second == said.number);
        CHECK(order.at(said.number - 1) == fmt::format("s{} {}", peer, said.id.counter));
      }
      CHECK(numbers.size() == 40);
    }
    // Who was killed copies what it has missed.
    three.network.start(*master);
    three.settle(3);
    three.run(5s);
    CHECK(three.onDisk(*master) == order);
  }
}

TEST_CASE("both sides of a cut go on, and have one log afterwards") {
  for (std::uint64_t seed = 1; seed <= 5; ++seed) {
    INFO("seed " << seed);
    Rooms three(3, true, {}, seed);
    three.begin();
    three.run(1s);
    const auto sayAll = [&](std::uint64_t from, std::uint64_t upTo) {
      for (std::uint64_t counter = from; counter <= upTo; ++counter) {
        for (int peer = 1; peer <= 3; ++peer) three.say(peer, counter);
        three.run(2ms);
      }
    };
    sayAll(1, 10);
    three.run(500ms);
    three.network.cutBoth(0, 1);
    three.network.cutBoth(0, 2);
    three.run(5s);
    sayAll(11, 20);
    three.run(1s);
    CHECK(three.onDisk(0) != three.onDisk(1));

    three.network.healAll();
    three.settle(3);
    three.run(10s);

    const auto order = three.onDisk(0);
    CHECK(order.size() == 60);
    CHECK(std::set(order.begin(), order.end()).size() == 60);
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(three.onDisk(i) == order);
      CHECK_FALSE(three.network.roomsOf(i).hasApart());
    }
    for (int peer = 1; peer <= 3; ++peer) {
      for (const auto& said : three.told<wire::RoomSaidReply>(peer)) CHECK(said.number > 0);
    }
  }
}

TEST_CASE(
    "whatever is killed, stalled or cut: nothing that was answered is lost, all have one log") {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    INFO("seed " << seed);
    Random random(seed);
    const auto oneOf = [&](std::size_t count) { return random() % count; };
    const bool hasCuts = seed % 2 == 0;
    Rooms three(3, true, {}, seed);
    three.startAll();
    three.settle(0);
    for (int peer = 1; peer <= 3; ++peer) {
      three.joinAndReport(peer, static_cast<std::size_t>(peer - 1));
    }
    three.settle(3);
    for (int step = 0; step < 150; ++step) {
      const auto which = oneOf(3);
      switch (oneOf(20)) {
        case 0:
          if (three.network.runs((which + 1) % 3) && three.network.runs((which + 2) % 3)) {
            three.kill(which);
          }
          break;
        case 1:
        case 2:
          for (std::size_t i = 0; i < 3; ++i) {
            if (!three.network.runs(i)) three.network.start(i);
          }
          break;
        case 3:
          if (hasCuts) three.network.cutBoth(which, (which + 1) % 3);
          break;
        case 4:
          three.network.healAll();
          break;
        case 5:
          if (hasCuts) three.network.stall(which, std::chrono::milliseconds(oneOf(3000)));
          break;
        default:
          three.sayNext(static_cast<int>(which) + 1);
      }
      three.refresh();
      three.run(std::chrono::milliseconds(oneOf(8) == 0 ? oneOf(4000) : oneOf(60)));
    }
    three.network.healAll();
    for (std::size_t i = 0; i < 3; ++i) {
      if (!three.network.runs(i)) three.network.start(i);
    }
    three.settle(3);
    for (int i = 0; i < 60; ++i) {
      three.refresh();
      three.run(500ms);
    }

    const auto order = three.onDisk(0);
    CHECK(std::set(order.begin(), order.end()).size() == order.size());
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(three.onDisk(i) == order);
      CHECK_FALSE(three.network.roomsOf(i).hasApart());
    }
    std::size_t said = 0;
    for (int peer = 1; peer <= 3; ++peer) {
      said += three.saidCount(peer);
      std::set<std::uint64_t> answered;
      for (const auto& one : three.told<wire::RoomSaidReply>(peer)) {
        if (one.number == 0) continue;
        answered.insert(one.id.counter);
        const auto text = fmt::format("s{} {}", peer, one.id.counter);
        const auto place = std::find(order.begin(), order.end(), text);
        REQUIRE_MESSAGE(place != order.end(), text);
        // What one metaserver has stored alone may come behind what the others said meanwhile.
        const bool isFinal = !hasCuts && one.stored > 1;
        if (isFinal) CHECK(place - order.begin() + 1 == static_cast<long>(one.number));
      }
      CHECK(answered.size() == three.saidCount(peer));
    }
    CHECK(order.size() == said);
  }
}

TEST_CASE("a chat that opens at two is shown to nobody before, and opens for good") {
  test::ClusterNetwork::Settings settings;
  settings.chatOpensAt = 2;
  Rooms two(2, true, settings);
  two.startAll();
  two.settle(0);
  two.joinAndReport(1, 0);
  two.settle(1);
  two.want(1, {});
  two.say(1, 1, *RoomName::parse("lobby"));
  two.run(1s);
  CHECK(two.told<wire::RoomSaidReply>(1).size() == 1);
  CHECK(two.texts(1).empty());

  two.joinAndReport(2, 1);
  two.settle(2);
  two.want(2, {});
  two.run(1s);
  two.say(1, 2, *RoomName::parse("lobby"));
  two.run(1s);

  CHECK(two.network.core(0).roomList({{}, 1}).rooms.at(0).isOpen);
  CHECK(two.network.core(1).roomList({{}, 1}).rooms.at(0).isOpen);
  CHECK(two.texts(2).back() == "s1 2");
}

TEST_CASE("a list of rooms that is out of date changes nothing, and members of dead homes vanish") {
  Rooms two(2);
  two.startAll();
  two.settle(0);
  two.joinAndReport(1, 0);
  two.joinAndReport(2, 1);
  two.settle(2);
  two.want(2, {{kRoom, 0}});
  two.want(1, {{kRoom, 0}});
  two.run(500ms);
  two.want(1, {});
  two.run(500ms);
  CHECK(two.who(1, kRoom).count == 1);
  two.send(1, wire::RoomRequest(wire::RoomsWanted{1, {{kRoom, 0}}}));
  two.run(500ms);
  CHECK(two.who(1, kRoom).count == 1);

  two.cutOff(2);
  two.run(15s);
  CHECK(two.who(0, kRoom).count == 0);
}

TEST_CASE("with etcd a side without a master refuses what is said, with 75") {
  test::ClusterNetwork::Settings settings;
  settings.isByEtcd = true;
  Rooms two(2, true, settings);
  two.startAll();
  two.settle(0);
  two.joinAndReport(1, 1);
  two.settle(1);
  two.want(1, {{kRoom, 0}});
  two.say(1, 1);
  two.run(1s);
  REQUIRE(two.told<wire::RoomSaidReply>(1).size() == 1);
  CHECK(two.told<wire::RoomSaidReply>(1)[0].stored == 2);

  two.network.cutBoth(0, 1);
  two.network.cutEtcd(1);
  two.run(8s);
  two.say(1, 2);
  two.run(1s);
  const auto said = two.told<wire::RoomSaidReply>(1);
  REQUIRE(said.size() == 2);
  CHECK(said[1].number == 0);
  CHECK(said[1].code == ErrorCode::timeout);
}
