// Which peers keep their membership when they come back, and which only claim one.
#include <doctest/doctest.h>

#include <algorithm>

#include "common/base/limits.h"
#include "tests/unit/registry_fixture.h"

using namespace espalier;
using namespace espalier::metaserver;
using namespace std::chrono_literals;

namespace {

// The request of peer `number` when it comes back with its order and links.
wire::Join claim(int number, std::uint64_t order, const std::vector<PeerId>& neighbours = {}) {
  wire::Join join;
  join.network.bytes[0] = 7;
  join.order = JoinOrder{order};
  join.listen = {"127.0.0.1", static_cast<std::uint16_t>(5000 + number)};
  join.neighbours = neighbours;
  if (!neighbours.empty()) join.parent = neighbours[0];
  return join;
}

// Restarted; the absent members s1 and s2 have the orders 1 and 2.
Registry::Options twoOfBefore() {
  Registry::Options options;
  options.nextOrder = JoinOrder{3};
  options.before = {{peer(1), key(1), JoinOrder{1}, {"127.0.0.1", 5001}},
                    {peer(2), key(2), JoinOrder{2}, {"127.0.0.1", 5002}}};
  return options;
}

// The registry of a new master; peer `number` is away, with this order.
Registry::Options withAway(int number) {
  MemberRow away;
  away.contact = {peer(number),
                  JoinOrder{static_cast<std::uint64_t>(number)},
                  {"127.0.0.1", static_cast<std::uint16_t>(5000 + number)}};
  away.key = key(number);
  Registry::Options options;
  options.away = {away};
  return options;
}

bool isRefused(const std::optional<wire::RegistryReply>& reply, const std::string& why) {
  const auto* failure = reply ? std::get_if<wire::Failure>(&*reply) : nullptr;
  if (failure == nullptr) return false;
  INFO(failure->message);
  CHECK(failure->code == ErrorCode::refused);
  return failure->message.find(why) != std::string::npos;
}

bool waits(const std::optional<wire::RegistryReply>& reply) {
  return reply && std::holds_alternative<wire::Wait>(*reply);
}

// On connection `from`, under the id of peer `number`, with another key than that one's.
std::optional<wire::RegistryReply> steal(Metaserver& metaserver, int from, int number,
                                         wire::Join with) {
  metaserver.registry.opened(metaserver.connection(from), "127.0.0.1", metaserver.now);
  with.id = peer(number);
  with.key = key(200 + from);
  with.word = "P2P";
  return metaserver.say(from, with);
}

}  // namespace

TEST_CASE("an id that is awaited after a restart is refused to another key, whatever it claims") {
  Metaserver metaserver(twoOfBefore());
  CHECK(isRefused(steal(metaserver, 50, 1, claim(1, 1)), "s1 is held for the peer"));
  CHECK(isRefused(steal(metaserver, 51, 1, claim(1, 2)), "s1 is held for the peer"));
  CHECK(isRefused(steal(metaserver, 52, 1, {}), "s1 is held for the peer"));
  CHECK(metaserver.admit(1, claim(1, 1)).self.order == JoinOrder{1});
  CHECK(isRefused(steal(metaserver, 53, 1, claim(1, 1)), "s1 is in the network already"));
}

TEST_CASE("an awaited peer that shows the order of another is a newcomer, and its links are not") {
  Metaserver metaserver(twoOfBefore());
  CHECK(waits(metaserver.join(2, claim(2, 1, {peer(1)}))));
  CHECK(metaserver.admit(1, claim(1, 1, {peer(2)})).self.order == JoinOrder{1});
  const auto admitted = metaserver.answer(2);  // no member is awaited any more: its turn
  REQUIRE(admitted);
  REQUIRE(std::holds_alternative<wire::Admitted>(*admitted));
  CHECK(std::get<wire::Admitted>(*admitted).self.order == JoinOrder{3});
  CHECK(metaserver.topo() == "s1:\ns2:\n");
}

TEST_CASE("no peer gets an order of joining by claiming it") {
  Metaserver metaserver;
  for (int number = 1; number <= 3; ++number) metaserver.joinAndReport(number);
  metaserver.say(1, wire::Quit());
  for (const std::uint64_t order : {1u, 2u, 3u}) {
    CAPTURE(order);
    const auto admitted = metaserver.admit(10 + static_cast<int>(order), claim(11, order));
    CHECK(number(admitted.self.order) == 3 + order);
    CHECK(admitted.referral.kind == wire::Referral::Kind::below);
  }
}

TEST_CASE("a new network has no absent members, not even with the next order") {
  Metaserver metaserver;
  metaserver.joinAndReport(1);
  const auto admitted = metaserver.admit(2, claim(2, 2, {peer(1)}));
  CHECK(admitted.referral.kind == wire::Referral::Kind::below);
  CHECK(metaserver.topo() == "s1:\ns2:\n");
}

TEST_CASE("a claim far above all orders does not use them up") {
  Metaserver metaserver;
  metaserver.admit(1);
  const auto high = metaserver.admit(2, claim(2, limits::kMembers));
  CHECK(high.self.order == JoinOrder{2});
  metaserver.pass(limits::kUnwrittenBelieved);
  CHECK(metaserver.admit(3, claim(3, 100)).self.order == JoinOrder{3});
}

TEST_CASE("an order that the state file lacks is accepted once, and only soon after a restart") {
  Metaserver metaserver(twoOfBefore());
  metaserver.admit(1, claim(1, 1));
  metaserver.admit(2, claim(2, 2));
  CHECK(metaserver.admit(4, claim(4, 4, {peer(1)})).self.order == JoinOrder{4});
  CHECK(metaserver.admit(3, claim(3, 3)).self.order == JoinOrder{3});
  metaserver.say(4, wire::Quit());
  CHECK(metaserver.admit(5, claim(5, 4)).self.order == JoinOrder{5});
  CHECK(metaserver.admit(6, claim(6, 3 + limits::kOrdersUnwritten)).self.order == JoinOrder{6});
  metaserver.pass(limits::kUnwrittenBelieved);
  CHECK(metaserver.admit(7, claim(7, 9)).self.order == JoinOrder{7});
}

TEST_CASE("a peer whose connection is lost comes back with its order and links") {
  Metaserver metaserver;
  for (int number = 1; number <= 3; ++number) metaserver.joinAndReport(number);
  metaserver.registry.closed(metaserver.connection(2), metaserver.now, metaserver.fx);
  metaserver.pass(5s);
  const auto back = metaserver.admit(2, claim(2, 2, metaserver.links[peer(2)].neighbours));
  CHECK(back.self.order == JoinOrder{2});
  CHECK(metaserver.topo().find("s2: s1") != std::string::npos);
}

TEST_CASE("the id of a peer that was lost is held for its key until it is forgotten") {
  Metaserver metaserver;
  for (int number = 1; number <= 3; ++number) metaserver.joinAndReport(number);
  metaserver.registry.closed(metaserver.connection(2), metaserver.now, metaserver.fx);
  for (const auto later : {0ms, limits::kAbsentKept / 2 + 0ms}) {
    metaserver.now += later;
    CHECK(isRefused(steal(metaserver, 50, 2, {}), "s2 is held for the peer"));
    CHECK(isRefused(steal(metaserver, 51, 2, claim(2, 2)), "s2 is held for the peer"));
  }
  CHECK(metaserver.admit(2, claim(2, 2)).self.order == JoinOrder{2});

  metaserver.registry.closed(metaserver.connection(2), metaserver.now, metaserver.fx);
  metaserver.now += limits::kAbsentKept;
  metaserver.pass(0s);
  const auto other = steal(metaserver, 52, 2, {});
  CHECK((other && std::holds_alternative<wire::Admitted>(*other)));
}

// Found by the simulation, seed 10000177 of 4 to 24 peers with liars.
TEST_CASE("who stood still for long does not lose its id to another one that asked meanwhile") {
  Metaserver metaserver;
  for (int number = 1; number <= 3; ++number) metaserver.joinAndReport(number);
  metaserver.registry.closed(metaserver.connection(2), metaserver.now, metaserver.fx);
  metaserver.registry.probed(peer(2), true, metaserver.now, metaserver.fx);
  metaserver.now += limits::kRejoinWait;
  CHECK(isRefused(steal(metaserver, 50, 2, {}), "s2 is held for the peer"));
  CHECK(metaserver.admit(2, claim(2, 2)).self.order == JoinOrder{2});
}

TEST_CASE("the order of a lost peer is kept after its id is free") {
  Metaserver metaserver;
  for (int number = 1; number <= 3; ++number) metaserver.joinAndReport(number);
  metaserver.registry.closed(metaserver.connection(2), metaserver.now, metaserver.fx);
  metaserver.registry.probed(peer(2), false, metaserver.now, metaserver.fx);
  const auto other = steal(metaserver, 51, 2, claim(2, 2));
  REQUIRE(other);
  REQUIRE(std::holds_alternative<wire::Admitted>(*other));
  CHECK(std::get<wire::Admitted>(*other).self.order == JoinOrder{4});
  CHECK(isRefused(metaserver.join(2, claim(2, 2)), "s2 is in the network already"));
  metaserver.say(51, wire::Quit());
  CHECK(metaserver.admit(2, claim(2, 2)).self.order == JoinOrder{2});
}

TEST_CASE("the id of a lost peer is free once its endpoint refuses connections") {
  Metaserver metaserver;
  metaserver.joinAndReport(1);
  metaserver.fx = {};
  metaserver.registry.closed(metaserver.connection(1), metaserver.now, metaserver.fx);
  REQUIRE(metaserver.fx.probes.size() == 1);
  metaserver.registry.probed(peer(1), true, metaserver.now, metaserver.fx);
  CHECK(isRefused(steal(metaserver, 50, 1, {}), "s1 is held for the peer"));
  metaserver.registry.probed(peer(1), false, metaserver.now, metaserver.fx);
  const auto other = steal(metaserver, 51, 1, {});
  CHECK((other && std::holds_alternative<wire::Admitted>(*other)));
}

TEST_CASE("no endpoint is probed unless it is on the joiner's own host") {
  Metaserver metaserver;
  wire::Join elsewhere;
  elsewhere.listen = {"192.0.2.1", 22};
  metaserver.admit(1, elsewhere);
  metaserver.fx = {};
  metaserver.registry.closed(metaserver.connection(1), metaserver.now, metaserver.fx);
  CHECK(metaserver.fx.probes.empty());
}

TEST_CASE("lost members are forgotten after some time") {
  Metaserver metaserver;
  metaserver.joinAndReport(1);
  metaserver.joinAndReport(2);
  metaserver.registry.closed(metaserver.connection(1), metaserver.now, metaserver.fx);
  CHECK(metaserver.remembered().size() == 2);
  metaserver.now += limits::kAbsentKept;
  metaserver.say(2, wire::RegistryHeartbeat());
  metaserver.pass(0s);
  CHECK(metaserver.remembered().size() == 1);
  CHECK(metaserver.admit(1, claim(1, 1)).self.order == JoinOrder{3});
}

TEST_CASE("an id is also held for a joiner that waits under it") {
  Metaserver metaserver(twoOfBefore());
  CHECK(waits(metaserver.join(9)));
  CHECK(waits(metaserver.join(9)));  // asked again on the same connection
  CHECK(isRefused(steal(metaserver, 50, 9, {}), "s9 waits already"));
  metaserver.registry.closed(metaserver.connection(9), metaserver.now, metaserver.fx);
  CHECK(waits(steal(metaserver, 51, 9, {})));
  metaserver.pass(limits::kRejoinWait);
  const auto admitted = metaserver.answer(51);
  CHECK((admitted && std::holds_alternative<wire::Admitted>(*admitted)));
  CHECK(metaserver.registry.size() == 1);
}

TEST_CASE("the port on which a waiting joiner listens is not assigned to another one") {
  Metaserver metaserver(twoOfBefore());
  CHECK(waits(metaserver.join(8)));
  auto listens = claim(9, 2);
  listens.listen.port = 5001;
  CHECK(waits(metaserver.join(9, listens)));
  metaserver.pass(limits::kRejoinWait);
  for (const int number : {8, 9}) {
    const auto admitted = metaserver.answer(number);
    REQUIRE(admitted);
    REQUIRE(std::holds_alternative<wire::Admitted>(*admitted));
    const auto port = std::get<wire::Admitted>(*admitted).self.endpoint.port;
    CHECK(port == (number == 9 ? 5001 : 5002));
  }
}

TEST_CASE(
    "an absent member whose process was restarted is not awaited, and its order is not kept") {
  Metaserver metaserver(twoOfBefore());
  CHECK(waits(metaserver.join(1)));
  CHECK(metaserver.registry.awaitedCount() == 1);
  metaserver.admit(2, claim(2, 2));
  const auto admitted = metaserver.answer(1);
  REQUIRE(admitted);
  REQUIRE(std::holds_alternative<wire::Admitted>(*admitted));
  CHECK(std::get<wire::Admitted>(*admitted).self.order == JoinOrder{3});
}

TEST_CASE(
    "a metaserver without state takes the network of the first peer that comes back, and waits") {
  Metaserver metaserver;
  auto back = claim(2, 2);
  back.network.bytes[0] = 8;
  CHECK(metaserver.admit(2, back).self.order == JoinOrder{2});
  CHECK(metaserver.registry.network() == back.network);
  CHECK(waits(metaserver.join(9)));
  auto first = claim(1, 1);
  first.network = back.network;
  CHECK(metaserver.admit(1, first).self.order == JoinOrder{1});
  auto same = claim(3, 1);
  same.network = back.network;
  CHECK(waits(metaserver.join(3, same)));  // that order is taken: it is a newcomer
  metaserver.pass(limits::kRejoinWait);
  for (const int late : {9, 3}) {
    const auto admitted = metaserver.answer(late);
    REQUIRE(admitted);
    REQUIRE(std::holds_alternative<wire::Admitted>(*admitted));
    CHECK(number(std::get<wire::Admitted>(*admitted).self.order) >= 3);
  }
  auto other = claim(10, 2);
  other.network.bytes[0] = 9;
  CHECK(number(metaserver.admit(10, other).self.order) >= 5);  // only once
}

TEST_CASE("no peer is its own neighbour in topo.txt, or is listed twice") {
  Metaserver metaserver;
  metaserver.joinAndReport(1);
  metaserver.joinAndReport(2);
  metaserver.say(2, wire::Links{peer(1), {peer(1), peer(2), peer(1)}});
  CHECK(metaserver.topo() == "s1: s2\ns2: s1\n");
}

TEST_CASE("a refusal says whether another id will do: not while it is open whose the id is") {
  Registry::Options options = withAway(3);
  options.before = twoOfBefore().before;
  Metaserver metaserver(std::move(options));
  const auto isTaken = [](const std::optional<wire::RegistryReply>& reply) {
    return std::get<wire::Failure>(*reply).isIdTaken;
  };
  CHECK(isTaken(steal(metaserver, 50, 1, {})));  // held
  CHECK_FALSE(isTaken(steal(metaserver, 51, 3, {})));
  metaserver.admit(3, claim(3, 3));
  CHECK(isTaken(steal(metaserver, 52, 3, {})));
}

TEST_CASE("a member that was renamed does not hold its former id, if that is away or absent") {
  Metaserver metaserver(withAway(1));
  const auto joinAs = [&](int connection, const char* id, int keyOf) {
    wire::Join join;
    join.id = *PeerId::parse(id);
    join.key = key(keyOf);
    join.word = "P2P";
    metaserver.registry.opened(metaserver.connection(connection), "127.0.0.1", metaserver.now);
    return metaserver.say(connection, join);
  };
  // Another peer of that form of id changes nothing.
  CHECK(std::holds_alternative<wire::Admitted>(*joinAs(50, "s1~3", 9)));
  CHECK(metaserver.registry.isAway(peer(1)));
  CHECK(std::holds_alternative<wire::Admitted>(*joinAs(51, "s1~2", 1)));
  CHECK_FALSE(metaserver.registry.isAway(peer(1)));
  CHECK_FALSE(metaserver.registry.isIdHeld(peer(1)));
  CHECK(std::holds_alternative<wire::Admitted>(*joinAs(52, "s1", 7)));
  // A member that is present stays, also if its key is copied.
  CHECK(std::holds_alternative<wire::Admitted>(*joinAs(53, "s1~4", 7)));
  CHECK(metaserver.registry.size() == 4);
}

TEST_CASE("a session of a lower generation does not displace a later one of the same member") {
  Metaserver metaserver;
  wire::Join first;
  first.generation = 4;
  const auto self = metaserver.admit(1, first).self;
  wire::Join late = claim(1, number(self.order));
  late.id = peer(1);
  late.key = key(1);
  late.word = "P2P";
  late.generation = 3;
  metaserver.registry.opened(metaserver.connection(50), "127.0.0.1", metaserver.now);
  CHECK_FALSE(metaserver.say(50, late));
  REQUIRE(metaserver.fx.closes.size() == 1);
  CHECK(metaserver.fx.closes[0] == metaserver.connection(50));
  metaserver.registry.closed(metaserver.connection(50), metaserver.now, metaserver.fx);
  CHECK(metaserver.registry.size() == 1);

  late.generation = 5;
  metaserver.registry.opened(metaserver.connection(51), "127.0.0.1", metaserver.now);
  const auto answer = metaserver.say(51, late);
  REQUIRE(answer);
  CHECK(std::get<wire::Admitted>(*answer).self == self);
  REQUIRE(metaserver.registry.rows().size() == 1);
  CHECK(metaserver.registry.rows()[0].generation == 5);
}
