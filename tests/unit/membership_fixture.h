// A Membership without sockets, and the metaserver and peers that speak to it.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/limits.h"
#include "peer/core/membership.h"

namespace espalier::peer {

using namespace std::chrono_literals;

inline constexpr TimePoint kStart{Duration(1h)};
inline constexpr std::uint64_t kOrder = 1000;
inline const Endpoint kHere{"10.0.0.1", 6000};

inline Endpoint elsewhere(std::uint64_t number) {
  return {"10.1." + std::to_string(number / 250 % 250) + "." + std::to_string(1 + number % 250),
          static_cast<std::uint16_t>(7000 + number / 62'500)};
}

inline wire::Contact contact(const std::string& id, std::uint64_t order, Endpoint endpoint) {
  return {*PeerId::parse(id), JoinOrder{order}, std::move(endpoint)};
}

inline wire::Contact contact(std::uint64_t number) {
  return contact("p" + std::to_string(number), 1 + number % (kOrder - 1), elsewhere(number));
}

inline wire::Referral below(const wire::Contact& parent) {
  return {wire::Referral::Kind::below, parent};
}

struct Member {
  explicit Member(std::uint16_t port = 0)
      : membership({{{"10.0.0.9", 5000}}, {"", port}, {}}, random, budget, kStart) {
    membership.connect(now, fx);
    session = fx.dials.at(0).connection;
    membership.opened(session, kHere.host, now, fx);
    membership.join(*PeerId::parse("me"), {}, "P2P", now, fx);
    fx = {};
  }

  wire::Admitted admission(wire::Referral referral) const {
    wire::Admitted admitted;
    admitted.self = contact("me", kOrder, kHere);
    admitted.maxLinks = 4;
    admitted.members = 9;
    admitted.heartbeatInterval = limits::kHeartbeatInterval;
    admitted.referral = std::move(referral);
    return admitted;
  }
  void admit(wire::Referral referral) {
    says(admission(std::move(referral)));
    membership.listening(kHere, now, fx);
    REQUIRE(membership.joined());
  }
  void says(wire::RegistryReply reply) { membership.received(session, reply, now, fx); }
  void hears(ConnectionId from, wire::LinkMessage message) {
    membership.received(from, message, now, fx, "10.0.0.2");
  }
  void attach(ConnectionId connection, const wire::Contact& joiner, wire::Label floor = {}) {
    hears(connection, wire::Attach{{}, joiner, floor, 1, {}});
  }
  void loseMetaserver() { membership.closed(session, now, fx); }

  // The peers that it dials; each dial is answered by `answer`, or nobody listens there.
  using Answer = std::function<std::optional<wire::LinkMessage>(const Endpoint&)>;
  void run(Duration time, const Answer& answer = {}) {
    for (const TimePoint end = now + time; now < end;) {
      answerDials(answer);
      now = std::min(end, std::max(now, membership.deadline()));
      membership.tick(now, fx);
      if (isAnswered && membership.joined()) {
        says(wire::RegistryHeartbeatReply{limits::kHeartbeatInterval});
      }
    }
    answerDials(answer);
  }
  void answerDials(const Answer& answer) {
    while (!fx.dials.empty()) {
      const auto dials = std::exchange(fx.dials, {});
      for (const auto& dial : dials) {
        if (dial.purpose != wire::Purpose::link) continue;
        dialled.push_back(dial.to);
        const auto message = answer ? answer(dial.to) : std::nullopt;
        if (message) {
          membership.received(dial.connection, *message, now, fx);
        } else {
          membership.failed(dial.connection, {ErrorCode::unavailable, "refused"}, now, fx);
        }
      }
    }
  }

  template <typename Request>
  std::size_t asked() const {
    return static_cast<std::size_t>(
        std::count_if(fx.sends.begin(), fx.sends.end(), [&](const Send& send) {
          const auto* request = std::get_if<wire::RegistryRequest>(&send.message);
          return request != nullptr && std::holds_alternative<Request>(*request);
        }));
  }
  std::size_t noticed(Notice::Kind kind) const {
    return static_cast<std::size_t>(
        std::count_if(fx.notices.begin(), fx.notices.end(),
                      [&](const Notice& notice) { return notice.kind == kind; }));
  }
  std::size_t dialledTo(const Endpoint& endpoint) const {
    return static_cast<std::size_t>(std::count(dialled.begin(), dialled.end(), endpoint));
  }

  Random random{7};
  Budget budget;
  Effects fx;
  TimePoint now = kStart;
  ConnectionId session{};
  bool isAnswered = true;  // by the metaserver
  std::vector<Endpoint> dialled;
  Membership membership;
};

inline wire::Referral root() {
  return {wire::Referral::Kind::root, {}};
}

inline constexpr ConnectionId kChild{2};
inline constexpr ConnectionId kOther{4};

}  // namespace espalier::peer
