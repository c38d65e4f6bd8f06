// Members and strangers that lie to the registry: what they say counts for themselves only.
#include <doctest/doctest.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/budget.h"
#include "common/base/limits.h"
#include "metaserver/core/registry.h"
#include "metaserver/core/waiting_requests.h"
#include "tests/unit/registry_fixture.h"

using namespace espalier;
using namespace espalier::metaserver;
using namespace std::chrono_literals;

namespace {

using Ids = std::vector<PeerId>;

wire::Strangers strangersOf(Metaserver& metaserver, int number, const wire::Links& links) {
  const auto reply = metaserver.say(number, links);
  REQUIRE(reply);
  REQUIRE(std::holds_alternative<wire::Strangers>(*reply));
  return std::get<wire::Strangers>(*reply);
}

}  // namespace

TEST_CASE("neighbours that were not let into the network are told to the peer that asks") {
  Metaserver metaserver;
  metaserver.joinAndReport(1);
  metaserver.joinAndReport(2);  // below s1
  metaserver.admit(3);
  const wire::Links links{std::nullopt, {peer(2), peer(3), peer(4)}, 17};
  CHECK(strangersOf(metaserver, 1, links) == wire::Strangers{17, {peer(4)}, {peer(3)}});
  // Who asks for no answer gets none: an old peer does not know it.
  CHECK_FALSE(metaserver.say(1, wire::Links{std::nullopt, {peer(2), peer(4)}}));

  metaserver.say(3, wire::Links{peer(1), {peer(1)}});
  CHECK(strangersOf(metaserver, 1, links) == wire::Strangers{17, {peer(4)}, {}});
}

TEST_CASE("an absent member is no stranger, and nobody is after a restart for a while") {
  Metaserver metaserver;
  metaserver.joinAndReport(1);
  metaserver.joinAndReport(2);
  const wire::Links links{std::nullopt, {peer(2), peer(9)}, 1};
  metaserver.fx = {};
  metaserver.registry.closed(metaserver.connection(2), metaserver.now, metaserver.fx);
  CHECK(strangersOf(metaserver, 1, links) == wire::Strangers{1, {peer(9)}, {}});

  Registry::Options options;
  options.nextOrder = JoinOrder{10};
  Metaserver restarted(std::move(options));
  restarted.admit(1);
  CHECK_FALSE(restarted.say(1, links));
  for (Duration passed{}; passed < limits::kUnwrittenBelieved; passed += 2s) {
    restarted.pass(2s);
    restarted.say(1, wire::RegistryHeartbeat());
  }
  CHECK(strangersOf(restarted, 1, links) == wire::Strangers{1, {peer(2), peer(9)}, {}});
}

TEST_CASE("a parent that does not confirm a link gives its sender no slot and moves no peer") {
  Registry::Options options;
  options.maxLinks = 3;
  Metaserver metaserver(std::move(options));
  for (int number = 1; number <= 6; ++number) metaserver.joinAndReport(number);
  const auto before = metaserver.topo();
  const auto slots = metaserver.registry.reservedCount();
  // s7 has a reservation. It names each member its parent, and everybody its neighbour.
  metaserver.admit(7);
  const auto parentOf = [&](int number) {
    const auto& tree = metaserver.registry.tree();
    const auto parent = tree.parent(*tree.find(peer(number)));
    return parent ? tree.member(*parent).id : PeerId();
  };
  std::map<int, PeerId> parents;
  for (int number = 1; number <= 7; ++number) parents[number] = parentOf(number);
  for (int number = 1; number <= 9; ++number) {
    metaserver.say(7, wire::Links{peer(number), {peer(1), peer(2), peer(3), peer(7), peer(9)}});
    for (int other = 1; other <= 7; ++other) CHECK(parentOf(other) == parents[other]);
  }
  // A member high up names one far below it its parent: no cycle, no torn branch.
  metaserver.say(1, wire::Links{peer(6), {peer(2), peer(3), peer(6)}});
  metaserver.pass(2s);
  for (int other = 1; other <= 7; ++other) CHECK(parentOf(other) == parents[other]);
  CHECK(metaserver.registry.reservedCount() == slots + 1);
  CHECK(metaserver.registry.checkInvariants().ok());
  CHECK(metaserver.topo().substr(0, 3) == before.substr(0, 3));
}

TEST_CASE("the peer to which a seeker could not attach is avoided for that seeker only") {
  Registry::Options options;
  options.maxLinks = 4;
  Metaserver metaserver(std::move(options));
  metaserver.joinAndReport(1);
  metaserver.admit(2);
  for (int i = 0; i < 50; ++i) metaserver.say(2, wire::Seek{std::nullopt, peer(1)});
  CHECK(metaserver.admit(3).referral.parent.id == peer(1));
}

TEST_CASE("a flood of requests waits at its sender, and others are answered meanwhile") {
  Metaserver metaserver;
  metaserver.joinAndReport(1);
  metaserver.joinAndReport(2);
  int answered = 0;
  std::optional<Reading> reading;
  for (int i = 0; i < 10'000 && !reading; ++i) {
    if (metaserver.say(2, wire::Seek{std::nullopt, peer(1)})) ++answered;
    if (!metaserver.fx.readings.empty()) reading = metaserver.fx.readings[0];
  }
  REQUIRE(reading);
  CHECK(reading->from == metaserver.connection(2));
  CHECK_FALSE(reading->goesOn);
  CHECK(answered <= 250);
  CHECK(metaserver.say(1, wire::MembersRequest{1}));
  CHECK(metaserver.admit(3).members == 3);

  // It goes on a little later, and its request is answered then.
  CHECK(metaserver.registry.deadline() <= metaserver.now + 1s);
  metaserver.pass(1s);
  CHECK(metaserver.answer(2));
  REQUIRE(metaserver.fx.readings.size() == 1);
  CHECK(metaserver.fx.readings[0].goesOn);
  CHECK(metaserver.registry.checkInvariants().ok());
}

TEST_CASE("who comes later waits behind those that wait for the process") {
  auto rates = limits::kRateBounds;
  rates[static_cast<std::size_t>(limits::Rate::registryJoins)] = {1000, 1000, 10, 1};
  Budget budget(limits::kHeldBounds, rates);
  WaitingRequests requests(budget);
  Effects fx;
  TimePoint now = kStart;
  const auto asks = [&](std::uint64_t number) {
    const std::string host = "10.0.0." + std::to_string(number);
    return requests.admit({ConnectionId{number}, host, nullptr}, wire::Join(), now, fx);
  };
  CHECK(asks(1));
  CHECK_FALSE(asks(2));
  now += 101ms;
  CHECK_FALSE(asks(3));
  auto due = requests.takeDue(now, fx);
  REQUIRE(due);
  CHECK(due->connection == ConnectionId{2});
  CHECK_FALSE(requests.takeDue(now, fx));
  now += 101ms;
  requests.remove(ConnectionId{2});
  due = requests.takeDue(now, fx);
  REQUIRE(due);
  CHECK(due->connection == ConnectionId{3});
  now += 101ms;
  CHECK(asks(4));  // nobody waits any more
}

TEST_CASE("a member whose reports move many peers waits before it moves them again") {
  Metaserver metaserver;
  for (int number = 1; number <= 4; ++number) metaserver.joinAndReport(number);
  const auto ofOne = [&](int number) {
    auto account = metaserver.budget.account(Payer::member(peer(number)));
    const auto bound = limits::kRateBounds[static_cast<std::size_t>(limits::Rate::registryChanges)];
    const auto wait =
        account.affordableAt(limits::Rate::registryChanges, metaserver.now, bound.burst) -
        metaserver.now;
    return std::chrono::duration<double>(wait).count() * bound.perSecond;
  };
  metaserver.pass(1h);
  metaserver.say(1, wire::Links{std::nullopt, {peer(2)}});
  const double plain = ofOne(1);
  CHECK(plain >= 0.999);
  CHECK(plain <= 1.001);
  metaserver.say(2, wire::Seek{std::nullopt, peer(1)});
  CHECK(ofOne(2) > 1.001);  // it has moved those below it
}

TEST_CASE("a session that is read on though its requests wait is closed") {
  Metaserver metaserver;
  metaserver.joinAndReport(1);
  bool closed = false;
  int sent = 0;
  for (; sent < 10'000 && !closed; ++sent) {
    metaserver.say(1, wire::Seek{std::nullopt, peer(1)});
    closed = !metaserver.fx.closes.empty();
  }
  CHECK(closed);
  CHECK(sent <= 250 + static_cast<int>(limits::kWaitingRequests));
}

TEST_CASE("all pages of a large network are answered at once") {
  Metaserver metaserver;
  metaserver.admit(1);
  for (int i = 0; i < 500; ++i) CHECK(metaserver.say(1, wire::TopologyRequest{}));
}

TEST_CASE("joins of one address wait for its rate, and another address does not notice") {
  Metaserver metaserver;
  metaserver.host = "10.0.0.1";
  int flaps = 0;
  for (; flaps < 10'000; ++flaps) {
    if (!metaserver.join(1000 + flaps)) break;
    metaserver.say(1000 + flaps, wire::Quit());
    metaserver.registry.closed(metaserver.connection(1000 + flaps), metaserver.now, metaserver.fx);
  }
  CHECK(flaps >= 1000);
  CHECK(flaps <= 1100);
  metaserver.host = "10.0.0.2";
  metaserver.admit(1);
}

TEST_CASE("one address cannot take all slots of the network, nor be remembered without end") {
  Metaserver metaserver;
  metaserver.host = "10.0.0.1";
  const auto bound =
      static_cast<int>(limits::kHeldBounds[static_cast<std::size_t>(limits::Held::members)].payer);
  int last = 0;
  const auto fill = [&] {
    for (int i = 0; i < bound + 10; ++i) {
      metaserver.pass(100ms);
      const auto reply = metaserver.join(++last);
      REQUIRE(reply);
      if (std::holds_alternative<wire::Failure>(*reply)) return i;
    }
    return bound + 10;
  };
  const auto stayAlive = [&] {
    for (int number = 1; number <= last; ++number) {
      metaserver.say(number, wire::RegistryHeartbeat());
    }
  };
  for (int i = 0; i < bound; ++i) {
    REQUIRE(std::holds_alternative<wire::Admitted>(*metaserver.join(++last)));
  }
  metaserver.pass(1s);
  stayAlive();
  CHECK(fill() == 0);
  metaserver.host = "10.0.0.2";
  const int other = ++last;
  metaserver.admit(other);

  // All of them are lost, and others come in their place and are lost, too.
  for (int number = 1; number < other; ++number) {
    metaserver.registry.closed(metaserver.connection(number), metaserver.now, metaserver.fx);
  }
  metaserver.host = "10.0.0.1";
  for (int i = 0; i < 50; ++i) {
    metaserver.pass(100ms);
    REQUIRE(std::holds_alternative<wire::Admitted>(*metaserver.join(++last)));
    metaserver.registry.closed(metaserver.connection(last), metaserver.now, metaserver.fx);
  }
  auto account = metaserver.budget.account(Payer::host("10.0.0.1"));
  CHECK(account.held(limits::Held::absentMembers) == static_cast<std::uint64_t>(bound));
  CHECK(account.held(limits::Held::members) == 0);
}

TEST_CASE("of two spellings of one id only the composed one is admitted") {
  Metaserver metaserver;
  const auto joins = [&](int number, const std::string& id) {
    wire::Join join{*PeerId::parse(id), key(number), "P2P", {}, {}, kNoOrder, {}, {}};
    metaserver.registry.opened(metaserver.connection(number), "127.0.0.1", metaserver.now);
    const auto reply = metaserver.say(number, join);
    return reply && std::holds_alternative<wire::Admitted>(*reply);
  };
  CHECK(joins(1, "caf\u00e9"));
  CHECK_FALSE(joins(2, "cafe\u0301"));
  CHECK(joins(2, "CAF\u00c9"));  // which one can see
  CHECK(joins(3, "\u0441afe"));  // Cyrillic: a known gap
}

TEST_CASE("an address that nobody can dial is refused, and so is another machine's loopback") {
  Metaserver metaserver;
  metaserver.host = "10.0.0.1";
  const auto joins = [&](const std::string& host) {
    wire::Join join;
    join.listen = {host, 7000};
    const auto reply = metaserver.join(1, join);
    metaserver.registry.closed(metaserver.connection(1), metaserver.now, metaserver.fx);
    metaserver.now += limits::kRejoinWait;
    return reply && std::holds_alternative<wire::Admitted>(*reply);
  };
  for (const auto* host :
       {"0.0.0.0", "0.1.2.3", "224.0.0.1", "239.255.255.250", "240.0.0.1", "255.255.255.255",
        "::", "0:0::0", "ff02::1", "FF05::2", "::ffff:0.0.0.0", "::ffff:224.0.0.1", "127.0.0.1",
        "::1", "localhost", "::ffff:127.0.0.1"}) {
    CHECK_MESSAGE(!joins(host), host);
  }
  for (const auto* host : {"10.0.0.1", "192.0.2.9", "fe00::1", "2001:db8::1", "host.example", ""}) {
    CHECK_MESSAGE(joins(host), host);
  }
}
