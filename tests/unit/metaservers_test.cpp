// A peer that knows several metaservers: where it goes when its home is lost, and what it keeps.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/limits.h"
#include "peer/core/membership.h"
#include "tests/unit/membership_fixture.h"

using namespace espalier;
using namespace espalier::peer;
using namespace std::chrono_literals;

namespace {

const Endpoint kA{"10.0.0.101", 5000};
const Endpoint kB{"10.0.0.102", 5000};
const Endpoint kC{"10.0.0.103", 5000};

wire::NetworkId networkOf(std::uint8_t number) {
  wire::NetworkId network;
  network.bytes.fill(number);
  return network;
}

struct Server {
  enum class Answers { nobody, otherProtocol, welcomes, waits, admits };
  Answers answers = Answers::admits;
  wire::NetworkId network = networkOf(1);
  std::vector<Endpoint> tells = {};
};

// A peer, and the metaservers that it can dial; at other addresses nobody listens.
struct World {
  using Answers = Server::Answers;

  World(std::vector<Endpoint> given, std::map<Endpoint, Server> all)
      : servers(std::move(all)), membership({std::move(given), {}, {}}, random, budget, kStart) {}

  void join() {
    step([&](Effects& fx) { membership.join(*PeerId::parse("me"), {}, "P2P", now, fx); });
  }
  void end(const std::string& why = {}) {
    const auto session = membership.session().connection();
    REQUIRE(session);
    step([&](Effects& fx) {
      if (why.empty()) return membership.closed(*session, now, fx);
      membership.failed(*session, {ErrorCode::protocol, why}, now, fx);
    });
  }
  // The home dies.
  void kill(const Endpoint& at) {
    servers[at].answers = Answers::nobody;
    if (membership.session().connection() && membership.session().dialled() == at) end();
  }
  void run(Duration time) {
    for (const TimePoint until = now + time;;) {
      const TimePoint due = std::max(now, membership.deadline());
      if (due > until) {
        now = until;
        return;
      }
      now = due;
      step([&](Effects& fx) { membership.tick(now, fx); });
      if (membership.tree() == nullptr || !membership.tree()->owns(kChild)) continue;
      step([&](Effects& fx) {
        membership.received(kChild, wire::LinkMessage(wire::Heartbeat{{}, 1}), now, fx);
      });
    }
  }

  template <typename Event>
  void step(const Event& event) {
    Effects fx;
    event(fx);
    carryOut(fx);
  }
  void carryOut(Effects& fx) {
    for (const auto& notice : fx.notices) notices.push_back(notice);
    for (const auto& link : fx.closes) closed.push_back(link.connection);
    for (const auto& send : fx.sends) answer(send);
    for (const auto& at : fx.listens) {
      step([&](Effects& inner) { membership.listening(at.at, now, inner); });
    }
    for (const auto& dial : fx.dials) dialled(dial);
  }
  void dialled(const Dial& dial) {
    if (dial.purpose != wire::Purpose::registry) return;
    dials.push_back({now, dial.to, dial.isNamedByUser});
    sessions[dial.connection] = dial.to;
    const auto server = servers.find(dial.to);
    const auto answers = server == servers.end() ? Answers::nobody : server->second.answers;
    step([&](Effects& fx) {
      if (answers == Answers::nobody) {
        return membership.failed(dial.connection, {ErrorCode::unavailable, "refused"}, now, fx);
      }
      if (answers == Answers::otherProtocol) {
        return membership.failed(dial.connection, {ErrorCode::protocol, "HTTP"}, now, fx);
      }
      membership.opened(dial.connection, kHere.host, now, fx);
    });
  }
  void answer(const Send& send) {
    const auto* request = std::get_if<wire::RegistryRequest>(&send.message);
    if (request == nullptr) return;
    const auto at = sessions.at(send.to);
    requests.push_back({at, *request});
    if (send.to != membership.session().connection()) return;
    const auto& server = servers[at];
    if (std::holds_alternative<wire::RegistryHeartbeat>(*request)) {
      wire::RegistryHeartbeatReply reply{limits::kHeartbeatInterval, {}, {}};
      return says(reply);
    }
    const auto* join = std::get_if<wire::Join>(request);
    if (join == nullptr) return;
    if (server.answers == Answers::waits) return says(wire::Wait{"the peers of before"});
    if (server.answers != Answers::admits) return;
    wire::Admitted admitted;
    admitted.network = server.network;
    const bool isKnown = join->network == server.network;
    admitted.self = contact("me", isKnown ? number(join->order) : kOrder, kHere);
    admitted.maxLinks = 4;
    admitted.members = 9;
    admitted.heartbeatInterval = limits::kHeartbeatInterval;
    if (!isKnown) admitted.referral.kind = wire::Referral::Kind::root;
    admitted.metaservers = server.tells;
    says(admitted);
  }
  void says(wire::RegistryReply reply) {
    step([&](Effects& fx) {
      membership.received(*membership.session().connection(), reply, now, fx);
    });
  }
  void attachChild() {
    step([&](Effects& fx) {
      const wire::Contact child = contact("child", 2000, elsewhere(1));
      membership.received(kChild, wire::LinkMessage(wire::Attach{networkOf(1), child, {}, 1, {}}),
                          now, fx, "10.1.0.2");
    });
    REQUIRE(membership.tree()->owns(kChild));
  }

  std::vector<Endpoint> dialledSince(TimePoint from) const {
    std::vector<Endpoint> all;
    for (const auto& dial : dials) {
      if (dial.at >= from) all.push_back(dial.to);
    }
    return all;
  }
  std::size_t noticed(Notice::Kind kind) const {
    return static_cast<std::size_t>(
        std::ranges::count_if(notices, [&](const Notice& each) { return each.kind == kind; }));
  }
  const wire::Join& lastJoin() const {
    for (auto each = requests.rbegin(); each != requests.rend(); ++each) {
      if (const auto* join = std::get_if<wire::Join>(&each->second)) return *join;
    }
    FAIL("it sent no Join");
    std::abort();
  }

  struct Dialled {
    TimePoint at;
    Endpoint to;
    bool isNamedByUser;
  };

  Random random{7};
  Budget budget;
  TimePoint now = kStart;
  std::map<Endpoint, Server> servers;
  std::vector<Dialled> dials;
  std::map<ConnectionId, Endpoint> sessions;
  std::vector<std::pair<Endpoint, wire::RegistryRequest>> requests;
  std::vector<Notice> notices;
  std::vector<ConnectionId> closed;
  Membership membership;
};

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
