// A Membership without sockets, and several metaservers that it can dial.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/limits.h"
#include "peer/core/membership.h"
#include "tests/unit/membership_fixture.h"

namespace espalier::peer {

inline const Endpoint kA{"10.0.0.101", 5000};
inline const Endpoint kB{"10.0.0.102", 5000};
inline const Endpoint kC{"10.0.0.103", 5000};

inline wire::NetworkId networkOf(std::uint8_t number) {
  wire::NetworkId network;
  network.bytes.fill(number);
  return network;
}

struct Server {
  enum class Answers { nobody, otherProtocol, welcomes, waits, admits };
  Answers answers = Answers::admits;
  wire::NetworkId network = networkOf(1);
  std::vector<Endpoint> tells = {};
  bool tellsNetwork = true;
  std::optional<Endpoint> sendsTo = {};  // with a Redirect, whoever asks to be admitted
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
      const bool tells = server->second.tellsNetwork;
      membership.opened(dial.connection, kHere.host, now, fx,
                        tells ? server->second.network : wire::NetworkId());
    });
  }
  void answer(const Send& send) {
    const auto* request = std::get_if<wire::RegistryRequest>(&send.message);
    if (request == nullptr) return;
    const auto at = sessions.at(send.to);
    requests.push_back({at, *request});
    if (!membership.owns(send.to)) return;
    const auto& server = servers[at];
    if (std::holds_alternative<wire::RegistryHeartbeat>(*request)) {
      wire::RegistryHeartbeatReply reply{limits::kHeartbeatInterval, {}, {}};
      return says(reply, send.to);
    }
    const auto* join = std::get_if<wire::Join>(request);
    if (join == nullptr) return;
    if (server.sendsTo) return says(wire::Redirect{*server.sendsTo, server.network}, send.to);
    if (server.answers == Answers::waits) {
      return says(wire::Wait{"the peers of before"}, send.to);
    }
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
    if (before) before();
    says(admitted, send.to);
  }
  void says(const wire::RegistryReply& reply, std::optional<ConnectionId> on = std::nullopt) {
    const auto from = on ? *on : *membership.session().connection();
    step([&](Effects& fx) { membership.received(from, reply, now, fx); });
  }
  // The home sends a member to another metaserver.
  void sends(const Endpoint& to, wire::NetworkId network = networkOf(1)) {
    says(wire::Redirect{to, network});
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
  std::function<void()> before;  // the next admission is said
  Membership membership;
};

}  // namespace espalier::peer
