// A member whose id another member has by now, since before a cut for example.
#include <doctest/doctest.h>

#include <string>

#include "tests/unit/membership_fixture.h"

using namespace espalier;
using namespace espalier::peer;

namespace {

const wire::Failure kIdTaken{ErrorCode::refused, "me is in the network already", true};

// A root that lost its metaserver, has dialled it again, and asked to be let in as it was.
struct Returning : Member {
  explicit Returning(const std::string& wanted = "me") {
    membership.join(*PeerId::parse(wanted), {}, "P2P", now, fx);
    admit({wire::Referral::Kind::root, {}}, wanted);
    comeBack();
  }

  void admit(wire::Referral referral, const std::string& id, std::uint64_t order = kOrder) {
    auto admitted = admission(std::move(referral));
    admitted.self.id = *PeerId::parse(id);
    admitted.self.order = JoinOrder{order};
    says(admitted);
    if (membership.tree() == nullptr) membership.listening(kHere, now, fx);
  }
  void comeBack() {
    loseMetaserver();
    fx = {};
    while (fx.dials.empty()) {
      now = membership.deadline();
      membership.tick(now, fx);
    }
    session = fx.dials[0].connection;
    fx = {};
    membership.opened(session, kHere.host, now, fx);
  }
  // The last one that it has sent.
  wire::Join request() const {
    std::optional<wire::Join> last;
    for (const auto& send : fx.sends) {
      const auto* request = std::get_if<wire::RegistryRequest>(&send.message);
      if (request == nullptr || send.to != session) continue;
      if (const auto* join = std::get_if<wire::Join>(request)) last = *join;
    }
    REQUIRE(last);
    return *last;
  }
};

}  // namespace

TEST_CASE("a member whose id another member has goes on as a newcomer with a number behind it") {
  Returning member;
  REQUIRE(member.request().order == JoinOrder{kOrder});
  member.attach(ConnectionId{900}, contact(5));
  REQUIRE(member.membership.tree()->links() == 1);
  member.says(kIdTaken);

  const auto wanted = member.request();
  CHECK(wanted.id.text() == "me~2");
  CHECK(wanted.order == kNoOrder);
  CHECK(wanted.network.isZero());
  CHECK(wanted.neighbours.empty());
  CHECK(wanted.listen.port == kHere.port);
  CHECK(member.membership.tree()->links() == 1);  // until it is admitted
  CHECK(member.noticed(Notice::Kind::refused) == 0);

  member.admit(below(contact(1)), "me~2", kOrder + 8);
  CHECK(member.membership.joined());
  CHECK(member.membership.tree()->self() == contact("me~2", kOrder + 8, kHere));
  CHECK(member.membership.tree()->links() == 0);
  REQUIRE(member.noticed(Notice::Kind::renamed) == 1);
  CHECK(member.membership.id().text() == "me~2");

  // It comes back as what it is now.
  member.comeBack();
  CHECK(member.request().id.text() == "me~2");
  CHECK(member.request().order == JoinOrder{kOrder + 8});
}

TEST_CASE("the numbers behind an id go on until one is free, and end") {
  Returning member;
  for (unsigned number = 2; number <= limits::kIdNumbers; ++number) {
    member.says(kIdTaken);
    CHECK(member.request().id.text() == "me~" + std::to_string(number));
  }
  member.fx = {};
  member.says(kIdTaken);
  CHECK(member.noticed(Notice::Kind::refused) == 1);
  REQUIRE(member.fx.closes.size() == 1);  // it asks again later
  CHECK(member.membership.tree()->self().id.text() == "me");
}

TEST_CASE("a long id is cut for its number, not within a character") {
  const std::string wanted = std::string(limits::kPeerIdBytes - 3, 'x') + "ä" + "y";
  Returning member(wanted);
  member.says(kIdTaken);
  CHECK(member.request().id.text() == std::string(limits::kPeerIdBytes - 3, 'x') + "~2");
}

TEST_CASE("who is refused for another reason, or is no member yet, keeps its id") {
  Returning member;
  member.says(wire::Failure{ErrorCode::refused, "me is held for another peer"});
  CHECK(member.noticed(Notice::Kind::refused) == 1);
  CHECK(member.membership.id().text() == "me");

  Member newcomer;
  newcomer.says(kIdTaken);
  CHECK(newcomer.noticed(Notice::Kind::refused) == 1);
  CHECK(newcomer.asked<wire::Join>() == 0);
  CHECK(newcomer.membership.id().text() == "me");
}

TEST_CASE("each request to join has a higher generation than the one before") {
  Returning member;
  const auto first = member.request().generation;
  CHECK(first > 0);
  member.comeBack();
  CHECK(member.request().generation > first);
}
