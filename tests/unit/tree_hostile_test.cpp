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

namespace {

constexpr ConnectionId kParent{1};
constexpr ConnectionId kChild{2};
const wire::NetworkId kNetwork{};
const TimePoint kStart{1000s};

wire::Contact contact(const std::string& id, std::uint64_t order) {
  return {*PeerId::parse(id), JoinOrder{order}, {"127.0.0.1", static_cast<std::uint16_t>(order)}};
}

wire::Accepted accepted(wire::Label label) {
  return {contact("parent", 1), label, 2, {contact("parent", 1), {}, {}}};
}

wire::Attach attach(const std::string& id, std::uint64_t order, wire::Label floor = {}) {
  return {kNetwork, contact(id, order), floor, 1, {}};
}

struct Fixture {
  Budget budget;
  Tree tree{kNetwork, contact("me", 7), 4, budget, kStart};
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

  tree.attach(kChild, attach("greedy", 8, {limits::kSequenceNumbers - 1, 0}), now, fx);
  CHECK(tree.children().empty());  // it would not be below us by the rule of labels
  tree.attach(kChild, attach("newcomer", 9), now, fx);
  CHECK(tree.children().size() == 1);
}

TEST_CASE_FIXTURE(Fixture, "nobody becomes the parent under this peer's name or its child's") {
  tree.becomeRoot(now, fx);
  tree.attach(kChild, attach("child", 8), now, fx);
  tree.resignRoot();
  auto answer = accepted({1000, 0});
  for (const auto* name : {"me", "child"}) {
    answer.self = contact(name, 1);
    CHECK_FALSE(tree.adopt(kParent, answer, now, fx));
  }
  CHECK(adopt({1000, 0}));
}

TEST_CASE_FIXTURE(Fixture, "a flood of contacts goes up only at a bounded rate") {
  REQUIRE(adopt({5, 0}));
  tree.attach(kChild, attach("child", 8), now, fx);
  REQUIRE(tree.owns(kChild));
  for (int i = 0; i < 10'000; ++i) from(kChild, wire::PeerExchange{{contact("lure", 9)}});
  CHECK(sent<wire::PeerExchange>() == limits::kTreeActsPerSecond);
  CHECK(tree.takeChanges().heardOf.size() == limits::kTreeActsPerSecond);
  now += 1s;
  from(kChild, wire::PeerExchange{{contact("other", 10)}});
  CHECK(sent<wire::PeerExchange>() == limits::kTreeActsPerSecond + 1);
}

TEST_CASE_FIXTURE(Fixture,
                  "a flood of ever higher wishes for a heartbeat raises a root at a bounded rate") {
  tree.becomeRoot(now, fx);
  tree.attach(kChild, attach("child", 8), now, fx);
  const auto before = tree.label().sequence;
  for (std::uint64_t i = 1; i <= 10'000; ++i) {
    from(kChild, wire::Raise{{before + 2 * i, 0}, contact("seeker", 9), *PeerId::parse("child")});
  }
  CHECK(tree.label().sequence <= before + 2 * limits::kTreeActsPerSecond + 1);
  CHECK(sent<wire::Heartbeat>() <= limits::kTreeActsPerSecond);
}

TEST_CASE_FIXTURE(
    Fixture, "a wish for a heartbeat that came while there was no parent goes to the next one") {
  REQUIRE(adopt({5, 0}));
  tree.attach(kChild, attach("child", 8), now, fx);
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
        tree.attach(connection, *attach, fixture.now, fixture.fx);
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
