// Tree and Membership against neighbours and strangers that send whatever the wire allows, in any
// order and number.
#include <doctest/doctest.h>

#include <algorithm>

#include "common/base/random.h"
#include "common/wire/link_codec.h"
#include "peer/core/tree.h"

using namespace espalier;
using namespace espalier::peer;
using namespace std::chrono_literals;
using limits::Rate;

namespace {

constexpr ConnectionId kParent{1};
constexpr ConnectionId kChild{2};
constexpr ConnectionId kOther{3};
const wire::NetworkId kNetwork{};
const TimePoint kStart{1000s};
const Payer kHost = Payer::host("10.0.0.1");

wire::Contact contact(const std::string& id, std::uint64_t order) {
  return {*PeerId::parse(id), JoinOrder{order}, {"127.0.0.1", static_cast<std::uint16_t>(order)}};
}

wire::Accepted accepted(wire::Label label) {
  return {contact("parent", 1), label, 2, {contact("parent", 1), {}, {}}};
}

wire::Attach attach(const std::string& id, std::uint64_t order, wire::Label floor = {}) {
  return {kNetwork, contact(id, order), floor, 1, {}};
}

const limits::RateBound& boundOf(Rate rate) {
  return limits::kRateBounds[static_cast<std::size_t>(rate)];
}

struct Fixture {
  explicit Fixture(unsigned maxLinks = 4)
      : tree(kNetwork, contact("me", 7), maxLinks, budget, kStart) {}

  Budget budget;
  Tree tree;
  Effects fx;
  TimePoint now = kStart;

  bool adopt(wire::Label label) { return tree.adopt(kParent, accepted(label), now, fx); }
  void from(ConnectionId connection, const wire::LinkMessage& message) {
    tree.received(connection, message, now, fx);
  }
  template <typename Message>
  std::size_t sent() const {
    return static_cast<std::size_t>(
        std::count_if(fx.sends.begin(), fx.sends.end(), [](const Send& send) {
          const auto* link = std::get_if<wire::LinkMessage>(&send.message);
          return link != nullptr && std::holds_alternative<Message>(*link);
        }));
  }
};

TEST_CASE_FIXTURE(Fixture, "a parent so deep that a child's depth could not be told is not taken") {
  CHECK_FALSE(adopt({5, limits::kDepth}));
  CHECK_FALSE(adopt({5, wire::Label().depth}));
  REQUIRE(adopt({5, limits::kDepth - 1}));
  CHECK(tree.label() == wire::Label{5, limits::kDepth});
}

TEST_CASE_FIXTURE(Fixture, "a parent that tells such a depth is given up, its label not taken") {
  for (const auto depth : {limits::kDepth, wire::Label().depth}) {
    Fixture fixture;
    REQUIRE(fixture.adopt({5, 0}));
    fixture.from(kParent, wire::Heartbeat{{6, depth}, 2});
    CHECK_FALSE(fixture.tree.parent());
    CHECK(fixture.tree.label() == wire::Label{5, 1});
    REQUIRE(fixture.fx.closes.size() == 1);
  }
}

TEST_CASE_FIXTURE(Fixture,
                  "a parent whose heartbeat is beyond all numbers is not taken, nor kept") {
  CHECK_FALSE(adopt({limits::kSequenceNumbers, 0}));
  REQUIRE(adopt({limits::kSequenceNumbers - 2, 0}));
  from(kParent, wire::Heartbeat{{limits::kSequenceNumbers, 0}, 2});
  CHECK_FALSE(tree.parent());
}

TEST_CASE_FIXTURE(Fixture, "a heartbeat from far ahead ends the link") {
  REQUIRE(adopt({5, 0}));
  from(kParent, wire::Heartbeat{{5 + limits::kSequenceJump, 0}, 2});
  CHECK(tree.parent());
  from(kParent, wire::Heartbeat{{6 + 2 * limits::kSequenceJump, 0}, 2});
  CHECK_FALSE(tree.parent());
}

TEST_CASE_FIXTURE(Fixture, "a root whose numbers are used up goes on without new ones") {
  REQUIRE(adopt({limits::kSequenceNumbers - 1, 0}));
  from(kParent, wire::Farewell());
  tree.becomeRoot(now, fx);
  for (int heartbeat = 0; heartbeat < 3; ++heartbeat)
    tree.tick(now += limits::kHeartbeatInterval, fx);
  CHECK(tree.label() == wire::Label{limits::kSequenceNumbers - 1, 0});

  tree.attach(kChild, attach("greedy", 8, {limits::kSequenceNumbers - 1, 0}), kHost, now, fx);
  CHECK(tree.children().empty());  // it would not be below us by the rule of labels
  tree.attach(kChild, attach("newcomer", 9), kHost, now, fx);
  CHECK(tree.children().size() == 1);
}

TEST_CASE_FIXTURE(Fixture, "nobody becomes the parent under this peer's name or its child's") {
  tree.becomeRoot(now, fx);
  tree.attach(kChild, attach("child", 8), kHost, now, fx);
  tree.resignRoot();
  auto answer = accepted({1000, 0});
  for (const auto* name : {"me", "child"}) {
    answer.self = contact(name, 1);
    CHECK_FALSE(tree.adopt(kParent, answer, now, fx));
  }
  CHECK(adopt({1000, 0}));
}

TEST_CASE_FIXTURE(Fixture, "one child's flood of contacts leaves the other's share") {
  REQUIRE(adopt({5, 0}));
  tree.attach(kChild, attach("child", 8), kHost, now, fx);
  tree.attach(kOther, attach("other", 9), kHost, now, fx);
  for (int i = 0; i < 10'000; ++i) from(kChild, wire::PeerExchange{{contact("lure", 10)}});
  const auto flooded = sent<wire::PeerExchange>();
  CHECK(flooded <= boundOf(Rate::exchanges).burst);
  CHECK(tree.takeChanges().heardOf.size() == flooded);
  from(kOther, wire::PeerExchange{{contact("friend", 11)}});
  CHECK(sent<wire::PeerExchange>() == flooded + 1);
}

TEST_CASE_FIXTURE(Fixture, "one child's wishes for heartbeats take nothing from the other's") {
  tree.becomeRoot(now, fx);
  tree.attach(kChild, attach("child", 8), kHost, now, fx);
  tree.attach(kOther, attach("other", 9), kHost, now, fx);
  const auto before = tree.label().sequence;
  const auto burst = static_cast<std::uint64_t>(boundOf(Rate::raises).burst);
  for (std::uint64_t i = 1; i <= 10'000; ++i) {
    from(kChild, wire::Raise{{before + 2 * i, 0}, contact("seeker", 9), *PeerId::parse("child")});
  }
  CHECK(tree.label().sequence <= before + 2 * burst + 1);
  const auto raised = tree.label().sequence;
  from(kOther, wire::Raise{{raised + 5, 0}, contact("seeker", 9), *PeerId::parse("other")});
  CHECK(tree.label().sequence == raised + 6);
}

TEST_CASE_FIXTURE(Fixture, "a wish that no root fulfils does not stand in the way of another") {
  REQUIRE(adopt({5, 0}));
  tree.attach(kChild, attach("child", 8), kHost, now, fx);
  const wire::Label beyond{limits::kSequenceNumbers - 1, 0};
  from(kChild, wire::Raise{beyond, contact("seeker", 9), *PeerId::parse("child")});
  CHECK(sent<wire::Raise>() == 0);
  from(kChild, wire::Raise{{9, 0}, contact("seeker", 9), *PeerId::parse("child")});
  CHECK(sent<wire::Raise>() == 1);
}

TEST_CASE_FIXTURE(Fixture, "a child's word that a target is below ends few attempts") {
  tree.attach(kChild, attach("child", 8), kHost, now, fx);
  int ended = 0;
  for (int i = 0; i < 1000; ++i) {
    from(kChild, wire::Raise{{9, 0}, contact("me", 7), *PeerId::parse("target")});
    ended += tree.takeChanges().raisedByMe ? 1 : 0;
  }
  CHECK(ended >= 1);
  CHECK(ended <= 4);
}

TEST_CASE_FIXTURE(Fixture, "heartbeats at full speed are passed on at a bounded rate") {
  REQUIRE(adopt({5, 0}));
  tree.attach(kChild, attach("child", 8), kHost, now, fx);
  for (std::uint64_t i = 0; i < 10'000; ++i) from(kParent, wire::Heartbeat{{6 + i, 0}, 2});
  CHECK(tree.parent());
  CHECK(sent<wire::Heartbeat>() <= boundOf(Rate::labels).burst);
}

TEST_CASE_FIXTURE(Fixture, "a count that changes all the time is told at a bounded rate") {
  REQUIRE(adopt({5, 0}));
  tree.attach(kChild, attach("child", 8), kHost, now, fx);
  std::size_t told = 0;
  for (int step = 0; step < 10'000; ++step) {  // of 1 ms
    fx = Effects();
    now += 1ms;
    from(kChild, wire::Heartbeat{{}, 2 + static_cast<std::uint64_t>(step % 2)});
    from(kParent, wire::Heartbeat{{5, 0}, 2});
    tree.tick(now, fx);
    told += sent<wire::Heartbeat>();
  }
  // Each round is one message up and one down; and the heartbeats of ten seconds.
  CHECK(told <= 2 * (80 + 10 * 4 + 10));
}

TEST_CASE_FIXTURE(Fixture, "a link that sends what no link has is given up") {
  const auto first = accepted({5, 0});
  for (const wire::LinkMessage& message :
       {wire::LinkMessage(attach("x", 9)), wire::LinkMessage(first),
        wire::LinkMessage(wire::Held()), wire::LinkMessage(wire::Referred()),
        wire::LinkMessage(wire::Refused())}) {
    Fixture fixture;
    REQUIRE(fixture.adopt({5, 0}));
    fixture.tree.attach(kChild, attach("child", 8), kHost, fixture.now, fixture.fx);
    for (const auto connection : {kChild, kParent}) {
      fixture.from(connection, message);
      CHECK_FALSE(fixture.tree.owns(connection));
      CHECK(fixture.fx.closes.back().connection == connection);
    }
    CHECK(fixture.fx.notices.size() == 2);
  }
}

TEST_CASE_FIXTURE(Fixture, "counts of children never add up to more than a peer may tell") {
  REQUIRE(adopt({5, 0}));
  for (std::uint64_t i = 0; i < 3; ++i) {
    auto joiner = attach("c" + std::to_string(i), 8 + i);
    joiner.below = limits::kMembers;
    tree.attach(ConnectionId{10 + i}, joiner, kHost, now, fx);
  }
  CHECK(tree.membersBelow() == limits::kMembers);
}

// --- joiners that wait

TEST_CASE("of joiners that wait, the address with the most loses its oldest") {
  Fixture fixture(32);
  auto& tree = fixture.tree;
  REQUIRE(fixture.adopt({5, 0}));
  const auto asks = [&](std::uint64_t number, const char* host) {
    tree.attach(ConnectionId{number}, attach("j" + std::to_string(number), number, {9, 0}),
                Payer::host(host), fixture.now, fixture.fx);
  };
  asks(10, "10.0.0.2");
  for (std::uint64_t i = 11; i < 25; ++i) asks(i, "10.0.0.3");
  CHECK(tree.owns(ConnectionId{10}));
  CHECK_FALSE(tree.owns(ConnectionId{11}));
  CHECK(tree.owns(ConnectionId{24}));
  asks(50, "10.0.0.2");
  CHECK(tree.owns(ConnectionId{10}));
  CHECK(tree.owns(ConnectionId{50}));
  fixture.from(kParent, wire::Heartbeat{{10, 0}, 2});  // what they waited for
  CHECK(tree.children().size() == limits::kPendingAttaches);
}

TEST_CASE_FIXTURE(Fixture, "joiners that nobody can accept do not keep the slots") {
  REQUIRE(adopt({5, 0}));
  for (std::uint64_t i = 10; i < 13; ++i) {
    tree.attach(ConnectionId{i}, attach("j" + std::to_string(i), i, {1000, 0}), kHost, now, fx);
  }
  tree.attach(kChild, attach("honest", 8), kHost, now, fx);
  CHECK(sent<wire::Referred>() == 1);
  now += limits::kHeldSlot;
  tree.attach(kOther, attach("honest", 8), kHost, now, fx);
  CHECK(tree.children().size() == 1);
  CHECK(tree.links() == 2);
}

TEST_CASE("a stranger keeps its slot while the joiner that wants it is refused") {
  Fixture fixture(3);
  auto& tree = fixture.tree;
  REQUIRE(fixture.adopt({5, 0}));
  tree.attach(kChild, attach("stranger", 8), kHost, fixture.now, fixture.fx);
  tree.attach(kOther, attach("child", 9), kHost, fixture.now, fixture.fx);
  tree.setStranger(kChild, true);
  const ConnectionId joiner{4};
  SUBCASE("because no root will better its floor") {
    tree.attach(joiner, attach("driven", 10, {6 + limits::kSequenceJump, 0}), kHost, fixture.now,
                fixture.fx);
  }
  SUBCASE("because its address is over its rate") {
    auto address = fixture.budget.account(kHost);
    while (address.spend(Rate::links, fixture.now)) {
    }
    tree.attach(joiner, attach("joiner", 10), kHost, fixture.now, fixture.fx);
  }
  SUBCASE("because its address has asked for too many heartbeats") {
    auto address = fixture.budget.account(kHost);
    while (address.spend(Rate::raises, fixture.now)) {
    }
    tree.attach(joiner, attach("joiner", 10, {9, 0}), kHost, fixture.now, fixture.fx);
    CHECK(fixture.sent<wire::Raise>() == 0);
  }
  CHECK_FALSE(tree.owns(joiner));
  CHECK(tree.owns(kChild));
  tree.attach(joiner, attach("joiner", 10), Payer::host("10.0.0.2"), fixture.now, fixture.fx);
  CHECK(tree.owns(joiner));
  CHECK_FALSE(tree.owns(kChild));
  CHECK(tree.links() == 3);
}

TEST_CASE_FIXTURE(Fixture,
                  "joiners that are held ask for heartbeats at the rate of their address") {
  REQUIRE(adopt({5, 0}));
  for (std::uint64_t i = 10; i < 500; ++i) {
    tree.attach(ConnectionId{i}, attach("j" + std::to_string(i), i, {i, 0}), kHost, now, fx);
    tree.closed(ConnectionId{i}, now, fx);
  }
  CHECK(sent<wire::Raise>() >= 1);
  CHECK(sent<wire::Raise>() <= boundOf(Rate::raises).burst);
}

TEST_CASE_FIXTURE(Fixture,
                  "a joiner that waits under the id of the next parent is no second link") {
  REQUIRE(adopt({5, 0}));
  tree.attach(kChild, attach("s9", 9, {6, 0}), kHost, now, fx);
  REQUIRE(tree.owns(kChild));
  from(kParent, wire::Farewell());
  REQUIRE_FALSE(tree.parent());
  REQUIRE(tree.adopt(kOther, {contact("s9", 9), {8, 0}, 2, {contact("s9", 9), {}, {}}}, now, fx));
  CHECK_FALSE(tree.owns(kChild));
  CHECK(tree.neighbours().size() == 1);
}

TEST_CASE_FIXTURE(Fixture, "a joiner whose floor no root will better is told so at once") {
  const wire::Label beyond{6 + limits::kSequenceJump, 0};
  REQUIRE(adopt({5, 0}));
  tree.attach(kChild, attach("driven", 8, beyond), kHost, now, fx);
  CHECK_FALSE(tree.owns(kChild));
  CHECK(sent<wire::Refused>() == 1);
  CHECK(sent<wire::Raise>() == 0);
}

TEST_CASE_FIXTURE(Fixture, "a peer far behind gives up its children to follow a root") {
  tree.becomeRoot(now, fx);
  tree.attach(kChild, attach("child", 8), kHost, now, fx);
  REQUIRE(tree.children().size() == 1);
  tree.resignRoot();
  CHECK(adopt({2 * limits::kSequenceJump + 5, 0}));
  CHECK(tree.children().empty());  // a heartbeat from so far ahead would end their links
}

TEST_CASE_FIXTURE(Fixture, "a member that comes and goes is taken in at a bounded rate") {
  tree.becomeRoot(now, fx);
  for (std::uint64_t i = 0; i < 2000; ++i) {
    tree.attach(ConnectionId{10 + i}, attach("flapper", 9), kHost, now, fx);
    if (tree.owns(ConnectionId{10 + i})) from(ConnectionId{10 + i}, wire::Farewell());
  }
  CHECK(tree.takeChanges().links.up.size() <= boundOf(Rate::links).burst);
  tree.attach(kOther, attach("honest", 8), Payer::host("10.0.0.2"), now, fx);
  CHECK(tree.children().size() == 1);
}

TEST_CASE_FIXTURE(
    Fixture, "a wish for a heartbeat that came while there was no parent goes to the next one") {
  REQUIRE(adopt({5, 0}));
  tree.attach(kChild, attach("child", 8), kHost, now, fx);
  from(kParent, wire::Farewell());
  from(kChild, wire::Raise{{6, 3}, contact("seeker", 9), *PeerId::parse("child")});
  REQUIRE(sent<wire::Raise>() == 0);
  REQUIRE(adopt({6, 0}));
  CHECK(sent<wire::Raise>() == 1);
}

// --- anything at all

// Mostly what meets a bound.
struct Liar {
  Random random;

  std::uint64_t below(std::uint64_t bound) { return random() % bound; }
  template <typename Value>
  Value oneOf(std::initializer_list<Value> values) {
    return values.begin()[below(values.size())];
  }
  wire::Contact someone() { return contact("p" + std::to_string(below(6)), 1 + below(12)); }
  wire::Contact anyone() {
    auto contact = below(6) == 0 ? ::contact("me", 7) : someone();
    contact.order = JoinOrder{oneOf<std::uint64_t>({number(contact.order), 1, limits::kJoinOrder})};
    contact.endpoint.port = oneOf<std::uint16_t>({1, 5001, 65535});
    return contact;
  }
  std::vector<wire::Contact> contacts(std::size_t most) {
    std::vector<wire::Contact> contacts(below(2) == 0 ? most : below(most + 1));
    for (auto& contact : contacts) contact = anyone();
    return contacts;
  }
  wire::Label label(const wire::Label& near) {
    const auto sequence = oneOf<std::uint64_t>(
        {0, 1, near.sequence, near.sequence + 1, near.sequence + limits::kSequenceJump,
         near.sequence + limits::kSequenceJump + 1, limits::kSequenceNumbers - 1});
    return {std::min(sequence, limits::kSequenceNumbers - 1),
            oneOf<std::uint32_t>({0, 1, near.depth, limits::kDepth - 1, limits::kDepth})};
  }
  wire::Label floor(const wire::Label& near) { return below(2) == 0 ? wire::Label() : label(near); }
  std::uint64_t members() { return oneOf<std::uint64_t>({1, 2, limits::kMembers}); }
  wire::Lineage lineage() {
    const auto ancestors = below(limits::kContacts + 1);
    return {anyone(), contacts(ancestors), contacts(limits::kContacts - ancestors)};
  }
  wire::LinkMessage message(const wire::Label& near) {
    switch (below(12)) {
      case 0:
        return wire::Attach{kNetwork, anyone(), floor(near), members()};
      case 1:
        return wire::Accepted{anyone(), label(near), members(), lineage()};
      case 2:
        return wire::Referred{contacts(limits::kMaxLinks)};
      case 3:
        return wire::Held{};
      case 4:
        return wire::Refused{wire::RefusalReason::below};
      case 5:
        return wire::LineageChanged{lineage()};
      case 6:
      case 7:
        return wire::Raise{floor(near), anyone(), anyone().id};
      case 8:
        return wire::PeerExchange{contacts(limits::kContacts)};
      case 9:
        if (below(8) == 0) return wire::Farewell{};
        [[fallthrough]];
      default:
        return wire::Heartbeat{label(near), members()};
    }
  }
};

void checkSound(const Tree& tree, const Effects& fx) {
  REQUIRE(tree.links() <= tree.maxLinks());
  REQUIRE(tree.label().sequence < limits::kSequenceNumbers);
  // The worst label of all is that of a peer that never heard a heartbeat.
  const bool told = tree.label().depth <= limits::kDepth || tree.label().sequence == 0;
  REQUIRE(told);
  REQUIRE(tree.contactsAbove().size() <= 2 * limits::kContacts + 2);
  for (const auto& send : fx.sends) {
    const auto& message = std::get<wire::LinkMessage>(send.message);
    const auto* heartbeat = std::get_if<wire::Heartbeat>(&message);
    // An up-going heartbeat of a peer that has no label yet: its label is not read.
    if (heartbeat != nullptr && heartbeat->label.sequence == 0) continue;
    const auto read = wire::decodeLink(wire::encode(message));
    const std::string why = read.ok() ? "" : read.error().message;
    INFO(why);
    REQUIRE(read.ok());
  }
}

TEST_CASE(
    "whatever neighbours and strangers send, a peer keeps its bounds and sends valid messages") {
  for (std::uint64_t seed = 1; seed <= 300; ++seed) {
    CAPTURE(seed);
    Liar liar{Random(seed)};
    Fixture fixture;
    auto& tree = fixture.tree;
    for (int step = 0; step < 300; ++step) {
      fixture.fx = Effects();
      const ConnectionId connection{1 + liar.below(8)};
      if (const auto message = liar.message(tree.label()); tree.owns(connection)) {
        fixture.from(connection, message);
      } else if (const auto* attach = std::get_if<wire::Attach>(&message)) {
        tree.attach(connection, *attach, kHost, fixture.now, fixture.fx);
      } else if (const auto* yes = std::get_if<wire::Accepted>(&message); yes && !tree.parent()) {
        if (!tree.adopt(connection, *yes, fixture.now, fixture.fx) && liar.below(4) == 0) {
          tree.becomeRoot(fixture.now, fixture.fx);
        }
      }
      if (liar.below(10) == 0) tree.closed(connection, fixture.now, fixture.fx);
      if (liar.below(10) == 0 && !tree.parent()) tree.resignRoot();
      fixture.now += std::chrono::milliseconds(liar.below(1500));
      tree.tick(fixture.now, fixture.fx);
      checkSound(tree, fixture.fx);
      tree.takeChanges();
    }
  }
}

}  // namespace
