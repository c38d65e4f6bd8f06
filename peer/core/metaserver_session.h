// A peer's session with a metaserver of its network, its home: the connection, the progress of
// joining, heartbeats, and which metaserver is dialled next, and when.
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
// connect() dials the addresses that the user gave and that a home told in turn
// (metaserver_list.h), so a peer whose home has died finds another metaserver.
//
// reconnectLater() spreads the peers of a network over limits::kReconnectMost, or over
// kHomeLostSpread when they know other metaservers, so none is flooded. A metaserver that leaves
// kHeartbeatsLost heartbeats in a row unanswered counts as silent, and so does one that lets a
// member that knows others wait for limits::kAdmissionPatience. The caller closes the connection.
//
// Owned by Membership, which decides what an admission or a referral means for the tree. Does no
// I/O, not thread-safe; every call costs O(1), or O(n) for n addresses.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/budget.h"
#include "common/base/clock.h"
#include "common/base/endpoint.h"
#include "common/base/limits.h"
#include "common/base/random.h"
#include "common/base/result.h"
#include "common/wire/registry.h"
#include "peer/core/connection_numbers.h"
#include "peer/core/effects.h"
#include "peer/core/metaserver_list.h"
#include "peer/core/open_requests.h"

namespace espalier::peer {

class MetaserverSession {
 public:
  enum class State { offline, connecting, greeted, joining, joined };

  // `metaservers`: at least one address. The rest is borrowed.
  MetaserverSession(const std::vector<Endpoint>& metaservers, ConnectionNumbers& numbers,
                    Random& random, Budget& budget)
      : list_(metaservers),
        numbers_(numbers),
        random_(random),
        budget_(budget),
        account_(budget.account(Payer::endpoint(list_.home()))) {}

  // --- from offline to joined
  void connect(TimePoint now, Effects& fx);
  // The same for a peer that is in no network yet, whose user asks for it.
  void connectAsNewcomer(TimePoint now, Effects& fx);
  // The connection is open. `localHost`: the address of this end.
  void opened(const std::string& localHost, TimePoint now);
  void join(wire::Join request, TimePoint now, Effects& fx);
  // Asks for another port than the one that was assigned.
  void askForPort(std::uint16_t taken, Effects& fx);
  void admitted(const wire::Admitted& admitted, TimePoint now, Effects& fx);
  // The metaserver refused the request to join. The peer may send another one.
  void refused();

  // --- back to offline
  // The connection has ended, or the caller has closed it.
  void ended(TimePoint now);
  // The same for a peer that is in no network yet. Dials the next of the addresses that its user
  // gave, unless it may not. Tells the user once each was tried, who then decides what to do.
  void endedAsNewcomer(const Error& why, bool mayDial, TimePoint now, Effects& fx);
  // This metaserver has another network than this peer: says goodbye. The caller closes. What the
  // peer has in its own network stays, since others of its metaservers may live.
  void leaveOtherNetwork(TimePoint now, Effects& fx);
  void reconnectLater(TimePoint now) { reconnectAt_ = list_.nextAt(now, random_); }
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
  void forgive(Duration gap);
  // Sends heartbeats. Returns why the caller has to close the connection; empty: it need not.
  [[nodiscard]] std::string_view tick(TimePoint now, Effects& fx);
  bool reconnectIsDue(TimePoint now) const { return now >= reconnectAt_; }
  TimePoint deadline() const { return std::min({reconnectAt_, nextHeartbeat_, admissionBy_}); }

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
  // The metaserver where this peer was admitted last; before that, the first one that was given.
  const Endpoint& home() const { return list_.home(); }
  // The home, if this peer was at another one before; else empty.
  const std::string& newHome() const { return newHome_; }
  // The one that was dialled last.
  const Endpoint& dialled() const { return list_.dialled().at; }
  const MetaserverList& metaservers() const { return list_; }
  bool knowsOthers() const { return list_.size() > 1; }
  // The number of members, as the metaserver said last.
  std::uint64_t members() const { return members_; }

 private:
  void hearOfOthers(const std::vector<Endpoint>& metaservers);

  MetaserverList list_;
  ConnectionNumbers& numbers_;
  Random& random_;
  Budget& budget_;
  Account account_;  // of the metaserver that was dialled last

  State state_ = State::offline;
  std::optional<ConnectionId> connection_;
  std::string localHost_;
  TimePoint heardAt_;
  Duration heartbeatInterval_ = limits::kHeartbeatInterval;
  TimePoint nextHeartbeat_ = kNever;
  TimePoint reconnectAt_ = kNever;
  TimePoint admissionBy_ = kNever;
  std::uint64_t members_ = 1;
  OpenRequests requests_;
  std::string seenFrom_;  // the host in the last notice `seenFrom`
  bool toldUnreachable_ = false;
  bool awaitsAdmission_ = false;
  bool toldUnasked_ = false;
  std::string newHome_;
  std::vector<Error> failures_;  // since connectAsNewcomer()
};

}  // namespace espalier::peer
