// A cluster without sockets: who decides, what the others have, and what peers notice.
#include <doctest/doctest.h>

#include "tests/unit/cluster_fixture.h"

using namespace espalier;
using namespace espalier::test;
using namespace espalier::metaserver;
using namespace espalier::metaserver::cluster;

namespace {

// Peers 1 to `count`, at the metaservers in turn.
void populate(Cluster& cluster, int count) {
  for (int number = 1; number <= count; ++number) {
    cluster.joinAndReport(number, static_cast<std::size_t>(number) % cluster.network.size());
  }
}

struct Told {
  explicit Told(const Cluster& cluster) {
    for (const auto& [number, one] : cluster.peers) counts[number] = one.heard.size();
  }
  std::map<int, std::size_t> counts;
};

}  // namespace

TEST_CASE("linked metaservers elect the oldest, and have one directory") {
  for (const std::size_t count : {2, 3, 5}) {
    CAPTURE(count);
    Cluster cluster(count);
    cluster.startAll();
    cluster.settle(0);
    CHECK(cluster.network.master() == 0);
    populate(cluster, 8);
    cluster.settle(8);
    CHECK(cluster.peers[1].admitted->self.order == JoinOrder{1});
    CHECK(cluster.peers[8].admitted->self.order == JoinOrder{8});
    CHECK(cluster.topo(0) == cluster.topo(count - 1));
    CHECK(cluster.network.core(0).registry()->reservedCount() == 0);
    CHECK_FALSE(cluster.peers[3].admitted->metaservers.empty());
  }
}

TEST_CASE("a metaserver of a cluster that is alone decides for itself and is no master") {
  Cluster cluster(1);
  cluster.startAll();
  cluster.settle(0);
  populate(cluster, 3);
  cluster.settle(3);
  CHECK(cluster.network.core(0).standing().isAlone);
  CHECK(cluster.network.core(0).standing().master.empty());
  CHECK(cluster.peers[3].admitted->self.order == JoinOrder{3});
}

TEST_CASE("peers notice nothing of the death of a master that is not their home") {
  for (const bool silently : {false, true}) {
    CAPTURE(silently);
    Cluster cluster(3);
    cluster.startAll();
    cluster.settle(0);
    for (int number = 1; number <= 9; ++number) {
      cluster.joinAndReport(number, number % 3 == 0 ? 0 : static_cast<std::size_t>(number % 3));
    }
    cluster.settle(9);
    const auto before = cluster.tree(1);
    const Told heard(cluster);
    cluster.kill(0, silently);
    cluster.run(silently ? 2800ms : 250ms);
    CHECK(cluster.network.master() == 1);
    CHECK(cluster.tree(1) == before);
    cluster.joinAndReport(10, 2);  // nobody is waited for
    CHECK(cluster.peers[10].isJoined);
    cluster.settle(10);
    for (int number = 1; number <= 9; ++number) {
      CAPTURE(number);
      if (number % 3 != 0) CHECK(cluster.peers[number].heard.size() == heard.counts.at(number));
      CHECK(cluster.peers[number].connections == (number % 3 == 0 ? 2 : 1));
    }
    cluster.run(30s);
    cluster.settle(10);
    CHECK(cluster.tree(1).substr(0, before.size() / 2) == before.substr(0, before.size() / 2));
    CHECK(number(cluster.peers[10].admitted->self.order) > 1'000'000);  // of another prefix
  }
}

TEST_CASE("a master by hand stays it, and gives mastership back") {
  Cluster cluster(3);
  cluster.startAll();
  populate(cluster, 6);
  cluster.settle(6);
  const auto before = cluster.tree(1);
  const Told heard(cluster);
  for (const std::size_t whom : {1, 2, 0}) {
    CAPTURE(whom);
    REQUIRE(cluster.network.appoint(2, whom));
    cluster.run(500ms);
    CHECK(cluster.network.master() == whom);
    cluster.run(5s);
    CHECK(cluster.network.master() == whom);
    cluster.settle(6);
    CHECK(cluster.tree(1) == before);
  }
  for (const auto& [number, count] : heard.counts)
    CHECK(cluster.peers[number].heard.size() == count);
}

TEST_CASE("a master that drains hands over") {
  Cluster cluster(3);
  cluster.startAll();
  populate(cluster, 6);
  cluster.settle(6);
  cluster.network.drain(0);
  cluster.run(500ms);
  CHECK(cluster.network.master() == 1);
  cluster.settle(6);
}

TEST_CASE("a single metaserver that is linked while it has members becomes a part of a cluster") {
  Cluster cluster(2, false);
  cluster.startAll();
  cluster.run(1s);
  for (int number = 1; number <= 5; ++number) cluster.joinAndReport(number, 0);
  CHECK(cluster.network.core(0).isSingle());
  CHECK(cluster.network.core(0).registry()->size() == 5);
  const Told heard(cluster);
  SUBCASE("it links") {
    cluster.network.link(0, 1);
  }
  SUBCASE("it is linked") {
    cluster.network.link(1, 0);
  }
  cluster.settle(5);
  CHECK(cluster.network.master() == 0);
  for (const auto& [number, count] : heard.counts)
    CHECK(cluster.peers[number].heard.size() == count);
  cluster.joinAndReport(6, 1);
  cluster.settle(6);
  CHECK(cluster.peers[6].admitted->self.order == JoinOrder{6});
  CHECK(cluster.topo(0) == cluster.topo(1));
}

TEST_CASE("a younger one with members is followed, and the older one takes over") {
  Cluster cluster(2, false);
  cluster.startAll();
  cluster.run(1s);
  for (int number = 1; number <= 4; ++number) cluster.joinAndReport(number, 1);
  const Told heard(cluster);
  cluster.network.link(0, 1);
  cluster.settle(4);
  CHECK(cluster.network.master() == 0);
  for (const auto& [number, count] : heard.counts)
    CHECK(cluster.peers[number].heard.size() == count);
}

TEST_CASE("two networks with members do not become one") {
  Cluster cluster(2, false);
  cluster.startAll();
  cluster.run(1s);
  cluster.joinAndReport(1, 0);
  cluster.joinAndReport(2, 1);
  cluster.network.link(0, 1);
  cluster.run(5s);
  CHECK(cluster.network.core(0).standing().isAlone);
  CHECK(cluster.network.core(1).standing().isAlone);
}

TEST_CASE("both sides of a cut go on, and are one network behind it") {
  for (const std::size_t cut : {0, 1, 2}) {
    CAPTURE(cut);
    Cluster cluster(3);
    cluster.startAll();
    populate(cluster, 6);
    cluster.settle(6);
    for (std::size_t other = 0; other < 3; ++other) {
      if (other != cut) cluster.network.cutBoth(cut, other);
    }
    cluster.run(5s);
    CHECK(cluster.network.core(cut).standing().isAlone);
    for (int number = 11; number <= 16; ++number) {
      cluster.join(number, static_cast<std::size_t>(number) % 3);
      cluster.run(200ms);
      CHECK(cluster.peers[number].isJoined);
    }
    cluster.run(2s);
    const Told heard(cluster);
    cluster.network.healAll();
    cluster.settle(12);
    CHECK(cluster.network.master() == 0);
    for (const auto& peer : cluster.peers) {
      CAPTURE(peer.first);
      CHECK(peer.second.connections == 1);
    }
  }
}

TEST_CASE("of four sides of a cut that meet at once none is lost") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    Cluster cluster(4, true, {}, seed);
    cluster.startAll();
    cluster.settle(0);
    populate(cluster, 8);
    cluster.settle(8);
    for (std::size_t a = 0; a < 4; ++a) {
      for (std::size_t b = 0; b < a; ++b) cluster.network.cutBoth(a, b);
    }
    cluster.run(5s);
    for (int number = 9; number <= 12; ++number) {
      cluster.joinAndReport(number, static_cast<std::size_t>(number) % 4);
    }
    cluster.run(10s);
    cluster.network.healAll();
    cluster.run(8s);
    cluster.settle(12);
  }
}

TEST_CASE("two of three that do not see each other stay one cluster by way of the third") {
  Cluster cluster(3);
  cluster.startAll();
  populate(cluster, 6);
  cluster.settle(6);
  SUBCASE("no way") {
    cluster.network.cutBoth(0, 1);
  }
  SUBCASE("one way") {
    cluster.network.cut(0, 1);
  }
  SUBCASE("the other way") {
    cluster.network.cut(1, 0);
  }
  cluster.run(10s);
  CHECK(cluster.network.master() == 0);
  cluster.settle(6);
  cluster.joinAndReport(7, 1);
  cluster.settle(7);
  cluster.network.healAll();
  cluster.settle(7);
}

TEST_CASE("a whole cluster that was killed goes on with its members") {
  Cluster cluster(3);
  cluster.startAll();
  populate(cluster, 7);
  cluster.settle(7);
  cluster.run(1s);
  const auto before = cluster.topo(0);
  for (std::size_t i = 0; i < 3; ++i) cluster.kill(i);
  cluster.run(1s);
  for (std::size_t i = 0; i < 3; ++i) cluster.network.start(2 - i);
  cluster.settle(7);
  CHECK(cluster.topo(0) == before);
  cluster.joinAndReport(8, 1);
  cluster.settle(8);
}

TEST_CASE(
    "a member that was lost keeps its id, and comes back as it was, at the next master, too") {
  Cluster cluster(3);
  cluster.startAll();
  populate(cluster, 6);
  cluster.settle(6);
  cluster.cutOff(5);
  cluster.settle(5);
  cluster.crash(4);  // nobody listens there any more: its id is free
  cluster.settle(4);
  cluster.run(1s);
  for (std::size_t i = 0; i < 3; ++i) {
    CAPTURE(i);
    const auto& absent = cluster.network.core(i).directory().absent();
    REQUIRE(absent.size() == 2);
    CHECK(absent.at(JoinOrder{4}).isFree);
    CHECK_FALSE(absent.at(JoinOrder{5}).isFree);
    CHECK(cluster.network.core(i).lostLately(9).size() == 1);
    CHECK(cluster.network.disk(i).members.size() == 5);
  }
  cluster.kill(0);
  cluster.settle(4);
  REQUIRE(cluster.network.master() == 1);
  cluster.run(limits::kUnwrittenBelieved + 5s);  // now only what it has of its master counts
  const auto& registry = *cluster.network.core(1).registry();
  CHECK(registry.isIdHeld(metaserver::peer(5)));
  CHECK_FALSE(registry.isIdHeld(metaserver::peer(4)));
  cluster.peers[5].isCutOff = false;
  cluster.join(5, 2);
  cluster.settle(5);
  CHECK(cluster.peers[5].admitted->self.order == JoinOrder{5});
  cluster.run(1s);
  CHECK(cluster.network.core(2).directory().absent().size() == 1);
}

TEST_CASE("behind a restart of all, a follower has those for whom the master waits") {
  Cluster cluster(2);
  cluster.startAll();
  populate(cluster, 6);
  cluster.settle(6);
  cluster.run(1s);
  for (const int number : {5, 6}) cluster.peers[number].isCutOff = true;
  for (const std::size_t i : {0, 1}) cluster.kill(i);
  cluster.run(1s);
  cluster.startAll();
  cluster.run(2s);
  REQUIRE(cluster.network.master() == 0);
  REQUIRE(cluster.network.core(0).registry()->awaitedCount() == 2);
  CHECK(cluster.network.core(1).directory().count() == 4);
  CHECK(cluster.network.core(1).moment().awaiting);
  CHECK(cluster.network.disk(1).members.size() == 6);
  SUBCASE("the master dies") {
    cluster.kill(0);
    cluster.run(1s);
  }
  SUBCASE("both die, and the follower is started alone") {
    for (const std::size_t i : {0, 1}) cluster.kill(i);
    cluster.network.start(1);
    cluster.run(2s);
  }
  SUBCASE("the master waits to the end") {
    cluster.run(limits::kRejoinWait);
    CHECK_FALSE(cluster.network.core(0).registry()->awaiting());
    CHECK_FALSE(cluster.network.core(1).moment().awaiting);
    CHECK(cluster.network.disk(1).members.size() == 4);
    cluster.run(1s);
    CHECK(cluster.network.core(1).directory().absent().size() == 2);
    return;
  }
  REQUIRE(cluster.network.core(1).registry() != nullptr);
  CHECK(cluster.network.core(1).registry()->awaitedCount() == 2);
  cluster.peers[5].isCutOff = false;
  cluster.join(5, 1);
  cluster.run(1s);
  CHECK(cluster.peers[5].admitted->self.order == JoinOrder{5});
  CHECK(cluster.network.core(1).registry()->awaitedCount() == 1);
  cluster.join(7, 1);
  cluster.run(1s);
  CHECK_FALSE(cluster.peers[7].admitted);  // newcomers wait
  cluster.run(limits::kRejoinWait);
  CHECK(cluster.peers[7].admitted);
}

TEST_CASE("a master that stood still decides nothing before it knows who decides now") {
  Duration stall{};
  SUBCASE("so long that it was replaced") {
    stall = 4s;
  }
  SUBCASE("so long that the others have closed their connections") {
    stall = 13s;
  }
  Cluster cluster(3);
  cluster.startAll();
  populate(cluster, 6);
  cluster.settle(6);
  const auto epoch = cluster.network.core(0).standing().epoch;
  cluster.network.stall(0, stall);
  cluster.run(500ms);
  cluster.join(9, 0);  // which it reads when it goes on
  cluster.run(stall - 500ms);
  CHECK(cluster.network.core(1).standing().master == cluster.network.core(1).mesh().self().name);
  cluster.run(1ms);
  const auto standing = cluster.network.core(0).standing();
  REQUIRE(standing.stall.has_value());
  CHECK(*standing.stall >= stall - 1s);
  CHECK(standing.master.empty());
  CHECK_FALSE(standing.isMaster);
  for (int i = 0; i < 4000 && cluster.network.core(0).standing().stall; ++i) {
    CHECK_FALSE(cluster.peers[9].admitted);
    cluster.run(1ms);
  }
  CHECK_FALSE(cluster.network.core(0).standing().stall.has_value());
  CHECK(cluster.network.core(0).standing().epoch > epoch);
  CHECK_FALSE(cluster.peers[9].admitted);
  cluster.settle(7);
  CHECK(cluster.network.master() == 0);
}

TEST_CASE("a master that stood still, and finds nobody, decides after two seconds") {
  Cluster cluster(2);
  cluster.startAll();
  populate(cluster, 4);
  cluster.settle(4);
  cluster.network.stall(0, 5s);
  cluster.run(1s);
  cluster.kill(1);
  cluster.join(9, 0);
  cluster.run(4s + limits::kMeshSilence - 100ms);
  CHECK_FALSE(cluster.peers[9].admitted);
  cluster.run(300ms);
  CHECK(cluster.peers[9].admitted);
  CHECK(cluster.network.core(0).standing().isAlone);
}

TEST_CASE("a metaserver that was killed comes back into its cluster") {
  for (const std::size_t whom : {0, 2}) {
    CAPTURE(whom);
    Cluster cluster(3);
    cluster.startAll();
    cluster.settle(0);
    populate(cluster, 6);
    cluster.settle(6);
    cluster.kill(whom);
    cluster.run(3s);
    cluster.network.start(whom);
    cluster.settle(6);
    for (const auto& [number, one] : cluster.peers)
      CHECK(one.admitted->self.order == JoinOrder(number));
    cluster.joinAndReport(7, whom);
    cluster.settle(7);
  }
}

TEST_CASE(
    "who starts again before the others have missed it does not decide without their members") {
  // Its machine died and is back, with a wall clock that went back: for the others its run is older
  // than the one that they have, so they end its connections until they miss that one.
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    ClusterNetwork::Settings settings;
    settings.mostDelay = 50ms;
    Cluster cluster(3, true, settings, seed);
    cluster.startAll();
    cluster.settle(0);
    for (const int number : {1, 2, 3}) {
      cluster.joinAndReport(number, number % 2);
      cluster.run(500ms);
    }
    cluster.settle(3);
    cluster.network.kill(2, true);
    cluster.run(100ms);
    cluster.network.start(2, -600s);
    for (int i = 0; i < 80; ++i) {
      const auto& core = cluster.network.core(2);
      CHECK((core.registry() == nullptr || core.directory().count() == 3));
      cluster.run(50ms);
    }
    cluster.settle(3);
  }
}

TEST_CASE("a follower that decides behind a restart gives no order of its master before") {
  Cluster cluster(2);
  cluster.startAll();
  cluster.settle(0);
  populate(cluster, 3);
  cluster.settle(3);
  cluster.run(1s);
  cluster.network.cutBoth(0, 1);
  cluster.kill(1);
  cluster.run(100ms);
  cluster.network.start(1);
  cluster.run(12s);  // it waits for its members, who are at the other one
  cluster.joinAndReport(11, 0);
  cluster.joinAndReport(12, 1);
  CHECK(cluster.peers[11].admitted->self.order == JoinOrder{4});
  CHECK(number(cluster.peers[12].admitted->self.order) > 1'000'000);
  cluster.network.healAll();
  cluster.settle(5);
}

TEST_CASE("a master whose epoch others have left behind takes the next one") {
  Cluster cluster(3);
  cluster.startAll();
  cluster.settle(0);
  populate(cluster, 6);
  cluster.settle(6);
  cluster.network.cutBoth(0, 1);
  cluster.network.cutBoth(0, 2);
  cluster.run(5s);
  CHECK(cluster.network.core(2).have().epoch.number == cluster.network.numberOf(1));
  cluster.kill(1);  // 2 has its directory, of a higher epoch than that of 0
  cluster.network.healAll();
  cluster.settle(6);
  CHECK(cluster.network.master() == 0);
  for (const auto& [number, one] : cluster.peers) {
    CHECK(one.admitted->self.order == JoinOrder(number));
  }
}

TEST_CASE("who is left without a directory begins with its state file") {
  Cluster cluster(2);
  cluster.startAll();
  cluster.settle(0);
  populate(cluster, 4);
  cluster.settle(4);
  cluster.run(1s);
  cluster.kill(1);
  cluster.run(3s);
  cluster.network.start(1);
  for (int i = 0; i < 100 && cluster.network.core(1).standing().master.empty(); ++i) {
    cluster.run(1ms);
  }
  REQUIRE(cluster.network.core(1).have().epoch == Epoch());
  cluster.kill(0);
  cluster.settle(4);
  for (const auto& [number, one] : cluster.peers) {
    CHECK(one.admitted->self.order == JoinOrder(number));
  }
}

TEST_CASE("who decides holds no id for the peers of a metaserver that is forgotten") {
  for (const bool isByEtcd : {false, true}) {
    CAPTURE(isByEtcd);
    ClusterNetwork::Settings settings;
    settings.isByEtcd = isByEtcd;
    Cluster cluster(3, true, settings);
    cluster.startAll();
    cluster.settle(0);
    populate(cluster, 6);
    cluster.settle(6);
    const std::size_t master = *cluster.network.master();
    const std::size_t dead = (master + 1) % 3;
    const std::size_t other = (master + 2) % 3;
    std::vector<int> lost;
    for (auto& [number, one] : cluster.peers) {
      if (one.home != dead) continue;
      lost.push_back(number);
      one.isCutOff = true;
    }
    REQUIRE(lost.size() == 2);
    const int elsewhere = [&] {
      for (const auto& [number, one] : cluster.peers) {
        if (one.home == other) return number;
      }
      return 0;
    }();
    CHECK(cluster.network.forget(master, dead) == 0);  // it lives
    cluster.kill(dead);
    cluster.run(15s);
    cluster.cutOff(elsewhere);  // its home lives, and may see it again
    cluster.run(1s);
    const auto isHeld = [&](int number) {
      return cluster.network.core(master).registry()->isIdHeld(peer(number));
    };
    for (const int number : {lost[0], lost[1], elsewhere}) CHECK(isHeld(number));
    CHECK(cluster.network.forget(other, dead) == 0);  // it does not decide
    CHECK(cluster.network.forget(master, dead) == 2);
    cluster.run(500ms);
    for (const int number : lost) {
      CHECK_FALSE(isHeld(number));
      CHECK_FALSE(cluster.network.isInEtcd("ids/" + peer(number).text()));
    }
    CHECK(isHeld(elsewhere));
    CHECK(cluster.network.isInEtcd("ids/" + peer(elsewhere).text()) == isByEtcd);
    CHECK(cluster.network.forget(master, dead) == 0);
  }
}

TEST_CASE(
    "metaservers that are linked without members become one network, however soon peers come") {
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const auto within = [&](std::uint64_t milliseconds) {
      return std::chrono::milliseconds(random() % milliseconds);
    };
    ClusterNetwork::Settings settings;
    settings.mostDelay = 1ms + within(50);
    const std::size_t count = 2 + random() % 3;
    Cluster cluster(count, false, settings, seed);
    cluster.startAll();
    cluster.run(1s);
    // A chain, from which a peer comes at each end.
    for (std::size_t i = 1; i < count; ++i) cluster.network.link(i, random() % i);
    const Duration soon = within(2000);
    for (int number = 1; number <= 4; ++number) {
      cluster.at(cluster.now() + settings.mostDelay + (number < 3 ? soon : within(2000)),
                 [&cluster, number, home = static_cast<std::size_t>(number) % count] {
                   cluster.join(number, home);
                 });
    }
    cluster.run(10s);
    cluster.settle(4);
  }
}
