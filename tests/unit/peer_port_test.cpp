// A peer listens on the port that the directory has, also if it is admitted twice before it
// listens.
#include <doctest/doctest.h>

#include "tests/unit/membership_fixture.h"

using namespace espalier;
using namespace espalier::peer;

namespace {

// A newcomer that was admitted on the port of kHere, and has lost the metaserver before it
// listened.
struct Newcomer : Member {
  Newcomer() {
    says(admission(root()));
    REQUIRE(fx.listens.size() == 1);
    loseMetaserver();
    fx = {};
    membership.connect(now, fx);
    open();
    REQUIRE(request().listen.port == 0);
  }

  void open() {
    session = fx.dials.at(0).connection;
    fx = {};
    membership.opened(session, kHere.host, now, fx);
  }
  void listens(std::uint16_t port) { membership.listening({kHere.host, port}, now, fx); }
  void isAdmitted(std::uint64_t order, std::uint16_t port) {
    auto admitted = admission(root());
    admitted.self = contact("me", order, {kHere.host, port});
    says(admitted);
  }
  wire::Join request() const {
    REQUIRE(asked<wire::Join>() == 1);
    return std::get<wire::Join>(std::get<wire::RegistryRequest>(fx.sends.at(0).message));
  }
};

constexpr std::uint16_t kOtherPort = 6001;

}  // namespace

TEST_CASE("a peer that is assigned a port after it has begun to listen asks again for its own") {
  Newcomer peer;
  peer.listens(kHere.port);
  REQUIRE(peer.membership.tree() != nullptr);
  peer.fx = {};
  peer.isAdmitted(kOrder + 1, kOtherPort);
  CHECK_FALSE(peer.membership.joined());
  REQUIRE(peer.fx.closes.size() == 1);
  CHECK(peer.fx.closes[0].connection == peer.session);
  CHECK(peer.membership.tree()->self() == contact("me", kOrder, kHere));

  peer.fx = {};
  while (peer.fx.dials.empty()) {
    peer.now = peer.membership.deadline();
    peer.membership.tick(peer.now, peer.fx);
  }
  peer.open();
  CHECK(peer.request().listen.port == kHere.port);
  peer.isAdmitted(kOrder + 2, kHere.port);
  CHECK(peer.membership.joined());
  CHECK(peer.membership.tree()->self() == contact("me", kOrder + 2, kHere));
}

TEST_CASE("a peer that is admitted again before it listens does not stay on the port of before") {
  Newcomer peer;
  peer.isAdmitted(kOrder + 1, kOtherPort);
  peer.listens(kHere.port);  // of the first admission
  CHECK(peer.membership.tree() == nullptr);
  peer.listens(kOtherPort);
  REQUIRE(peer.membership.tree() != nullptr);
  CHECK(peer.membership.tree()->self() == contact("me", kOrder + 1, {kHere.host, kOtherPort}));
}
