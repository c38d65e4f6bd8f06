// A peer that knows several metaservers: where it goes when its home is lost, and what it keeps.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "common/base/limits.h"
#include "tests/unit/metaservers_fixture.h"

using namespace espalier;
using namespace espalier::peer;
using namespace std::chrono_literals;

namespace {

using Answers = Server::Answers;
using Kind = Notice::Kind;

}  // namespace

TEST_CASE("a newcomer joins at the second metaserver if the first is dead, and no user is asked") {
  World world({kA, kB}, {{kB, {}}});
  world.join();
  CHECK(world.membership.joined());
  CHECK(world.membership.session().home() == kB);
  CHECK(world.dialledSince(kStart) == std::vector{kA, kB});
  CHECK(world.noticed(Kind::metaserverLost) == 0);
  REQUIRE(world.noticed(Kind::nextMetaserver) == 1);
  CHECK(world.notices[0].text == "10.0.0.101:5000: refused");
  CHECK(world.noticed(Kind::joined) == 1);
}

TEST_CASE("a newcomer's user is told once that no metaserver answers, and why") {
  World world({kA, kB, kC}, {});
  world.join();
  CHECK(world.dials.size() == 3);
  REQUIRE(world.noticed(Kind::metaserverLost) == 1);
  CHECK(world.notices.back().text ==
        "10.0.0.101:5000: refused; 10.0.0.102:5000: refused; 10.0.0.103:5000: refused");
  world.run(1min);
  CHECK(world.dials.size() == 3);  // its user decides when to try again
  world.servers[kA] = {};
  world.join();
  CHECK(world.membership.joined());
  CHECK(world.dials.back().to == kA);
}

TEST_CASE("what is no metaserver is passed over, and ends a newcomer only if all are none") {
  World world({kA, kB}, {{kA, {Answers::otherProtocol}}, {kB, {Answers::otherProtocol}}});
  SUBCASE("one of them is none") {
    world.servers[kB] = {};
    world.join();
    CHECK(world.membership.joined());
    CHECK(world.noticed(Kind::mismatch) == 0);
  }
  SUBCASE("the other one is away") {
    world.servers[kB].answers = Answers::nobody;
    world.join();
    CHECK(world.noticed(Kind::mismatch) == 0);
    CHECK(world.noticed(Kind::metaserverLost) == 1);
  }
  SUBCASE("all are none") {
    world.join();
    CHECK(world.noticed(Kind::mismatch) == 1);
  }
}

TEST_CASE("metaservers that admit a newcomer and close at once do not make it dial without end") {
  World world({kA, kB}, {{kA, {Answers::welcomes}}, {kB, {Answers::welcomes}}});
  world.join();
  wire::Admitted admitted;
  admitted.self = contact("me", kOrder, kHere);
  Effects ignored;  // it does not listen yet
  world.membership.received(*world.membership.session().connection(), admitted, world.now, ignored);
  world.end();
  CHECK(world.dials.size() == 1);
  CHECK(world.noticed(Kind::metaserverLost) == 1);
}

TEST_CASE("when its home dies a member comes to another metaserver within two seconds, as it was") {
  World world({kA, kB}, {{kA, {}}, {kB, {}}});
  world.join();
  world.attachChild();
  world.run(10s);
  CHECK(world.membership.session().home() == kA);
  const TimePoint killed = world.now;
  world.kill(kA);
  CHECK_FALSE(world.membership.joined());
  world.run(limits::kHomeLostSpread);
  CHECK(world.membership.joined());
  CHECK(world.membership.session().home() == kB);
  CHECK(world.dialledSince(killed) == std::vector{kB});
  const auto& join = world.lastJoin();
  CHECK(join.network == networkOf(1));
  CHECK(join.order == JoinOrder{kOrder});
  CHECK(join.listen.port == kHere.port);
  CHECK(join.neighbours == std::vector{*PeerId::parse("child")});
  CHECK(world.membership.tree()->owns(kChild));
  CHECK(world.membership.tree()->self() == contact("me", kOrder, kHere));
  CHECK(world.closed.empty());
  REQUIRE(world.noticed(Kind::metaserverBack) == 1);
  CHECK(std::ranges::any_of(world.notices, [](const Notice& each) {
    return each.kind == Kind::metaserverBack && each.text == kB.text();
  }));
}

TEST_CASE("a metaserver that a home told is dialled when the home dies, by a look-up of others") {
  World world({kA}, {{kA, {Answers::admits, networkOf(1), {kB}}}, {kB, {}}});
  SUBCASE("told with the admission") {}
  SUBCASE("told with a heartbeat") {
    world.servers[kA].tells.clear();
  }
  world.join();
  if (world.servers[kA].tells.empty()) {
    world.says(wire::RegistryHeartbeatReply{limits::kHeartbeatInterval, {}, {kB}});
  }
  CHECK(world.dials.back().isNamedByUser);
  world.kill(kA);
  world.run(limits::kHomeLostSpread);
  CHECK(world.membership.session().home() == kB);
  CHECK_FALSE(world.dials.back().isNamedByUser);
  // An answer without addresses changes nothing.
  world.says(wire::RegistryHeartbeatReply{limits::kHeartbeatInterval, {}, {}});
  CHECK(world.membership.session().metaservers().size() == 2);
}

TEST_CASE("addresses that nobody asked for, or that come before the admission, are not taken") {
  World world({kA}, {{kA, {Answers::welcomes}}});
  world.join();
  world.says(wire::RegistryHeartbeatReply{limits::kHeartbeatInterval, {}, {kB}});
  CHECK(world.membership.session().metaservers().size() == 1);
  world.servers[kA].answers = Answers::admits;
  world.join();
  REQUIRE(world.membership.joined());
  wire::Admitted again;
  again.self = contact("me", kOrder, kHere);
  again.network = networkOf(1);
  again.metaservers = {kB};
  world.says(again);
  CHECK(world.membership.session().metaservers().size() == 1);
}

TEST_CASE("a metaserver of another network is left again, and nothing of the peer's own ends") {
  World world({kA, kB}, {{kA, {}}, {kB, {Answers::admits, networkOf(2)}}});
  world.join();
  world.attachChild();
  const auto tree = world.membership.tree()->label();
  world.kill(kA);
  const TimePoint killed = world.now;
  world.run(50s);
  CHECK_FALSE(world.membership.joined());
  CHECK(world.membership.tree()->network() == networkOf(1));
  CHECK(world.membership.tree()->self() == contact("me", kOrder, kHere));
  CHECK(world.membership.tree()->owns(kChild));
  CHECK(world.membership.tree()->label().sequence >= tree.sequence);
  CHECK(std::ranges::count(world.dialledSince(killed), kB) == 1);
  CHECK(std::ranges::count(world.dialledSince(killed), kA) >= 5);
  REQUIRE(world.noticed(Kind::warning) == 1);
  CHECK(std::ranges::any_of(world.notices, [](const Notice& each) {
    return each.text.starts_with("the metaserver at 10.0.0.102:5000 has another network");
  }));
  CHECK(std::ranges::any_of(world.requests, [](const auto& each) {
    return each.first == kB && std::holds_alternative<wire::Quit>(each.second);
  }));
  world.run(30s);
  CHECK(std::ranges::count(world.dialledSince(killed), kB) == 2);
  world.servers[kA] = {};
  world.run(limits::kReconnectMost);
  CHECK(world.membership.session().home() == kA);
  CHECK(world.membership.joined());
}

TEST_CASE("a peer that knows one metaserver follows it into another network, as a newcomer") {
  World world({kA}, {{kA, {}}});
  world.join();
  world.attachChild();
  world.servers[kA].network = networkOf(2);
  world.end();
  world.run(limits::kReconnectMost);
  CHECK(world.membership.joined());
  CHECK(world.membership.tree()->network() == networkOf(2));
  CHECK_FALSE(world.membership.tree()->owns(kChild));
}

TEST_CASE("a metaserver that lets a member wait is left for another one") {
  World world({kA, kB}, {{kA, {}}, {kB, {Answers::waits}}});
  world.join();
  world.kill(kA);
  world.run(limits::kHomeLostSpread);
  CHECK(world.dials.back().to == kB);
  world.servers[kA] = {};
  world.run(limits::kAdmissionPatience - 1s);
  CHECK_FALSE(world.membership.joined());
  world.run(1s + limits::kReconnectMost);
  CHECK(world.membership.session().home() == kA);
  CHECK(world.membership.joined());
}

TEST_CASE("a newcomer, or a peer of one metaserver, waits there as long as it is told to") {
  World world({kA, kB}, {{kA, {Answers::waits}}, {kB, {}}});
  SUBCASE("a newcomer") {
    world.join();
    world.run(2min);
    CHECK(world.dials.size() == 1);
  }
  SUBCASE("a peer of one metaserver") {
    World one({kA}, {{kA, {}}});
    one.join();
    one.servers[kA].answers = Answers::waits;
    one.end();
    one.run(2min);
    CHECK(one.dials.size() == 2);
  }
}

TEST_CASE("a peer that leaves dials no other metaserver") {
  World world({kA, kB}, {{kA, {}}, {kB, {}}});
  world.join();
  world.step([&](Effects& fx) { world.membership.leave(world.now, fx); });
  world.kill(kA);
  world.run(1min);
  CHECK(world.dials.size() == 1);
}

// What a hostile metaserver wants: all its peers dial the services of others.
TEST_CASE("a home that tells other addresses at each session and closes it causes few dials") {
  World world({kA}, {{kA, {}}});
  world.join();
  unsigned made = 0;
  const TimePoint end = world.now + 10min;
  while (world.now < end) {
    std::vector<Endpoint> victims;
    for (unsigned i = 0; i < limits::kMetaserversTold; ++i) victims.push_back(elsewhere(++made));
    world.servers[kA].tells = victims;
    if (world.membership.joined()) world.end();
    world.run(100ms);
  }
  // Each 2.6 s on average, as a peer of one metaserver that closes each session at once.
  CHECK(world.dials.size() <= 600 / 2.6 * 1.2 + limits::kMetaserversKnown);
  std::map<Duration, unsigned> inSecond;
  for (const auto& dial : world.dials) {
    CHECK(++inSecond[(dial.at - kStart) / 1s * 1s] <= 6);
  }
}
