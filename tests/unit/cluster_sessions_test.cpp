// Peers at homes, whose master's registry decides for them.
#include <doctest/doctest.h>

#include "common/crypto/instance.h"
#include "tests/unit/cluster_sessions_fixture.h"

using namespace espalier;
using namespace espalier::metaserver;
using namespace espalier::metaserver::cluster;
using namespace std::chrono_literals;

TEST_CASE("peers of two homes get orders, ports and places from one registry") {
  SessionWorld world;
  for (int number = 1; number <= 6; ++number) world.joinAndReport(number, number % 2);
  for (int number = 1; number <= 6; ++number) {
    CAPTURE(number);
    const auto& self = world.peers[number].admitted->self;
    CHECK(self.order == JoinOrder(number));
    CHECK(self.endpoint == Endpoint{"127.0.0.1", static_cast<std::uint16_t>(5000 + number)});
  }
  CHECK(world.peers[1].admitted->referral.kind == wire::Referral::Kind::root);
  const auto* row = world.replica.copy().find(peer(2));
  REQUIRE(row);
  CHECK(row->home == world.homes[0].number);
  CHECK(row->above == JoinOrder{1});
  CHECK(world.master->sessions.size() == 6);
}

TEST_CASE("a home answers for the topology, the members and heartbeats without the master") {
  SessionWorld world;
  for (int number = 1; number <= 3; ++number) world.joinAndReport(number, 0);
  world.killMaster();
  world.send(3, wire::TopologyRequest{kNoOrder, 5});
  const auto topology = world.last<wire::Topology>(3);
  REQUIRE(topology);
  CHECK(topology->number == 5);
  REQUIRE(topology->entries.size() == 3);
  CHECK(topology->entries[1].parent == peer(1));
  world.send(3, wire::MembersRequest{6});
  CHECK(world.last<wire::Members>(3) == wire::Members{3, JoinOrder{3}, 6, {{1, 3}}});
  world.send(3, wire::RegistryHeartbeat());
  CHECK(world.last<wire::RegistryHeartbeatReply>(3));
}

TEST_CASE("a home names one member with its instance, as the master has it") {
  SessionWorld world;
  world.joinAndReport(1, 0);
  world.connect(2, 1);
  auto join = world.joinOf(2);
  join.instance = crypto::instanceOf(join.key);
  world.send(2, join);
  world.deliver();
  for (const int asker : {1, 2}) {
    world.send(asker, wire::TopologyRequest{kNoOrder, 5, peer(2)});
    const auto found = world.last<wire::Topology>(asker);
    REQUIRE(found);
    CHECK_FALSE(found->more);
    REQUIRE(found->entries.size() == 1);
    CHECK(found->entries[0].member.id == peer(2));
    CHECK(found->entries[0].member.instance == join.instance);
  }
  world.send(1, wire::TopologyRequest{kNoOrder, 6, peer(9)});
  CHECK(world.last<wire::Topology>(1)->entries.empty());
  world.send(1, wire::TopologyRequest{JoinOrder{2}, 7, peer(2)});
  CHECK(world.last<wire::Topology>(1)->entries.empty());
}

TEST_CASE("who has not joined is told so, and opens no session at the master") {
  SessionWorld world;
  world.connect(1, 0);
  world.send(1, wire::Links{{}, {}, 1});
  REQUIRE(world.last<wire::Failure>(1));
  CHECK(world.last<wire::Failure>(1)->message == "join first");
  CHECK(world.homes[0].sent.empty());
}

TEST_CASE("a wrong word, a taken id and a second join are answered through the home") {
  SessionWorld world;
  world.joinAndReport(1, 0);
  world.connect(2, 1);
  auto wrong = world.joinOf(2);
  wrong.word = "no";
  world.send(2, wrong);
  world.deliver();
  CHECK(world.last<wire::WordRefused>(2));
  auto thief = world.joinOf(1);
  thief.key = key(9);
  world.send(2, thief);
  world.deliver();
  REQUIRE(world.last<wire::Failure>(2));
  CHECK(world.last<wire::Failure>(2)->message.find("s1 is in the network already") == 0);
  world.send(1, world.joinOf(1));
  CHECK(world.last<wire::Failure>(1));
}

TEST_CASE("links, strangers, referrals and ports go through the home") {
  SessionWorld world;
  for (int number = 1; number <= 3; ++number) world.joinAndReport(number, number % 2);
  auto links = world.peers[2].links;
  links.neighbours.push_back(peer(77));
  links.number = 4;
  world.send(2, links);
  world.deliver();
  CHECK(world.last<wire::Strangers>(2) == wire::Strangers{4, {peer(77)}, {}});

  world.connect(4, 1);
  world.send(4, world.joinOf(4));
  world.deliver();
  REQUIRE(world.last<wire::Admitted>(4));
  world.send(4, wire::Seek{{}, world.last<wire::Admitted>(4)->referral.parent.id});
  world.deliver();
  CHECK(world.last<wire::Referral>(4));

  world.send(4, wire::PortTaken{world.peers[4].admitted->self.endpoint.port});
  world.deliver();
  REQUIRE(world.last<wire::Admitted>(4));
  CHECK(world.last<wire::Admitted>(4)->self.endpoint.port == 5005);
}

TEST_CASE("a peer that quits is removed, and its home closes the connection") {
  SessionWorld world;
  for (int number = 1; number <= 2; ++number) world.joinAndReport(number, 0);
  world.send(2, wire::Quit());
  world.deliver();
  CHECK(world.peers[2].closes == 1);
  CHECK(world.replica.copy().find(peer(2)) == nullptr);
  CHECK(world.homes[0].sessions->size() == 1);
  CHECK(world.master->sessions.size() == 1);
}

TEST_CASE("a peer whose connection ends is lost, and its id is held for it") {
  SessionWorld world;
  for (int number = 1; number <= 2; ++number) world.joinAndReport(number, 0);
  world.disconnect(2);
  world.deliver();
  CHECK(world.master->registry.size() == 1);
  world.connect(2, 1);
  world.send(2, world.returnOf(2));
  world.deliver();
  REQUIRE(world.last<wire::Admitted>(2));
  CHECK(world.last<wire::Admitted>(2)->self.order == JoinOrder{2});
}

TEST_CASE("the home judges the silence of its peers, and the master does not") {
  SessionWorld world;
  for (int number = 1; number <= 2; ++number) world.joinAndReport(number, 0);
  world.delivers = false;
  world.pass(8s, false);
  CHECK(world.peers[2].closes == 1);
  CHECK(world.master->registry.size() == 2);
  world.deliver();
  CHECK(world.master->registry.size() == 0);
  world.delivers = true;
  world.joinAndReport(3, 0);
  world.pass(60s);
  CHECK(world.master->registry.size() == 1);
  CHECK(world.peers[3].closes == 0);
}

TEST_CASE("a flood waits at its sender, whom the home does not read meanwhile") {
  SessionWorld world;
  world.joinAndReport(1, 0);
  const auto connection = world.peers[1].connection;
  for (int i = 0; i < 230; ++i) world.send(1, wire::Links{{}, {}, 0});
  REQUIRE(world.readings.contains(connection));
  CHECK_FALSE(world.readings[connection]);
  world.deliver();
  world.pass(5s);
  CHECK(world.readings[connection]);
  CHECK(world.peers[1].closes == 0);
}

TEST_CASE("questions for statistics have a rate of their own, below that of cheaper requests") {
  SessionWorld world;
  world.joinAndReport(1, 0);
  world.joinAndReport(2, 0);
  HomeSessions& home = *world.homes[0].sessions;
  HomeSessions::Effects fx;
  const auto ask = [&](int number) {
    home.received(world.peers[number].connection, wire::StatisticsRequest{366, 1}, world.replica,
                  world.now, fx);
  };
  for (int i = 0; i < 40; ++i) ask(1);
  CHECK(fx.peers.statistics.size() == 10);
  CHECK(fx.peers.closes.empty());
  ask(2);  // another member
  CHECK(fx.peers.statistics.size() == 11);
  home.tick(world.replica, world.now + 3200ms, fx);
  CHECK(fx.peers.statistics.size() == 14);
}

TEST_CASE("newcomers that are turned away pay for their joins as others do") {
  SessionWorld world;
  int asked = 0;
  world.homes[0].sessions->setTurnAway([&](const std::string&) {
    ++asked;
    return std::optional<wire::RegistryReply>(wire::Redirect{{"127.0.0.1", 5001}, {}});
  });
  const ConnectionId connection{1002};
  auto& sessions = *world.homes[0].sessions;
  HomeSessions::Effects fx;
  sessions.opened(connection, "192.0.2.1", world.now, fx);
  for (int i = 0; i < 10'000; ++i) {
    sessions.received(connection, world.joinOf(1), world.replica, world.now, fx);
  }
  CHECK(asked > 0);
  CHECK(asked < 5'000);
  REQUIRE_FALSE(fx.peers.readings.empty());
  CHECK_FALSE(fx.peers.readings.back().goesOn);
  CHECK(fx.messages.empty());
}

TEST_CASE("a session that the registry ends is closed for its peer") {
  SessionWorld world;
  for (int number = 1; number <= 2; ++number) world.joinAndReport(number, 0);
  auto& other = world.homes[1];
  const wire::SessionId session{77};  // the same instance joins anew
  other.sent.push_back(wire::SessionOpened{session, "127.0.0.1"});
  other.sent.push_back(wire::SessionRequest{session, world.joinOf(2)});
  world.deliver();
  CHECK(world.peers[2].closes == 1);
  CHECK(world.master->registry.size() == 2);
  CHECK(world.master->sessions.size() == 2);
}

TEST_CASE("what cannot be a session is refused, and later messages about it are ignored") {
  SessionWorld world;
  Effects fx;
  RemoteSessions::Messages messages;
  auto& sessions = world.master->sessions;
  const ServerNumber home{101};
  sessions.received(home, wire::SessionOpened{wire::SessionId{0}, "127.0.0.1"}, world.now, fx,
                    messages);
  sessions.received(home, wire::SessionOpened{wire::SessionId{1ull << 47}, "a"}, world.now, fx,
                    messages);
  CHECK(messages.empty());
  sessions.received(home, wire::SessionOpened{wire::SessionId{5}, ""}, world.now, fx, messages);
  REQUIRE(messages.size() == 1);
  CHECK(std::holds_alternative<wire::SessionClosed>(messages[0].message));
  sessions.received(home, wire::SessionRequest{wire::SessionId{5}, world.joinOf(1)}, world.now, fx,
                    messages);
  sessions.received(home, wire::SessionEnded{wire::SessionId{5}}, world.now, fx, messages);
  CHECK(messages.size() == 1);
  CHECK(sessions.size() == 0);
  CHECK(world.master->registry.size() == 0);
}
