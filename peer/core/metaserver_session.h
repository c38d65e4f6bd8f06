// A peer's session with a metaserver of its network, its home: the connection, the progress of
// joining, heartbeats, and which metaserver is dialled next, and when.
//
//   offline --connect--> connecting --opened--> greeted --join--> joining --admitted--> joined
//      ^                                           ^                 |                     |
//      |                                           +-- refused ------+                     |
//      +------------------------- ended (from any state) ----------------------------------+
//
// Invariants: there is a connection in every state but offline, a second one only in the state
// joined; requests are sent only in the
// states greeted, joining and joined; an admission that was not asked for changes nothing. However
// rare the heartbeats that the metaserver asks for, it gets one each
// limits::kMetaserverHeartbeatMost, so its death is noticed.
//
// A Redirect sends this peer to another metaserver. Before it is a member, the connection is closed
// and the other one is dialled. A member is moved: a second connection is opened, and what was said
// here holds for the first one until the member is admitted on the second:
//
//   joined --redirected--> joined, dials --Welcome of the same network--> joined, asks there
//      ^                        |                                             |
//      +---- it fails there ----+---------------------------------------------+--admitted--> joined
//
// If the first connection ends meanwhile, the second one takes its place at once. Requests that are
// open are asked again at the new home, so each is answered once.
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
#include "peer/core/redirects.h"

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
  void opened(const std::string& localHost, TimePoint now, Effects& fx);
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

  // --- being handed on
  // Follows, or says why not; then a session that has not joined is at its end for the caller. A
  // message of the connection, or of isMoving().
  [[nodiscard]] std::string redirected(ConnectionId from, const wire::Redirect& redirect,
                                       TimePoint now, Effects& fx);
  // Whether the Welcome of the metaserver that was dialled is of the network that it should be of.
  bool isExpected(ConnectionId connection, const wire::NetworkId& network) const;
  // This peer was sent to the one that was dialled last, which has not admitted it.
  bool wasSent() const { return wasSent_; }
  // Whether it is the second connection, of a move.
  bool isMoving(ConnectionId connection) const { return move_ && move_->connection == connection; }
  bool moves() const { return move_.has_value(); }
  // The other metaserver has said Welcome: asks it for the admission.
  void joinThere(wire::Join request, const std::string& localHost, TimePoint now, Effects& fx);
  bool awaitsAdmissionThere() const { return move_ && move_->awaitsAdmission; }
  // The other one takes the place of this one, which is closed if it is open still: `isOpen`.
  void moveOn(bool isOpen, TimePoint now, Effects& fx);
  // The other one has failed, and is closed if it `isOpen`; this peer stays.
  void stay(std::string_view why, bool isOpen, TimePoint now, Effects& fx);
  // --- while there is a connection
  // Says goodbye.
  void leave(Effects& fx);
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
  TimePoint deadline() const {
    return std::min({reconnectAt_, nextHeartbeat_, admissionBy_, move_ ? move_->until : kNever});
  }

  State state() const { return state_; }
  bool greeted() const { return state_ >= State::greeted; }
  bool joined() const { return state_ == State::joined; }
  // The connection on which it is a member, if its home understands rooms.
  std::optional<ConnectionId> roomsHome() const {
    return joined() && hasRooms_ ? connection_ : std::nullopt;
  }
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
  struct Move {
    ConnectionId connection;
    wire::NetworkId network;
    TimePoint until;
    std::string localHost = {};
    bool awaitsAdmission = false;
  };

  void hearOfOthers(const std::vector<Endpoint>& metaservers);
  std::string whyNotFollowed(const wire::Redirect& redirect, bool isHere, TimePoint now);
  void payFor(const Endpoint& dialled);
  void askAgain(Effects& fx);

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
  bool hasRooms_ = false;  // as it was admitted last
  bool toldUnasked_ = false;
  std::string newHome_;
  std::vector<Error> failures_;  // since connectAsNewcomer()
  Redirects redirects_;
  bool wasSent_ = false;
  std::optional<wire::NetworkId> expected_;  // of the one that is dialled
  std::optional<Move> move_;                 // only in the state joined
};

}  // namespace espalier::peer
