// What peers notice when their master or their home dies: nothing, or as little as can be.
#include <doctest/doctest.h>

#include "tests/unit/cluster_sessions_fixture.h"

using namespace espalier;
using namespace espalier::metaserver;
using namespace espalier::metaserver::cluster;
using namespace std::chrono_literals;

namespace {

// Of peers 1 to `count`.
void populate(SessionWorld& world, int count) {
  for (int number = 1; number <= count; ++number) world.joinAndReport(number, number % 2);
}

}  // namespace

TEST_CASE("a change of masters changes no order, port or link, and no peer hears of it") {
  SessionWorld world;
  populate(world, 12);
  const auto before = world.tree();
  std::map<int, std::size_t> heard;
  for (auto& [number, one] : world.peers) heard[number] = one.heard.size();
  for (int masters = 0; masters < 3; ++masters) {
    world.killMaster();
    world.takeOver();
    CHECK(world.master->registry.isAway(peer(3)));
    CHECK(world.tree() == before);
    world.deliver();
    CHECK(world.tree() == before);
    CHECK_FALSE(world.master->registry.isAway(peer(3)));
  }
  for (auto& [number, one] : world.peers) CHECK(heard[number] == one.heard.size());
  world.pass(30s);
  CHECK(world.tree() == before);
  world.joinAndReport(13, 0);  // at once: nobody is waited for
  CHECK(world.peers[13].admitted->self.order == JoinOrder{13});
  CHECK(world.replica.copy().find(peer(3))->home == world.homes[1].number);
}

TEST_CASE("a registry that begins with rows has their links, in the order of linking") {
  const auto row = [](int number, std::uint64_t above, std::vector<PeerId> neighbours) {
    MemberRow made;
    made.contact = {peer(number), JoinOrder(number), {"127.0.0.1", 5000}};
    made.above = JoinOrder{above};
    made.reportedParent = above != 0 && !neighbours.empty() ? 1 : 0;
    made.neighbours = std::move(neighbours);
    return made;
  };
  auto options = SessionWorld::founding();
  options.away = {row(1, 0, {peer(3), peer(2)}), row(2, 1, {peer(1)}), row(3, 1, {peer(1)}),
                  row(4, 3, {})};
  SessionWorld::Master master(options, kStart);
  const auto& tree = master.registry.tree();
  std::vector<std::string> children;
  for (const auto child : tree.children(*tree.find(peer(1)))) {
    children.push_back(tree.member(child).id.text());
  }
  CHECK(children == std::vector<std::string>{"s3", "s2"});
  CHECK(tree.parent(*tree.find(peer(4))) == tree.find(peer(3)));
  CHECK(master.registry.reservedCount() == 1);  // nobody has reported that of s4
  CHECK(master.registry.nextOrder() == JoinOrder{5});
  CHECK(master.registry.checkInvariants());
}

TEST_CASE("a newcomer is admitted although not all members have been resumed") {
  SessionWorld world;
  populate(world, 4);
  world.killMaster();
  world.takeOver();
  world.connect(5, 0);
  world.send(5, world.joinOf(5));
  while (world.deliverUp(0) || world.deliverDown(0)) {
  }
  CHECK(world.master->registry.isAway(peer(1)));
  REQUIRE(world.last<wire::Admitted>(5));
  CHECK(world.last<wire::Admitted>(5)->self.order == JoinOrder{5});
}

TEST_CASE("a join that the dead master had decided is decided once") {
  SessionWorld world;
  populate(world, 3);
  world.connect(4, 0);
  world.send(4, world.joinOf(4));
  REQUIRE(world.deliverUp(0));  // it is opened
  REQUIRE(world.deliverUp(0));  // decided, copied, and not answered
  const auto decided = world.tree();
  CHECK(decided.find("4 s4 on") != std::string::npos);
  world.killMaster();
  CHECK(world.last<wire::Wait>(4));
  world.takeOver();
  world.deliver();
  REQUIRE(world.last<wire::Admitted>(4));
  CHECK(world.last<wire::Admitted>(4)->self.order == JoinOrder{4});
  CHECK(world.last<wire::Admitted>(4)->referral.kind == wire::Referral::Kind::below);
  CHECK(world.tree() == decided);
}

TEST_CASE("a process that was started again is a newcomer, also if a master dies over its join") {
  SessionWorld world;
  populate(world, 3);
  world.disconnect(3);
  world.killHome(1);  // so that its member is away, not lost
  world.connect(3, 0);
  world.send(3, world.joinOf(3));  // without its order
  world.killMaster();
  world.takeOver();
  world.deliver();
  REQUIRE(world.last<wire::Admitted>(3));
  CHECK(world.last<wire::Admitted>(3)->self.order == JoinOrder{4});
}

TEST_CASE("newcomers wait while there is no master, and are told so once") {
  SessionWorld world;
  populate(world, 2);
  world.killMaster();
  world.connect(3, 0);
  world.send(3, world.joinOf(3));
  CHECK(world.last<wire::Wait>(3));
  world.send(3, world.joinOf(3));
  CHECK(world.peers[3].heard.size() == 1);
  world.takeOver();
  world.deliver();
  REQUIRE(world.last<wire::Admitted>(3));
  CHECK(world.last<wire::Admitted>(3)->self.order == JoinOrder{3});
}

TEST_CASE("links, a search for a place and a taken port that no master has answered are repeated") {
  SessionWorld world;
  populate(world, 4);
  world.killMaster();
  auto& one = world.peers[4];
  const auto port = one.admitted->self.endpoint.port;
  one.links.number = 9;
  world.send(4, one.links);
  world.send(4, wire::PortTaken{port});
  world.send(4, wire::Seek{one.links.parent, {}});
  one.heard.clear();
  world.takeOver();
  world.deliver();
  CHECK(one.admitted->self.endpoint.port == port + 1);
  CHECK(one.admitted->self.order == JoinOrder{4});
  CHECK(one.heard.size() == 2);  // the port and the place: strangers are not known so soon
  world.killMaster();
  world.takeOver();
  world.pass(limits::kUnwrittenBelieved);
  one.heard.clear();
  world.killMaster();
  world.takeOver();
  world.deliver();
  CHECK(world.replica.copy().find(peer(4))->contact.endpoint.port == port + 1);
}

TEST_CASE("a port that the dead master had assigned is not assigned again") {
  SessionWorld world;
  populate(world, 2);
  const auto port = world.peers[2].admitted->self.endpoint.port;
  world.send(2, wire::PortTaken{port});
  REQUIRE(world.deliverUp(0));
  world.killMaster();
  world.takeOver();
  for (const int number : {3, 4}) {
    world.connect(number, 1);
    world.send(number, world.joinOf(number));
  }
  while (world.deliverUp(1) || world.deliverDown(1)) {
  }
  CHECK(world.peers[3].admitted->self.endpoint.port == port);
  world.deliver();
  CHECK(world.peers[2].admitted->self.endpoint.port == port + 1);
  CHECK(world.replica.copy().find(peer(2))->contact.endpoint.port == port + 1);
}

TEST_CASE("who leaves while there is no master is gone with the next one, and gets no order") {
  SessionWorld world;
  populate(world, 3);
  world.killMaster();
  world.send(3, wire::Quit());
  CHECK(world.peers[3].closes == 1);
  CHECK(world.homes[1].sessions->size() == 2);
  world.takeOver();
  world.deliver();
  CHECK(world.replica.copy().find(peer(3)) == nullptr);
  CHECK(world.homes[1].sessions->size() == 1);

  world.send(2, wire::Quit());
  REQUIRE(world.deliverUp(0));  // removed, and not answered
  world.killMaster();
  world.takeOver();
  world.deliver();
  CHECK(world.replica.copy().rows().size() == 1);
  CHECK(number(world.replica.newest()) == 3);
  CHECK(world.homes[0].sessions->size() == 0);
}

TEST_CASE("a member that ended while there was no master is away, and then lost") {
  SessionWorld world;
  populate(world, 3);
  world.killMaster();
  world.disconnect(3);
  world.takeOver();
  world.deliver();
  world.pass(limits::kAwayWait - 1s);
  CHECK(world.master->registry.isAway(peer(3)));
  world.pass(2s);
  CHECK(world.replica.copy().find(peer(3)) == nullptr);
  CHECK(world.replica.copy().rows().size() == 2);
}

TEST_CASE("the peers of a dead home come back at another one unchanged, the others are removed") {
  SessionWorld world;
  populate(world, 8);
  const auto before = world.tree();
  world.killHome(1);
  CHECK(world.tree() == before);
  world.pass(2s);
  world.joinAndReport(9, 0);  // newcomers need not wait
  CHECK(world.peers[9].admitted->self.order == JoinOrder{9});
  world.pass(5s);
  for (const int number : {1, 3, 5}) {
    world.connect(number, 0);
    world.send(number, world.returnOf(number));
    world.deliver();
    REQUIRE(world.last<wire::Admitted>(number));
    CHECK(world.last<wire::Admitted>(number)->self.order == JoinOrder(number));
    CHECK(world.replica.copy().find(peer(number))->home == world.homes[0].number);
  }
  CHECK(world.tree().find(before.substr(0, before.find("7 s7"))) == 0);
  world.pass(2s);
  CHECK(world.master->registry.isAway(peer(7)));
  world.pass(3s);
  CHECK(world.replica.copy().find(peer(7)) == nullptr);
  CHECK(world.replica.copy().rows().size() == 8);
  world.pass(20s);
  CHECK(world.replica.copy().rows().size() == 8);
}

TEST_CASE("a peer that comes back before the death of its home is noticed changes nothing") {
  SessionWorld world;
  populate(world, 5);
  const auto before = world.tree();
  const auto old = world.peers[3].connection;
  world.connect(3, 0);
  world.owners.erase(old);
  world.send(3, world.returnOf(3));
  world.deliver();
  REQUIRE(world.last<wire::Admitted>(3));
  CHECK(world.tree() == before);
  CHECK(world.homes[1].sessions->size() == 2);  // the old session is closed
  world.killHome(1);
  CHECK_FALSE(world.master->registry.isAway(peer(3)));
}

TEST_CASE("the id of a member that is away is refused to another key") {
  SessionWorld world;
  populate(world, 3);
  world.killHome(1);
  world.connect(8, 0);
  auto thief = world.returnOf(3);
  thief.key = key(8);
  world.send(8, thief);
  world.deliver();
  CHECK(world.last<wire::Failure>(8));
  CHECK(world.master->registry.isAway(peer(3)));
}

TEST_CASE("a peer takes its place over on a connection of the master itself, which judges it") {
  SessionWorld world;
  populate(world, 3);
  const auto before = world.tree();
  world.killHome(1);
  auto& registry = world.master->registry;
  Effects fx;
  registry.opened(ConnectionId{2}, "127.0.0.1", world.now);
  registry.received(ConnectionId{2}, world.returnOf(3), world.now, fx);
  REQUIRE(fx.sends.size() == 1);
  CHECK(fx.sends[0].to == ConnectionId{2});
  world.replicate();
  CHECK(world.tree() == before);
  CHECK_FALSE(registry.isAway(peer(3)));
  for (int second = 0; second < 8; ++second) {
    world.now += 1s;
    registry.tick(world.now, fx);
  }
  REQUIRE(fx.closes.size() == 1);
  CHECK(fx.closes[0] == ConnectionId{2});
}

TEST_CASE("a member that the new master does not know, or refuses, is not left as it is") {
  SessionWorld world;
  populate(world, 3);
  world.killMaster();
  world.replica.remove(JoinOrder{3});
  MemberRow other = *world.replica.copy().find(peer(2));
  other.key = key(99);  // another instance has its id by now
  world.replica.put(other);
  world.takeOver();
  world.deliver();
  CHECK(world.peers[2].closes == 1);
  CHECK(world.peers[1].closes == 0);
  CHECK(world.peers[3].admitted->self.order == JoinOrder{3});
}
