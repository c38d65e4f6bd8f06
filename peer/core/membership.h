// A peer's membership of the network: it joins at the metaserver, takes its place in the tree,
// finds a new one when it is cut off, and stays known to the metaserver.
//
//   offline --connect--> connecting --opened--> greeted --join--> joining --Admitted--> joined
//      ^                                                                                  |
//      +-------- the connection ended (tried again by itself once the peer has joined) ---+
//
// A metaserver that no longer takes a returning peer for the one that it was admits it with another
// order of joining: the peer leaves its neighbours, and begins again as a newcomer. One that
// refuses it, because its id is taken, is asked again after limits::kRefusedRetry.
//
// Once it has joined, the tree lives on without the metaserver. A parentless peer seeks: the place
// that the metaserver gives, where referrals lead, and half a second later its contacts. One
// attempt is under way at a time, so at most one acceptor can ever be its parent. Tree (tree.h)
// keeps it free of cycles whatever this class tries.
//
// Does no I/O. Not thread-safe. Call tick() when deadline() has passed; every call may move the
// deadline.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/random.h"
#include "peer/core/candidates.h"
#include "peer/core/effects.h"
#include "peer/core/tree.h"

namespace espalier::peer {

class Membership {
 public:
  struct Options {
    Endpoint metaserver;
    Endpoint listen;     // host empty: where the metaserver is reached from; port 0: assigned
    Endpoint advertise;  // host empty: as the metaserver sees it
  };

  // `random` is borrowed: it spreads the retries of many peers.
  Membership(Options options, Random& random, TimePoint now);

  // Opens the connection to the metaserver; ends in greeted(), or in a notice `metaserverLost`.
  void connect(TimePoint now, Effects& fx);
  bool greeted() const { return session_ >= Session::greeted; }
  // Asks to be taken in. Ends in a notice: joined, wordRefused (join again), waiting, or refused.
  void join(const PeerId& id, const InstanceKey& key, const std::string& word, TimePoint now,
            Effects& fx);
  // Sends a request (topology, members) to the metaserver; false while it is out of reach.
  bool ask(wire::RegistryRequest request, TimePoint now, Effects& fx);
  // Says goodbye; the shell closes what is open once all has been sent.
  void leave(TimePoint now, Effects& fx);

  // --- events of the shell ---
  // A connection that was dialled here is open, from `localHost`; or could not be opened, or what
  // answers does not speak as it should (`protocol`).
  void opened(ConnectionId connection, const std::string& localHost, TimePoint now, Effects& fx);
  void failed(ConnectionId connection, const Error& error, TimePoint now, Effects& fx);
  // Any connection of ours ended (not those that we asked to be closed).
  void closed(ConnectionId connection, TimePoint now, Effects& fx);
  void listening(const Endpoint& at, TimePoint now, Effects& fx);
  // `unavailable`: another port may do.
  void listenFailed(const Error& error, TimePoint now, Effects& fx);
  void received(ConnectionId connection, const wire::RegistryReply& reply, TimePoint now,
                Effects& fx);
  void received(ConnectionId connection, const wire::LinkMessage& message, TimePoint now,
                Effects& fx);
  void tick(TimePoint now, Effects& fx);
  TimePoint deadline() const;

  // What the tree did since the last call: links that came up and went down, for the searches.
  struct LinkChanges {
    std::vector<Tree::Neighbour> up;
    std::vector<Tree::Neighbour> down;
  };
  LinkChanges takeLinkChanges() { return std::exchange(linkChanges_, {}); }

  // Null until this peer listens under the port that it was given.
  const Tree* tree() const { return tree_ ? &*tree_ : nullptr; }
  bool joined() const { return session_ == Session::joined; }
  // Peers that it could turn to when all nearer ones are gone: those that it knows at first hand,
  // then those that others told of; of each the most recent first.
  std::vector<wire::Contact> known() const;
  // How many members the network has, as far as this peer knows.
  std::uint64_t members() const;
  bool owns(ConnectionId connection) const;

 private:
  enum class Session { offline, connecting, greeted, joining, joined };
  enum class Failing { unreachable, notNow, below, younger };

  struct Attempt {
    ConnectionId connection;
    wire::Contact target;
    TimePoint deadline;
    bool held = false;  // which counts once: nobody may hold us for ever
  };
  struct PlaceGiven {
    wire::Contact target;
    TimePoint since;
    bool wasFull = false;  // it was asked once
  };

  ConnectionId nextConnection();
  void sendRegistry(wire::RegistryRequest request, Effects& fx);
  wire::Join joinRequest() const;
  wire::Links links() const;
  void sessionEnded(std::string why, TimePoint now, Effects& fx);
  void admitted(const wire::Admitted& admitted, TimePoint now, Effects& fx);
  void placed(const wire::Referral& place, TimePoint now, Effects& fx);
  void startAnew(const wire::Admitted& admitted, TimePoint now, Effects& fx);
  void refusedByMetaserver(const wire::Failure& failure, TimePoint now, Effects& fx);

  void beginSeeking(TimePoint contactsAt, TimePoint now);
  void seek(const std::optional<PeerId>& lost, TimePoint now, Effects& fx);
  void hinted(const wire::Contact& olderRoot, TimePoint now);
  void askForReferral(wire::Seek seek, TimePoint now, Effects& fx);
  void attempt(const wire::Contact& target, TimePoint now, Effects& fx);
  void attemptAnswered(const wire::LinkMessage& message, TimePoint now, Effects& fx);
  void attemptReferred(const wire::Referred& referred, TimePoint now, Effects& fx);
  void attemptFailed(Failing why, TimePoint now, Effects& fx);
  void abandonAttempt(Effects& fx);
  void stopSeeking(Effects& fx);
  void passOver(TimePoint now, Effects& fx);
  void becomeRootInVain(TimePoint now, Effects& fx);
  std::vector<wire::Contact> contacts() const;
  void remember(const wire::Contact& contact);
  void heardOf(const wire::Contact& contact);
  wire::LinkSecret secretFor(const wire::Contact& target) const;
  void rememberLineage();
  void exchangePeers(TimePoint now, Effects& fx);

  void tellLinks(Tree::Changes changes, Effects& fx);
  void afterStep(TimePoint now, Effects& fx);
  void advance(TimePoint now, Effects& fx);
  void observe(TimePoint now);

  const Options options_;
  Random& random_;
  std::uint64_t connections_ = 0;
  TimePoint seen_;
  bool left_ = false;

  Session session_ = Session::offline;
  std::optional<ConnectionId> metaserver_;
  std::string localHost_;
  TimePoint metaserverHeard_;
  Duration metaserverHeartbeat_ = limits::kHeartbeatInterval;
  TimePoint nextMetaserverHeartbeat_ = kNever;
  TimePoint reconnectAt_ = kNever;
  std::uint64_t membersTold_ = 1;
  PeerId id_;
  InstanceKey key_;
  std::string word_;

  std::optional<wire::Admitted> admitted_;  // the last one
  std::string seenFrom_;                    // another host than the announced one, as was told
  bool toldUnreachable_ = false;
  std::optional<Tree> tree_;
  bool announced_ = false;    // the notice `joined` was given
  bool refusalTold_ = false;  // since it was admitted last
  LinkChanges linkChanges_;

  bool seeking_ = false;
  TimePoint seekingSince_;
  TimePoint contactsAt_;  // from when contacts are asked, too
  bool contactsLoaded_ = false;
  TimePoint tryAt_;  // the next attempt, not before
  TimePoint askAgainAt_ = kNever;
  unsigned passes_ = 0;
  std::optional<PlaceGiven> referral_;
  std::optional<PeerId> lastReferral_;  // to be told as failed when the walk from it ends nowhere
  std::optional<Attempt> attempt_;
  Candidates candidates_;
  // Most recent first. Apart, so that what anybody tells displaces nobody who was linked to this
  // peer, or was named by the metaserver.
  std::deque<wire::Contact> known_;
  std::deque<wire::Contact> heardOf_;
  TimePoint nextPeerExchange_ = TimePoint::min();
};

}  // namespace espalier::peer
