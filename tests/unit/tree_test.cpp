// Tree: which joiners a peer accepts, which parent it takes, and what prevents cycles.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <map>

#include "common/base/limits.h"
#include "peer/core/tree.h"

using namespace espalier;
using namespace espalier::peer;
using namespace std::chrono_literals;

namespace {

constexpr TimePoint kStart{Duration(1h)};
constexpr ConnectionId kUp{100};

wire::NetworkId network(int number = 7) {
  wire::NetworkId made;
  made.bytes[0] = static_cast<std::uint8_t>(number);
  return made;
}

wire::Contact contact(int number) {
  return {*PeerId::parse(fmt::format("s{}", number)),
          JoinOrder{static_cast<std::uint64_t>(number)},
          {"127.0.0.1", static_cast<std::uint16_t>(5000 + number)}};
}

wire::Attach joiner(int number, wire::Label floor = {}) {
  return {network(), contact(number), floor, 1, {}};
}

wire::Attach withSecret(wire::Attach attach, int secret) {
  attach.secret.bytes[0] = static_cast<std::uint8_t>(secret);
  return attach;
}

wire::Accepted accepted(int parent, wire::Label label) {
  wire::Accepted message{contact(parent), label, 9, {}};
  message.lineage.root = contact(parent);
  return message;
}

// s5's tree; joiner sN comes over connection N.
struct Peer {
  explicit Peer(unsigned maxLinks = 2) : tree(network(), contact(5), maxLinks, budget, kStart) {}

  // The only message of that kind that went to the connection in the last call.
  template <typename Message>
  const Message* sent(ConnectionId to) const {
    const Message* found = nullptr;
    for (const auto& send : fx.sends) {
      if (send.to != to) continue;
      if (const auto* message = std::get_if<wire::LinkMessage>(&send.message)) {
        if (const auto* wanted = std::get_if<Message>(message)) found = wanted;
      }
    }
    return found;
  }
  bool closes(ConnectionId connection) const {
    return std::any_of(fx.closes.begin(), fx.closes.end(),
                       [&](const Close& close) { return close.connection == connection; });
  }
  void attach(int number, wire::Attach attach) {
    fx = {};
    tree.attach(ConnectionId{static_cast<std::uint64_t>(number)}, attach, Payer::host("10.0.0.1"),
                now, fx);
  }
  void attach(int number) { attach(number, joiner(number)); }
  bool adopt(int parent, wire::Label label) {
    fx = {};
    return tree.adopt(kUp, accepted(parent, label), now, fx);
  }
  void hear(ConnectionId from, const wire::LinkMessage& message) {
    fx = {};
    tree.received(from, message, now, fx);
  }
  void pass(Duration time) {
    now += time;
    fx = {};
    tree.tick(now, fx);
  }

  Budget budget;
  Tree tree;
  Effects fx;
  TimePoint now = kStart;
};

Peer root(unsigned maxLinks = 2) {
  Peer peer(maxLinks);
  peer.tree.becomeRoot(peer.now, peer.fx);
  return peer;
}

}  // namespace

TEST_CASE("a root takes in as many as it may, and refers the next to those") {
  Peer peer = root();
  peer.attach(6);
  REQUIRE(peer.sent<wire::Accepted>(ConnectionId{6}));
  CHECK(peer.sent<wire::Accepted>(ConnectionId{6})->label == peer.tree.label());
  peer.attach(7);
  CHECK(peer.sent<wire::Accepted>(ConnectionId{7}));
  peer.attach(8);
  const auto* referred = peer.sent<wire::Referred>(ConnectionId{8});
  REQUIRE(referred);
  CHECK(referred->candidates == std::vector{contact(6), contact(7)});
  CHECK(peer.closes(ConnectionId{8}));
  CHECK(peer.tree.links() == 2);
}

TEST_CASE("a peer without a parent that is not the root keeps a place for one") {
  Peer peer;
  peer.tree.becomeRoot(peer.now, peer.fx);
  peer.tree.resignRoot();
  peer.attach(6);
  CHECK(peer.sent<wire::Accepted>(ConnectionId{6}));
  peer.attach(7);
  CHECK(peer.sent<wire::Referred>(ConnectionId{7}));
}

TEST_CASE("peers of another network, and this peer itself, are refused") {
  Peer peer = root();
  auto stranger = joiner(6);
  stranger.network = network(8);
  peer.attach(6, stranger);
  REQUIRE(peer.sent<wire::Refused>(ConnectionId{6}));
  CHECK(peer.sent<wire::Refused>(ConnectionId{6})->reason == wire::RefusalReason::otherNetwork);
  peer.attach(7, joiner(5));
  REQUIRE(peer.sent<wire::Refused>(ConnectionId{7}));
  CHECK(peer.sent<wire::Refused>(ConnectionId{7})->reason == wire::RefusalReason::below);
  CHECK(peer.tree.links() == 0);
}

TEST_CASE("a child has a worse label than its parent, from the moment of adoption") {
  Peer peer;
  REQUIRE(peer.adopt(1, {40, 3}));
  CHECK(peer.tree.label() == wire::Label{40, 4});
  peer.hear(kUp, wire::Heartbeat{{41, 3}, 9});
  CHECK(peer.tree.label() == wire::Label{41, 4});
  peer.hear(kUp, wire::Heartbeat{{40, 1}, 9});  // an old one changes nothing
  CHECK(peer.tree.label() == wire::Label{41, 4});
}

TEST_CASE("with others below it, a peer takes no parent whose label is not better than its own") {
  Peer peer;
  REQUIRE(peer.adopt(1, {40, 3}));
  peer.attach(6);
  REQUIRE(peer.sent<wire::Accepted>(ConnectionId{6}));
  peer.tree.closed(kUp, peer.now, peer.fx);
  CHECK(peer.tree.floor() == wire::Label{40, 4});
  CHECK(!peer.adopt(6, {40, 5}));  // that is a child of this peer
  CHECK(!peer.adopt(2, {40, 4}));
  CHECK(peer.adopt(2, {40, 3}));
}

TEST_CASE("a peer without children may take any parent, whatever label it had") {
  Peer peer;
  REQUIRE(peer.adopt(1, {40, 3}));
  peer.tree.closed(kUp, peer.now, peer.fx);
  CHECK(peer.adopt(2, {7, 0}));
  CHECK(peer.tree.label() == wire::Label{7, 1});
}

TEST_CASE("a joiner that needs a fresher label is held, the root asked for one, and then let in") {
  Peer peer;
  REQUIRE(peer.adopt(1, {40, 3}));
  peer.attach(6, joiner(6, {44, 2}));
  CHECK(peer.sent<wire::Held>(ConnectionId{6}));
  const auto* raise = peer.sent<wire::Raise>(kUp);
  REQUIRE(raise);
  CHECK(raise->floor == wire::Label{44, 2});
  CHECK(raise->seeker == contact(6));
  CHECK(raise->acceptor == contact(5).id);
  peer.hear(kUp, wire::Heartbeat{{44, 3}, 9});  // still not better
  CHECK(!peer.sent<wire::Accepted>(ConnectionId{6}));
  peer.hear(kUp, wire::Heartbeat{{45, 3}, 9});
  CHECK(peer.sent<wire::Accepted>(ConnectionId{6}));
  CHECK(peer.tree.children().size() == 1);
}

TEST_CASE(
    "a root raises its heartbeat above what a joiner needs; one that joined later only hints") {
  Peer peer = root();
  peer.attach(6, joiner(6, {1000, 2}));
  REQUIRE(peer.sent<wire::Accepted>(ConnectionId{6}));
  CHECK(peer.sent<wire::Accepted>(ConnectionId{6})->label == wire::Label{1001, 0});
  peer.attach(2, joiner(2, {5000, 2}));  // s2 joined before s5: s5 will come to it
  REQUIRE(peer.sent<wire::Refused>(ConnectionId{2}));
  CHECK(peer.sent<wire::Refused>(ConnectionId{2})->reason == wire::RefusalReason::younger);
  const auto changes = peer.tree.takeChanges();
  REQUIRE(changes.hints.size() == 1);
  CHECK(changes.hints[0].contact == contact(2));
}

TEST_CASE("a root raises when it is asked from below, and passes nothing on") {
  Peer peer = root();
  peer.attach(6);
  const auto before = peer.tree.label();
  peer.hear(ConnectionId{6}, wire::Raise{{before.sequence + 10, 1}, contact(9), contact(6).id});
  CHECK(peer.tree.label() == wire::Label{before.sequence + 11, 0});
  REQUIRE(peer.sent<wire::Heartbeat>(ConnectionId{6}));
  CHECK(peer.sent<wire::Heartbeat>(ConnectionId{6})->label == peer.tree.label());
}

TEST_CASE("one message cannot use up the numbers that are left") {
  Peer peer = root();
  const auto before = peer.tree.label();
  peer.attach(6);
  peer.hear(
      ConnectionId{6},
      wire::Raise{{before.sequence + limits::kSequenceJump * 2, 1}, contact(9), contact(6).id});
  CHECK(peer.tree.label() == before);
  Peer child;
  REQUIRE(child.adopt(1, {40, 3}));
  child.hear(kUp, wire::Heartbeat{{40 + limits::kSequenceJump * 2, 3}, 9});
  CHECK(child.closes(kUp));
  CHECK(!child.tree.parent());
}

TEST_CASE("a child that asks again with the same secret has lost its link") {
  Peer peer = root();
  peer.attach(6, withSecret(joiner(6), 5));
  peer.attach(16, withSecret(joiner(6), 5));
  CHECK(peer.closes(ConnectionId{6}));
  CHECK(peer.sent<wire::Accepted>(ConnectionId{16}));
  REQUIRE(peer.tree.children().size() == 1);
  CHECK(peer.tree.children()[0].connection == ConnectionId{16});
}

TEST_CASE("an asker with a child's id but not its secret is refused once the child is heard") {
  for (const int secret : {0, 6}) {
    CAPTURE(secret);
    Peer peer = root();
    peer.attach(6, withSecret(joiner(6), 5));
    peer.pass(1s);
    peer.attach(16, withSecret(joiner(6), secret));
    CHECK(peer.sent<wire::Held>(ConnectionId{16}));
    CHECK(peer.tree.owns(ConnectionId{16}));
    CHECK(peer.tree.links() == 1);
    peer.attach(17, withSecret(joiner(6), secret));  // and one such waits at a time
    CHECK(peer.sent<wire::Refused>(ConnectionId{17}));
    peer.pass(1s);
    peer.hear(ConnectionId{6}, wire::Heartbeat{{}, 1});
    const auto* refused = peer.sent<wire::Refused>(ConnectionId{16});
    REQUIRE(refused);
    CHECK(refused->reason == wire::RefusalReason::busy);
    CHECK(peer.closes(ConnectionId{16}));
    CHECK(!peer.tree.owns(ConnectionId{16}));
    REQUIRE(peer.tree.children().size() == 1);
    CHECK(peer.tree.children()[0].connection == ConnectionId{6});
  }
}

TEST_CASE("a child without a secret takes its place over when its old link is silent, or ends") {
  for (const bool ends : {false, true}) {
    CAPTURE(ends);
    Peer peer = root();
    peer.attach(6);
    peer.attach(7);  // No slot is free
    peer.pass(1s);
    peer.attach(16, joiner(6));
    CHECK(peer.sent<wire::Held>(ConnectionId{16}));
    if (ends) {
      peer.fx = {};
      peer.tree.closed(ConnectionId{6}, peer.now, peer.fx);
    } else {
      CHECK(peer.tree.deadline() <= peer.now + 2s);
      peer.pass(2s);
      CHECK(peer.closes(ConnectionId{6}));
    }
    CHECK(peer.sent<wire::Accepted>(ConnectionId{16}));
    CHECK(peer.tree.children().size() == 2);
    CHECK(peer.tree.links() == 2);
  }
}

TEST_CASE("a held joiner is replaced only by an asker that shows its secret") {
  Peer peer(3);
  REQUIRE(peer.adopt(1, {10, 0}));
  peer.attach(6, withSecret(joiner(6, {20, 0}), 5));
  REQUIRE(peer.sent<wire::Held>(ConnectionId{6}));
  peer.attach(16, withSecret(joiner(6, {20, 0}), 6));
  CHECK(peer.sent<wire::Refused>(ConnectionId{16}));
  CHECK(peer.tree.owns(ConnectionId{6}));
  peer.attach(26, withSecret(joiner(6, {20, 0}), 5));
  CHECK(peer.closes(ConnectionId{6}));
  CHECK(peer.tree.owns(ConnectionId{26}));
}

TEST_CASE("no peer becomes a child under the parent's id") {
  Peer peer(3);
  REQUIRE(peer.adopt(1, {10, 0}));
  peer.attach(16, joiner(1));
  CHECK(peer.sent<wire::Refused>(ConnectionId{16}));
  CHECK(peer.tree.children().empty());
  CHECK(peer.tree.parent());
}

TEST_CASE("a full root that takes a parent gives up its youngest child") {
  Peer peer = root();
  peer.attach(7);
  peer.attach(6);
  REQUIRE(peer.tree.links() == 2);
  REQUIRE(peer.adopt(1, {peer.tree.label().sequence + 5, 0}));
  CHECK(peer.sent<wire::Farewell>(ConnectionId{7}));
  CHECK(peer.closes(ConnectionId{7}));
  CHECK(peer.tree.links() == 2);
}

TEST_CASE("silent neighbours are given up, those that heartbeat are not") {
  Peer peer = root(3);
  peer.attach(6);
  peer.attach(7);
  for (Duration passed{}; passed < 2 * limits::kSilence; passed += 1s) {
    peer.hear(ConnectionId{7}, wire::Heartbeat{{}, 1});
    peer.pass(1s);
  }
  REQUIRE(peer.tree.children().size() == 1);
  CHECK(peer.tree.children()[0].contact == contact(7));
}

TEST_CASE("after this process was stopped no neighbour counts as silent because of that") {
  Peer peer = root();
  peer.attach(6);
  peer.now += 1min;
  peer.tree.forgive(1min);
  peer.pass(0s);
  CHECK(peer.tree.children().size() == 1);
}

TEST_CASE("the oldest child of a root that is lost succeeds it") {
  Peer peer;
  auto message = accepted(1, {40, 0});
  message.lineage.rootChildren = {contact(5), contact(6)};
  REQUIRE(peer.tree.adopt(kUp, message, peer.now, peer.fx));
  peer.tree.takeChanges();
  peer.tree.closed(kUp, peer.now, peer.fx);
  const auto changes = peer.tree.takeChanges();
  REQUIRE(changes.lostParent);
  CHECK(*changes.lostParent == contact(1));
  CHECK(changes.succeeded);
}

TEST_CASE("members are counted from below and told from above") {
  Peer peer;
  REQUIRE(peer.adopt(1, {40, 3}));
  CHECK(peer.tree.members() == 9);
  peer.attach(6, {network(), contact(6), {}, 4});
  CHECK(peer.tree.membersBelow() == 5);
  peer.hear(ConnectionId{6}, wire::Heartbeat{{}, 7});
  CHECK(peer.tree.membersBelow() == 8);
  peer.hear(kUp, wire::Heartbeat{{41, 3}, 12});
  CHECK(peer.tree.members() == 12);
}

TEST_CASE("a peer that leaves says farewell to all its neighbours") {
  Peer peer(3);
  REQUIRE(peer.adopt(1, {40, 3}));
  peer.attach(6);
  peer.attach(7);
  peer.fx = {};
  peer.tree.leave(peer.now, peer.fx);
  for (const auto connection : {kUp, ConnectionId{6}, ConnectionId{7}}) {
    CHECK(peer.sent<wire::Farewell>(connection));
    CHECK(peer.closes(connection));
  }
  CHECK(peer.tree.links() == 0);
}
