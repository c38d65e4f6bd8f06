// A whole core of a peer whose neighbours make false claims about the peers behind them.
#include <doctest/doctest.h>

#include <optional>
#include <string>

#include "common/base/budget.h"
#include "peer/core/peer.h"

using namespace espalier;
using namespace espalier::peer;
using namespace std::chrono_literals;

namespace {

wire::Contact contact(const std::string& id, std::uint64_t order) {
  return {*PeerId::parse(id), JoinOrder{order}, {"10.0.0.1", static_cast<std::uint16_t>(order)}};
}

constexpr ConnectionId kChild{2};

// s3, in the tree below s1, with the child s9.
struct Fixture {
  wire::NetworkId network;
  Random random{1};
  Budget budget;
  TimePoint now{1000s};
  Effects fx;
  Peer peer{{{{"10.0.0.9", 5000}}, {}, {}}, random, budget, now};
  ConnectionId parent{};

  Fixture() {
    network.bytes[0] = 7;
    InstanceKey key;
    key.bytes[0] = 1;
    peer.join(contact("s3", 3).id, key, "P2P", now, fx);
    const auto session = *peer.membership().session().connection();
    peer.opened(session, "10.0.0.1", now, fx);
    wire::Admitted admitted;
    admitted.network = network;
    admitted.self = contact("s3", 3);
    admitted.maxLinks = 4;
    admitted.referral = {wire::Referral::Kind::below, contact("s1", 1)};
    peer.received(session, wire::RegistryReply(admitted), now, fx);
    fx.dials.clear();
    peer.listening(admitted.self.endpoint, now, fx);
    REQUIRE(fx.dials.size() == 1);
    parent = fx.dials[0].connection;
    from(parent, wire::Accepted{contact("s1", 1), {5, 0}, 12, {contact("s1", 1), {}, {}}});
    from(kChild, wire::Attach{network, contact("s9", 13), {}, 1, {}});
    REQUIRE(peer.tree()->links() == 2);
  }
  void from(ConnectionId link, const wire::LinkMessage& message) {
    peer.received(link, message, now, fx);
    peer.endStep(now, fx);
  }
};

}  // namespace

TEST_CASE_FIXTURE(Fixture, "a child that claims many peers takes none from behind the parent") {
  for (const std::uint64_t claim : {13ull, 1ull << 20, 11ull}) {
    CAPTURE(claim);
    from(kChild, wire::Heartbeat{{}, claim});
    const auto id =
        *peer.searches()->ask(PatternKind::glob, "*", peer.membership().countMembers(), now, fx);
    wire::Answer answer;
    answer.id = id;
    answer.coverage = {{1, 2}, {4, 12}};
    answer.done = true;
    from(parent, answer);
    const auto result = peer.searches()->cancel(id);
    REQUIRE(result);
    CHECK(result->searched >= 11);
  }
}
