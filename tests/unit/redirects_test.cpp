// A peer that a metaserver sends to another one: when it goes, what it says there, and what it
// keeps.
#include "peer/core/redirects.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <string>
#include <variant>
#include <vector>

#include "common/base/limits.h"
#include "tests/unit/metaservers_fixture.h"

using namespace espalier;
using namespace espalier::peer;
using namespace std::chrono_literals;

namespace {

using Answers = Server::Answers;
using Kind = Notice::Kind;

const Endpoint kD{"10.0.0.104", 5000};
const Endpoint kE{"10.0.0.105", 5000};

Server sendingTo(const Endpoint& to) {
  Server server;
  server.sendsTo = to;
  return server;
}

std::size_t saidTo(const World& world, const Endpoint& at) {
  return static_cast<std::size_t>(
      std::ranges::count_if(world.requests, [&](const auto& each) { return each.first == at; }));
}

bool hasWarned(const World& world, const std::string& text) {
  return std::ranges::any_of(world.notices, [&](const Notice& each) {
    return each.kind == Kind::warning && each.text.find(text) != std::string::npos;
  });
}

// Still at kA as it was, with its child.
void checkStayed(World& world) {
  CHECK(world.membership.joined());
  CHECK(world.membership.session().home() == kA);
  CHECK(world.membership.session().dialled() == kA);
  CHECK_FALSE(world.membership.session().moves());
  CHECK(world.membership.tree()->owns(kChild));
  CHECK(world.membership.tree()->self() == contact("me", kOrder, kHere));
  CHECK(world.noticed(Kind::metaserverLost) == 0);
  CHECK(world.noticed(Kind::metaserverBack) == 0);
  const auto now = world.requests.size();
  world.run(limits::kHeartbeatInterval);
  CHECK(world.requests.size() > now);
  CHECK(world.requests.back().first == kA);
}

}  // namespace

TEST_CASE("three redirects in a row are followed, and after a rest three more") {
  Redirects redirects;
  TimePoint now = kStart;
  const auto follow = [&] {
    if (!redirects.mayFollow(now)) return false;
    redirects.followed(now);
    return true;
  };
  for (unsigned i = 0; i < limits::kRedirects; ++i) {
    CHECK(follow());
    redirects.admitted(now);
  }
  CHECK_FALSE(follow());
  now += kRedirectRest - 1ms;
  CHECK_FALSE(follow());
  now += 1ms;
  for (unsigned i = 0; i < limits::kRedirects; ++i) CHECK(follow());
  now += 1h;  // it was admitted nowhere
  CHECK_FALSE(follow());
}

TEST_CASE("after each redirect that led to nobody the next one is followed later") {
  Redirects redirects;
  TimePoint now = kStart;
  Duration pause = limits::kRedirectRetryLeast;
  for (int i = 0; i < 12; ++i) {
    REQUIRE(redirects.mayFollow(now));
    redirects.followed(now);
    redirects.failed(now);
    now += pause - 1ms;
    CHECK_FALSE(redirects.mayFollow(now));
    now += 1ms;
    pause = std::min<Duration>(2 * pause, limits::kRedirectRetryMost);
  }
  redirects.followed(now);
  redirects.admitted(now);
  now += limits::kRedirectStay - 1ms;  // a short stay does not make up for it
  REQUIRE(redirects.mayFollow(now));
  redirects.followed(now);
  redirects.failed(now);
  CHECK(redirects.notBefore() == now + pause);
  now += pause;
  redirects.followed(now);
  redirects.admitted(now);
  now += limits::kRedirectStay;
  redirects.followed(now);
  redirects.failed(now);
  CHECK(redirects.notBefore() == now + limits::kRedirectRetryLeast);
}

TEST_CASE("a newcomer that is sent to another metaserver joins there, and comes back to its own") {
  World world({kA}, {{kA, sendingTo(kB)}, {kB, {}}});
  world.join();
  CHECK(world.membership.joined());
  CHECK(world.membership.session().home() == kB);
  CHECK(world.dialledSince(kStart) == std::vector{kA, kB});
  CHECK(world.dials[0].isNamedByUser);
  CHECK_FALSE(world.dials[1].isNamedByUser);
  CHECK(world.closed == std::vector{ConnectionId{1}});
  CHECK(world.noticed(Kind::joined) == 1);
  CHECK(world.noticed(Kind::warning) == 0);
  CHECK(world.noticed(Kind::metaserverLost) == 0);
  // The home dies: the address that the user gave is still known.
  world.servers[kA].sendsTo.reset();
  world.kill(kB);
  world.run(limits::kHomeLostSpread);
  CHECK(world.membership.session().home() == kA);
}

TEST_CASE("the other metaserver hears nothing before its Welcome names the same network") {
  World world({kA}, {{kA, {}}, {kB, {}}});
  SUBCASE("a newcomer") {}
  SUBCASE("a member that returns") {
    world.join();
    world.attachChild();
    world.end();
  }
  SUBCASE("it names another one") {
    world.servers[kB].network = networkOf(2);
  }
  world.servers[kB].tellsNetwork = world.servers[kB].network != networkOf(1);
  world.servers[kA].sendsTo = kB;
  world.join();
  world.run(limits::kReconnectMost);
  CHECK_FALSE(world.membership.joined());
  CHECK(std::ranges::count(world.dialledSince(kStart), kB) == 1);
  CHECK(saidTo(world, kB) == 0);
  CHECK(hasWarned(world, "no metaserver of the same network"));
  CHECK(world.noticed(Kind::mismatch) == 0);
}

TEST_CASE("a newcomer that is sent to somebody who does not answer is told, and goes there later") {
  World world({kA}, {{kA, sendingTo(kB)}});
  SUBCASE("nobody listens") {}
  SUBCASE("it speaks another protocol, which says nothing about those that the user gave") {
    world.servers[kB].answers = Answers::otherProtocol;
  }
  world.join();
  CHECK_FALSE(world.membership.joined());
  CHECK(world.noticed(Kind::mismatch) == 0);
  CHECK(world.noticed(Kind::metaserverLost) == 1);
  CHECK(hasWarned(world, "a metaserver sent this peer to 10.0.0.102:5000"));
  world.join();
  CHECK(world.dialledSince(kStart) == std::vector{kA, kB, kA});
  CHECK(hasWarned(world, "it follows again in 1 s at the earliest"));
  // A program without a prompt tries again all the time.
  const TimePoint begun = world.now;
  while (world.now < begun + 10min) {
    world.run(limits::kJoinRetryMost);
    world.join();
  }
  // After 1, 2, 4 … 64 s, then each 2 minutes.
  CHECK(std::ranges::count(world.dialledSince(begun), kB) <=
        7 + 10min / limits::kRedirectRetryMost);
  CHECK(std::ranges::count(world.dialledSince(begun), kA) >= 100);
  world.servers[kB] = {};
  world.run(limits::kRedirectRetryMost);
  world.join();
  CHECK(world.membership.joined());
}

TEST_CASE("a newcomer goes on to the next metaserver of its user where a redirect led to nobody") {
  World world({kA, kC}, {{kA, sendingTo(kB)}, {kC, {}}});
  world.join();
  CHECK(world.membership.joined());
  CHECK(world.dialledSince(kStart) == std::vector{kA, kB, kC});
}

TEST_CASE("a newcomer that is sent on and on follows three times") {
  World world({kA}, {{kA, sendingTo(kB)}, {kB, sendingTo(kC)}, {kC, sendingTo(kD)}});
  SUBCASE("to others") {
    world.servers[kD] = sendingTo(kE);
    world.servers[kE] = {};
  }
  SUBCASE("in a circle") {
    world.servers[kD] = sendingTo(kA);
  }
  world.join();
  CHECK_FALSE(world.membership.joined());
  CHECK(world.dialledSince(kStart) == std::vector{kA, kB, kC, kD});
  CHECK(world.noticed(Kind::metaserverLost) == 1);
  CHECK(hasWarned(world, "it was sent on too often in a row"));
}

TEST_CASE("three redirects in a row lead a newcomer in") {
  World world({kA}, {{kA, sendingTo(kB)}, {kB, sendingTo(kC)}, {kC, sendingTo(kD)}, {kD, {}}});
  world.join();
  CHECK(world.membership.session().home() == kD);
  CHECK(world.membership.session().metaservers().size() == 2);
}

TEST_CASE("a redirect to loopback of another machine, and one to no machine, are not followed") {
  World world({kA}, {{kA, sendingTo({"127.0.0.1", 22})}});
  SUBCASE("loopback") {}
  SUBCASE("multicast") {
    world.servers[kA] = sendingTo({"224.0.0.1", 5000});
  }
  world.join();
  CHECK(world.dials.size() == 1);
  CHECK(world.noticed(Kind::metaserverLost) == 1);
}

TEST_CASE("requests that a newcomer made are asked again where it is sent") {
  World world({kA}, {{kA, {Answers::welcomes}}, {kB, {}}});
  world.step([&](Effects& fx) { world.membership.connect(world.now, fx); });
  std::optional<std::uint64_t> number;
  world.step([&](Effects& fx) {
    number = world.membership.ask(wire::TopologyRequest{JoinOrder{3}}, world.now, fx);
  });
  world.sends(kB);
  REQUIRE(number);
  CHECK(world.requests.back() ==
        std::pair{kB, wire::RegistryRequest(wire::TopologyRequest{JoinOrder{3}, *number})});
}

TEST_CASE("a member is moved as it is, and its old home is let go when the new one has it") {
  World world({kA}, {{kA, {}}, {kB, {}}});
  world.join();
  world.attachChild();
  const auto old = *world.membership.session().connection();
  const auto notices = world.notices.size();
  std::optional<std::uint64_t> number;
  world.step(
      [&](Effects& fx) { number = world.membership.ask(wire::MembersRequest(), world.now, fx); });
  bool lostOld = false;
  SUBCASE("the old one is open until then") {
    world.before = [&] {
      CHECK(world.closed.empty());
      CHECK(world.membership.joined());
      CHECK(world.membership.session().connection() == old);
    };
  }
  SUBCASE("the registry has closed the old one before it tells the admission") {
    lostOld = true;
    world.before = [&] { world.end(); };
  }
  world.sends(kB);
  CHECK(world.closed == (lostOld ? std::vector<ConnectionId>{} : std::vector{old}));
  CHECK(world.membership.joined());
  CHECK(world.membership.session().home() == kB);
  CHECK(world.membership.session().connection() != old);
  CHECK_FALSE(world.membership.session().moves());
  const auto& join = world.lastJoin();
  CHECK(join.network == networkOf(1));
  CHECK(join.order == JoinOrder{kOrder});
  CHECK(join.listen.port == kHere.port);
  CHECK(join.neighbours == std::vector{*PeerId::parse("child")});
  CHECK(world.membership.tree()->owns(kChild));
  CHECK(world.membership.tree()->self() == contact("me", kOrder, kHere));
  REQUIRE(world.notices.size() == notices + 1);
  CHECK(world.notices.back().kind == Kind::metaserverBack);
  CHECK(world.notices.back().text == kB.text());
  // What was open is answered by the new one.
  REQUIRE(number);
  const std::pair again{kB, wire::RegistryRequest(wire::MembersRequest{*number})};
  CHECK(std::ranges::count(world.requests, again) == 1);
  std::optional<std::uint64_t> answered;
  world.step([&](Effects& fx) {
    const wire::Members members{9, JoinOrder{kOrder}, *number};
    CHECK_FALSE(world.membership.received(old, members, world.now, fx));
    answered =
        world.membership.received(*world.membership.session().connection(), members, world.now, fx);
  });
  CHECK(answered == number);
  // It says to the new one what it said to the old one.
  const auto reports = [&] {
    return std::ranges::count_if(world.requests, [](const auto& each) {
      return each.first == kB && std::holds_alternative<wire::Links>(each.second);
    });
  };
  CHECK(reports() == 1);
  const auto saidBefore = saidTo(world, kA);
  world.run(10 * limits::kHeartbeatInterval);
  CHECK(saidTo(world, kA) == saidBefore);
  CHECK(world.membership.joined());
}

TEST_CASE("a member stays where it is if the metaserver that it is sent to does not take it") {
  World world({kA}, {{kA, {}}});
  world.join();
  world.attachChild();
  std::string why;
  SUBCASE("nobody listens there") {
    why = "refused";
  }
  SUBCASE("it is of another network") {
    world.servers[kB].network = networkOf(2);
    why = "no metaserver of the same network";
  }
  SUBCASE("it does not say of which network it is") {
    world.servers[kB].tellsNetwork = false;
    why = "no metaserver of the same network";
  }
  SUBCASE("it lets the peer wait") {
    world.servers[kB].answers = Answers::waits;
    why = "it does not answer";
  }
  SUBCASE("it does not answer the Join") {
    world.servers[kB].answers = Answers::welcomes;
    why = "it does not answer";
  }
  SUBCASE("it takes the peer for a newcomer") {
    world.servers[kB].answers = Answers::welcomes;
    why = "it takes this peer for another one";
  }
  SUBCASE("it refuses the peer") {
    world.servers[kB].answers = Answers::welcomes;
    why = "go away";
  }
  world.sends(kB);
  for (const auto& [connection, at] : std::map(world.sessions)) {
    if (at != kB || !world.membership.owns(connection)) continue;
    if (why == "go away") world.says(wire::Failure{ErrorCode::refused, why}, connection);
    if (why != "it takes this peer for another one") continue;
    wire::Admitted admitted;
    admitted.network = networkOf(1);
    admitted.self = contact("me", kOrder + 1, kHere);
    world.says(admitted, connection);
  }
  world.run(limits::kAdmissionPatience);
  CHECK(hasWarned(world, why));
  checkStayed(world);
  CHECK(world.noticed(Kind::warning) == 1);
  CHECK(world.membership.session().metaservers().size() <= 2);
}

TEST_CASE("an admission that a member did not ask for there does not move it") {
  World world({kA}, {{kA, {}}, {kB, {Answers::nobody}}});
  world.join();
  world.attachChild();
  world.step([&](Effects& fx) {
    world.membership.received(*world.membership.session().connection(),
                              wire::Redirect{kB, networkOf(1)}, world.now, fx);
    REQUIRE(fx.dials.size() == 1);  // it is not answered
    wire::Admitted admitted;
    admitted.network = networkOf(1);
    admitted.self = contact("me", kOrder, kHere);
    world.membership.received(fx.dials[0].connection, admitted, world.now, fx);
    CHECK(world.membership.session().home() == kA);
    CHECK(world.membership.session().moves());
    fx.dials.clear();
  });
  world.run(limits::kAdmissionPatience);
  checkStayed(world);
}

TEST_CASE("a member whose old home ends on the way goes on, and comes back if that fails") {
  World world({kA}, {{kA, {}}, {kB, {Answers::welcomes}}});
  world.join();
  world.attachChild();
  world.sends(kB);
  REQUIRE(world.membership.session().moves());
  world.end();
  CHECK(world.membership.session().dialled() == kB);
  CHECK(world.noticed(Kind::metaserverLost) == 0);
  SUBCASE("it is admitted") {
    wire::Admitted admitted;
    admitted.network = networkOf(1);
    admitted.self = contact("me", kOrder, kHere);
    admitted.heartbeatInterval = limits::kHeartbeatInterval;
    world.says(admitted);
    CHECK(world.membership.session().home() == kB);
  }
  SUBCASE("the other one ends, too") {
    world.end();
    CHECK(world.noticed(Kind::metaserverLost) == 1);
    world.run(limits::kReconnectMost);
    CHECK(world.membership.session().home() == kA);
  }
  SUBCASE("the other one does not answer") {
    world.run(limits::kAdmissionPatience + limits::kReconnectMost);
    CHECK(world.membership.session().home() == kA);
  }
  CHECK(world.membership.joined());
  CHECK(world.membership.tree()->owns(kChild));
}

TEST_CASE("a member is sent on by the one that it was sent to") {
  World world({kA}, {{kA, {}}, {kB, sendingTo(kC)}, {kC, {}}});
  world.join();
  world.sends(kB);
  CHECK(world.membership.session().home() == kC);
  CHECK(world.noticed(Kind::warning) == 0);
  CHECK(world.closed.size() == 2);
}

TEST_CASE("a member is not sent into another network, nor elsewhere while it is moving") {
  World world({kA}, {{kA, {}}, {kB, {Answers::welcomes}}});
  world.join();
  world.attachChild();
  world.sends(kB, networkOf(2));
  CHECK(world.dials.size() == 1);
  CHECK(hasWarned(world, "into another network"));
  world.sends(kB);
  world.sends(kC);
  CHECK(world.dialledSince(kStart) == std::vector{kA, kB});
}

TEST_CASE("what the home tells while a member is moving keeps the home and the other one") {
  World world({kA}, {{kA, {}}, {kB, {Answers::welcomes}}});
  world.join();
  world.sends(kB);
  world.says(wire::RegistryHeartbeatReply{limits::kHeartbeatInterval, {}, {kC}},
             *world.membership.session().connection());
  CHECK(world.membership.session().home() == kA);
  CHECK(world.membership.session().dialled() == kB);
  CHECK(world.membership.session().metaservers().size() == 3);
}

TEST_CASE("a peer that leaves while it is moving says goodbye to both") {
  World world({kA}, {{kA, {}}, {kB, {Answers::welcomes}}});
  world.join();
  world.sends(kB);
  world.step([&](Effects& fx) { world.membership.leave(world.now, fx); });
  for (const auto& at : {kA, kB}) {
    CHECK(std::ranges::any_of(world.requests, [&](const auto& each) {
      return each.first == at && std::holds_alternative<wire::Quit>(each.second);
    }));
  }
  world.run(1min);
  CHECK(world.dials.size() == 2);
}

TEST_CASE("two metaservers that send a member to each other do not make it dial without rests") {
  World world({kA}, {{kA, {}}, {kB, {}}});
  world.join();
  const TimePoint begun = world.now;
  while (world.now < begun + 10min) {
    const bool isAtA = world.membership.session().home() == kA;
    world.sends(isAtA ? kB : kA);
    world.run(50ms);
    REQUIRE(world.membership.joined());
  }
  CHECK(world.membership.session().metaservers().size() == 2);
  std::map<Duration, unsigned> inRest;
  for (const auto& dial : world.dials) {
    CHECK(++inRest[(dial.at - kStart) / kRedirectRest * 1s] <= 2 * limits::kRedirects);
  }
}

TEST_CASE("a peer follows a metaserver that moves every second for as long as it does") {
  const auto portOf = [](unsigned number) {
    return Endpoint{kA.host, static_cast<std::uint16_t>(5001 + number % 100)};
  };
  std::map<Endpoint, Server> all{{kA, {}}};
  for (unsigned i = 0; i < 100; ++i) all[portOf(i)] = {};
  World world({kA}, all);
  world.join();
  for (unsigned i = 0; i < 600; ++i) {
    world.sends(portOf(i));
    world.run(1s);
    REQUIRE(world.membership.joined());
    REQUIRE(world.membership.session().home() == portOf(i));
  }
}

// What a hostile metaserver wants: all its peers dial the services of others.
TEST_CASE("a home that sends a member to others all the time causes ever fewer dials") {
  World world({kA}, {{kA, {}}});
  world.join();
  world.attachChild();
  unsigned made = 0;
  const TimePoint begun = world.now;
  while (world.now < begun + 1h) {
    for (int i = 0; i < 20; ++i) world.sends(elsewhere(++made));
    world.run(1s);
    REQUIRE(world.membership.joined());
  }
  // After 1, 2, 4 … 64 s, then each 2 minutes.
  CHECK(world.dials.size() <= 1 + 7 + 1h / limits::kRedirectRetryMost);
  CHECK(world.dials.size() >= 30);
  CHECK(world.membership.session().metaservers().size() <= limits::kMetaserversKnown);
  CHECK(world.noticed(Kind::warning) <= 20 + 60 * 10);
  CHECK(world.membership.tree()->owns(kChild));
}
