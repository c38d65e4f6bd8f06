// A peer's session with its metaserver: the connection, the progress of joining, heartbeats, and
// the time of the next attempt to connect.
//
//   offline --connect--> connecting --opened--> greeted --join--> joining --admitted--> joined
//      ^                                           ^                 |                     |
//      |                                           +-- refused ------+                     |
//      +------------------------- ended (from any state) ----------------------------------+
//
// Invariants: there is a connection in every state but offline; requests are sent only in the
// states greeted, joining and joined; an admission that was not asked for changes nothing. However
// rare the heartbeats that the metaserver asks for, it gets one each
// limits::kMetaserverHeartbeatMost, so its death is noticed.
//
// reconnectLater() spreads the peers of a network over limits::kReconnectMost, so a restarted
// metaserver is not flooded. A metaserver that leaves kHeartbeatsLost heartbeats in a row
// unanswered counts as silent, and the caller closes the connection.
//
// Owned by Membership, which decides what an admission or a referral means for the tree. Does no
// I/O, not thread-safe; every call costs O(1).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "common/base/budget.h"
#include "common/base/clock.h"
#include "common/base/endpoint.h"
#include "common/base/limits.h"
#include "common/base/random.h"
#include "common/wire/registry.h"
#include "peer/core/connection_numbers.h"
#include "peer/core/effects.h"
#include "peer/core/open_requests.h"

namespace espalier::peer {

class MetaserverSession {
 public:
  enum class State { offline, connecting, greeted, joining, joined };

  // `numbers` and `random` are borrowed.
  MetaserverSession(Endpoint metaserver, ConnectionNumbers& numbers, Random& random, Budget& budget)
      : metaserver_(std::move(metaserver)),
        numbers_(numbers),
        random_(random),
        account_(budget.account(Payer::endpoint(metaserver_))) {}

  // --- from offline to joined
  void connect(TimePoint now, Effects& fx);
  // The connection is open. `localHost`: the address of this end.
  void opened(const std::string& localHost, TimePoint now);
  void join(wire::Join request, Effects& fx);
  // Asks for another port than the one that was assigned.
  void askForPort(std::uint16_t taken, Effects& fx);
  void admitted(const wire::Admitted& admitted, TimePoint now, Effects& fx);
  // The metaserver refused the request to join. The peer may send another one.
  void refused();

  // --- back to offline
  // The connection has ended, or the caller has closed it.
  void ended(std::string why, Effects& fx);
  void reconnectLater(TimePoint now);
  void reconnectNotBefore(Duration more) { reconnectAt_ += more; }
  void stayAway() { reconnectAt_ = kNever; }

  // --- while there is a connection
  void send(wire::RegistryRequest request, Effects& fx);
  // The same for a request that is answered by its number, which is returned.
  std::uint64_t ask(wire::RegistryRequest request, Effects& fx);
  // The number of the request that this reply answers, once (see OpenRequests). None: it was not
  // asked for, and the caller ignores it; the first such reply is told.
  std::optional<std::uint64_t> answered(const wire::RegistryReply& reply, Effects& fx);
  // A message of the metaserver was received, of any kind.
  void heard(TimePoint now) { heardAt_ = now; }
  void heartbeatAnswered(const wire::RegistryHeartbeatReply& reply, Effects& fx);
  void countMembers(std::uint64_t members) { members_ = members; }
  // This process was stopped for `gap`, which does not count as silence of the metaserver.
  void forgive(Duration gap) { heardAt_ += gap; }
  // Sends heartbeats. False: the metaserver is silent, and the caller closes the connection.
  [[nodiscard]] bool tick(TimePoint now, Effects& fx);
  bool reconnectIsDue(TimePoint now) const { return now >= reconnectAt_; }
  TimePoint deadline() const { return std::min(reconnectAt_, nextHeartbeat_); }

  State state() const { return state_; }
  bool greeted() const { return state_ >= State::greeted; }
  bool joined() const { return state_ == State::joined; }
  // It was asked for an admission, which has not come yet.
  bool awaitsAdmission() const { return awaitsAdmission_; }
  // Pays for whom the metaserver names.
  const Account& account() const { return account_; }
  // Whether one more line about the metaserver may be told.
  bool mayTell(TimePoint now) { return account_.spend(limits::Rate::logLines, now); }
  const std::optional<ConnectionId>& connection() const { return connection_; }
  // This end's address on the last connection that was open.
  const std::string& localHost() const { return localHost_; }
  // The number of members, as the metaserver said last.
  std::uint64_t members() const { return members_; }

 private:
  const Endpoint metaserver_;
  ConnectionNumbers& numbers_;
  Random& random_;
  Account account_;  // the metaserver's

  State state_ = State::offline;
  std::optional<ConnectionId> connection_;
  std::string localHost_;
  TimePoint heardAt_;
  Duration heartbeatInterval_ = limits::kHeartbeatInterval;
  TimePoint nextHeartbeat_ = kNever;
  TimePoint reconnectAt_ = kNever;
  std::uint64_t members_ = 1;
  OpenRequests requests_;
  std::string seenFrom_;  // the host in the last notice `seenFrom`
  bool toldUnreachable_ = false;
  bool awaitsAdmission_ = false;
  bool toldUnasked_ = false;
};

}  // namespace espalier::peer
