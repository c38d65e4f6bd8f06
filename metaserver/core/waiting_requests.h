// Requests of sessions that are over their budget. They wait here, in their order, while the shell
// reads nothing from their connections: a flood of requests waits at its own sender.
//
//   admit() --> true, paid: the caller carries it out
//           --> false, waiting --paid: takeDue()--> the caller carries it out
//                              --remove(): its session ended--> gone
//
// Prices are in limits.h (kRateBounds: registryJoins, registryChanges, registryRequests, which
// those about rooms pay, too, and statistics). A Join is paid by the address that it comes from,
// because ids are free to choose; everything else by the member once there is one. What a request
// has cost beyond its price is told afterwards (moved()): its sender's next ones wait for that.
//
// Invariants: the requests of a session stay in their order: while one waits, those behind it wait,
// too. Sessions that wait for the process's bucket are served in turn, and before those that come
// later.
//
// Bounds: limits::kWaitingRequests a session: those that were read before its connection was
// paused. One more closes the connection. Does no I/O. Not thread-safe. O(log n) a call, and for
// each session that waits every 10 ms. Owned by the registry.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>

#include "common/base/budget.h"
#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/wire/registry.h"
#include "metaserver/core/effects.h"

namespace espalier::metaserver {

class WaitingRequests {
 public:
  struct Sender {
    ConnectionId connection;
    const std::string& host;
    const PeerId* member;  // null: it has not joined
  };
  struct Due {
    ConnectionId connection;
    wire::RegistryRequest request;
  };

  explicit WaitingRequests(Budget& budget) : budget_(budget), all_(budget.account(Payer())) {}

  bool admit(const Sender& sender, const wire::RegistryRequest& request, TimePoint now,
             Effects& fx);
  // The next request that can be paid now.
  std::optional<Due> takeDue(TimePoint now, Effects& fx);
  // The last request of this member has moved so many peers.
  void moved(const PeerId& member, std::uint64_t peers, TimePoint now);
  void remove(ConnectionId connection);
  // When takeDue() is to be called; kNever if nothing waits.
  TimePoint deadline() const { return turns_.empty() ? kNever : turns_.begin()->at; }

 private:
  struct Turn {
    TimePoint at;
    std::uint64_t number;  // of two at one time the one that waits longer comes first
    ConnectionId connection;
    auto operator<=>(const Turn&) const = default;
  };
  struct Session {
    Account payer;
    std::deque<wire::RegistryRequest> requests;
    Turn turn;
    bool isCrowded = false;  // the process's bucket was empty when the turn was given
  };
  using Sessions = std::unordered_map<ConnectionId, Session>;

  void giveTurn(ConnectionId connection, Session& session, TimePoint now);
  void endTurn(Session& session);

  Budget& budget_;
  Account all_;  // of the process
  Sessions sessions_;
  std::set<Turn> turns_;
  std::uint64_t lastTurn_ = 0;
  std::array<std::size_t, limits::kRateKinds> crowded_{};  // sessions, by what they wait for
};

}  // namespace espalier::metaserver
