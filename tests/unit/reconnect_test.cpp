// Peers that have lost their metaserver: when they connect again, and what they request then.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <memory>

#include "common/base/limits.h"
#include "peer/core/membership.h"

using namespace espalier;
using namespace espalier::peer;

namespace {

using namespace std::chrono_literals;

constexpr TimePoint kStart{Duration(1h)};

// A peer that is in the network.
struct Member {
  explicit Member(unsigned number, wire::Referral referral = {wire::Referral::Kind::root, {}})
      : random(number), membership({{{"127.0.0.1", 5000}}, {}, {}}, random, budget, kStart) {
    Effects fx;
    membership.connect(kStart, fx);
    REQUIRE(fx.dials.size() == 1);
    connection = fx.dials[0].connection;
    membership.opened(connection, "127.0.0.1", kStart, fx);
    const PeerId id = *PeerId::parse("s" + std::to_string(number));
    membership.join(id, {}, "P2P", kStart, fx);
    wire::Admitted admitted;
    admitted.self = {
        id, JoinOrder{number + 1}, {"127.0.0.1", static_cast<std::uint16_t>(6000 + number)}};
    admitted.maxLinks = 2;
    admitted.members = number + 1;
    admitted.heartbeatInterval = limits::kHeartbeatInterval;
    admitted.referral = std::move(referral);
    membership.received(connection, wire::RegistryReply(admitted), kStart, fx);
    membership.listening(admitted.self.endpoint, kStart, fx);
    REQUIRE(membership.joined());
    for (const auto& dial : fx.dials) link = dial.connection;
  }

  // Lets time pass, and returns what it sends to the metaserver meanwhile.
  std::vector<wire::RegistryRequest> requestsUntil(TimePoint end) {
    std::vector<wire::RegistryRequest> requests;
    for (TimePoint now = membership.deadline(); now <= end; now = membership.deadline()) {
      Effects fx;
      membership.tick(now, fx);
      if (holdsOn) hold(fx, now);
      for (auto& send : fx.sends) {
        if (send.to != connection) continue;
        requests.push_back(std::get<wire::RegistryRequest>(std::move(send.message)));
      }
    }
    return requests;
  }

  // Every peer that it asks for a slot makes it wait.
  void hold(const Effects& fx, TimePoint now) {
    for (const auto& dial : fx.dials) {
      Effects ignored;
      membership.received(dial.connection, wire::LinkMessage(wire::Held()), now, ignored);
    }
  }

  // How long after `lost` it dials the metaserver again.
  Duration comesBackAfter(TimePoint lost) {
    Effects fx;
    membership.closed(connection, lost, fx);
    TimePoint now = lost;
    while (true) {
      for (const auto& dial : fx.dials) {
        if (dial.purpose != wire::Purpose::registry) continue;
        connection = dial.connection;
        return now - lost;
      }
      if (holdsOn) hold(fx, now);
      fx = {};
      now = std::max(now, membership.deadline());
      REQUIRE(now < lost + 1min);
      membership.tick(now, fx);
    }
  }

  Random random;
  Budget budget;
  Membership membership;
  ConnectionId connection;
  ConnectionId link;     // to the place that it was given, if any
  bool holdsOn = false;  // see hold()
};

}  // namespace

TEST_CASE("after a restart of the metaserver its peers come back spread over 0.2 to 5 s") {
  constexpr unsigned kPeers = 960;
  std::array<unsigned, 48> inTenth{};  // of a second
  for (unsigned number = 0; number < kPeers; ++number) {
    Member member(number);
    const auto after = member.comesBackAfter(kStart + 10s);
    REQUIRE(after >= 200ms);
    REQUIRE(after <= 5s);
    const auto at = static_cast<std::size_t>((after - 200ms) / 100ms);
    ++inTenth[std::min(at, inTenth.size() - 1)];
  }
  // Twenty are expected in each; a storm would put hundreds into one.
  for (const unsigned count : inTenth) {
    CHECK(count >= 4);
    CHECK(count <= 50);
  }
}

// Found by the simulation, seed 7004615 of 3 to 40 peers: two orphans, each held by peers below the
// other one, and the elder did not ask the metaserver again.
TEST_CASE("a peer without a parent repeats its Seek to a metaserver that waits for others") {
  const wire::Contact parent{*PeerId::parse("s1"), JoinOrder{1}, {"127.0.0.1", 5001}};
  Member member(7, {wire::Referral::Kind::below, parent});
  auto& membership = member.membership;
  wire::Accepted accepted;
  accepted.self = parent;
  accepted.label = {1, 0};
  accepted.lineage.root = parent;
  Effects fx;
  membership.received(member.link, wire::LinkMessage(accepted), kStart, fx);
  REQUIRE(membership.tree()->parent().has_value());
  membership.closed(member.link, kStart + 10s, fx);
  member.holdsOn = true;

  TimePoint now = kStart + 10s;
  now += member.comesBackAfter(now);
  membership.opened(member.connection, "127.0.0.1", now, fx);
  wire::Admitted admitted;
  admitted.self = membership.tree()->self();
  admitted.maxLinks = 2;
  admitted.members = 8;
  admitted.heartbeatInterval = limits::kHeartbeatInterval;
  admitted.referral.kind = wire::Referral::Kind::keep;  // it waits for the peers of before
  membership.received(member.connection, wire::RegistryReply(admitted), now, fx);
  REQUIRE(membership.joined());

  const auto requests = member.requestsUntil(now + 3 * limits::kSeekAgain);

  CHECK(std::ranges::any_of(
      requests, [](const auto& request) { return std::holds_alternative<wire::Seek>(request); }));
}

// Found by the simulation, seed 7008563 of 3 to 40 peers: they were two trees for 90 s, a hold of
// 15 s for each candidate.
TEST_CASE("of two orphans, each held by a peer below the other one, the elder becomes the root") {
  const wire::Contact parent{*PeerId::parse("s1"), JoinOrder{1}, {"127.0.0.1", 5001}};
  const wire::Contact child{*PeerId::parse("s9"), JoinOrder{9}, {"127.0.0.1", 5009}};
  Member member(7, {wire::Referral::Kind::below, parent});
  auto& membership = member.membership;
  wire::Accepted accepted;
  accepted.self = parent;
  accepted.label = {1, 0};
  accepted.lineage.root = parent;
  Effects fx;
  membership.received(member.link, wire::LinkMessage(accepted), kStart, fx);
  const ConnectionId below{2};
  membership.received(below, wire::LinkMessage(wire::Attach{{}, child, {}, 1}), kStart, fx);
  REQUIRE(membership.tree()->children().size() == 1);
  member.holdsOn = true;
  const TimePoint lost = kStart + 2s;
  membership.closed(member.connection, lost, fx);  // without a metaserver nothing names the root
  membership.closed(member.link, lost, fx);
  static_cast<void>(member.requestsUntil(lost + 900ms));
  const auto raisedBy = [&](std::uint64_t order) {
    return wire::LinkMessage(wire::Raise{
        {5, 3}, {*PeerId::parse("s50"), JoinOrder{order}, {"127.0.0.1", 5050}}, child.id});
  };

  membership.received(below, raisedBy(2), lost + 1500ms, fx);  // an elder one: it is to be the root
  CHECK_FALSE(membership.tree()->isRoot());
  fx = {};
  membership.received(below, raisedBy(50), lost + 1500ms, fx);

  CHECK(membership.tree()->isRoot());
  CHECK(membership.tree()->label().sequence > 5);
  CHECK(membership.tree()->label().depth == 0);
}

TEST_CASE("a metaserver that stays away is tried again and again, each time after another delay") {
  Member member(7);
  TimePoint now = kStart + 10s;
  std::vector<Duration> waits;
  for (int attempt = 0; attempt < 20; ++attempt) {
    waits.push_back(member.comesBackAfter(now));
    CHECK(waits.back() >= 200ms);
    CHECK(waits.back() <= 5s);
    now += waits.back();
  }
  std::ranges::sort(waits);
  CHECK(std::ranges::adjacent_find(waits) == waits.end());
}

// Found by the simulation, seed 10005603 of --kill-each: links came each second or two, and the
// reports of them, which have no answer, took the place of the heartbeats, which have one.
TEST_CASE("a peer whose links change all the time does not take its metaserver for silent") {
  Member member(7);
  auto& membership = member.membership;
  std::size_t reports = 0;
  for (unsigned second = 1; second <= 20; ++second) {
    const TimePoint now = kStart + std::chrono::seconds(second);
    const ConnectionId joiner{2ull * second};
    const wire::Contact self{*PeerId::parse("c" + std::to_string(second)),
                             JoinOrder{100 + second},
                             {"127.0.0.1", static_cast<std::uint16_t>(7000 + second)}};
    Effects fx;
    membership.received(joiner, wire::LinkMessage(wire::Attach{{}, self, {}, 1}), now, fx);
    membership.closed(joiner, now, fx);
    membership.tick(now, fx);
    for (const auto& send : fx.sends) {
      const auto* request = std::get_if<wire::RegistryRequest>(&send.message);
      if (request == nullptr) continue;
      if (std::holds_alternative<wire::Links>(*request)) ++reports;
      if (!std::holds_alternative<wire::RegistryHeartbeat>(*request)) continue;
      Effects answered;
      membership.received(
          member.connection,
          wire::RegistryReply(wire::RegistryHeartbeatReply{limits::kHeartbeatInterval}), now,
          answered);
    }
  }
  CHECK(reports >= 20);
  CHECK(membership.joined());
}
