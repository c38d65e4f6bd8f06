// A peer's session with its metaserver: the connection, how far joining has come, heartbeats, and
// when to connect again.
//
//   offline --connect--> connecting --opened--> greeted --join--> joining --admitted--> joined
//      ^                                           ^                 |                     |
//      |                                           +-- refused ------+                     |
//      +------------------------- ended (from any state) ----------------------------------+
//
// Invariants: there is a connection in every state but offline; requests are sent from greeted on.
// reconnectLater() spreads the peers of a network over limits::kReconnectMost, so that a restarted
// metaserver is not flooded. A metaserver that does not answer kHeartbeatsLost heartbeats in a row
// has fallen silent.
//
// The session says nothing of the tree: what an admission or a referral means is decided by
// Membership, which owns this object. Does no I/O, not thread-safe; every call costs O(1).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/base/clock.h"
#include "common/base/endpoint.h"
#include "common/base/limits.h"
#include "common/base/random.h"
#include "common/wire/registry.h"
#include "peer/core/connection_numbers.h"
#include "peer/core/effects.h"

namespace espalier::peer {

class MetaserverSession {
 public:
  enum class State { offline, connecting, greeted, joining, joined };

  // `numbers` and `random` are borrowed.
  MetaserverSession(Endpoint metaserver, ConnectionNumbers& numbers, Random& random)
      : metaserver_(std::move(metaserver)), numbers_(numbers), random_(random) {}

  // --- from offline to joined
  void connect(TimePoint now, Effects& fx);
  // The connection is open; this end of it has the address `localHost`.
  void opened(const std::string& localHost, TimePoint now);
  void join(wire::Join request, Effects& fx);
  void admitted(const wire::Admitted& admitted, TimePoint now, Effects& fx);
  // The metaserver refused the request to join; another one may follow.
  void refused();

  // --- and back
  // The connection is gone, or was closed by the caller.
  void ended(std::string why, Effects& fx);
  void reconnectLater(TimePoint now);
  void reconnectNotBefore(Duration more) { reconnectAt_ += more; }
  void stayAway() { reconnectAt_ = kNever; }

  // --- meanwhile
  void send(wire::RegistryRequest request, Effects& fx);
  // Any message of the metaserver came.
  void heard(TimePoint now) { heardAt_ = now; }
  void heartbeatAnswered(const wire::RegistryHeartbeatReply& reply, Effects& fx);
  void countMembers(std::uint64_t members) { members_ = members; }
  // This process was stopped for so long: the metaserver was not silent because of it.
  void forgive(Duration gap) { heardAt_ += gap; }
  // Sends heartbeats. False once the metaserver has fallen silent: then the caller closes.
  [[nodiscard]] bool tick(TimePoint now, Effects& fx);
  bool reconnectIsDue(TimePoint now) const { return now >= reconnectAt_; }
  TimePoint deadline() const { return std::min(reconnectAt_, nextHeartbeat_); }

  State state() const { return state_; }
  bool greeted() const { return state_ >= State::greeted; }
  bool joined() const { return state_ == State::joined; }
  const std::optional<ConnectionId>& connection() const { return connection_; }
  // Of the last connection that was open.
  const std::string& localHost() const { return localHost_; }
  // Of the network, as the metaserver said last.
  std::uint64_t members() const { return members_; }

 private:
  const Endpoint metaserver_;
  ConnectionNumbers& numbers_;
  Random& random_;

  State state_ = State::offline;
  std::optional<ConnectionId> connection_;
  std::string localHost_;
  TimePoint heardAt_;
  Duration heartbeatInterval_ = limits::kHeartbeatInterval;
  TimePoint nextHeartbeat_ = kNever;
  TimePoint reconnectAt_ = kNever;
  std::uint64_t members_ = 1;
  std::string seenFrom_;  // the host that the notice `seenFrom` named last
  bool toldUnreachable_ = false;
};

}  // namespace espalier::peer
