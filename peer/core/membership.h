// A peer's membership of the network: it joins at the metaserver, listens, has a place in the tree,
// and stays known to the metaserver. Ties together
//
//   MetaserverSession   how far joining has come, heartbeats, reconnecting
//   Tree                parent and children, what keeps cycles out
//   ParentSearch        whom a peer without a parent asks
//   KnownContacts       whom it can turn to when everybody near is gone
//   LinkReports         what the metaserver is told of the links, and says of the neighbours
//
// and hands each event to the one that it is for. After every event afterStep() passes on what the
// tree did: reports of links to the metaserver, notices, the next step of the search.
//
//   joining --Admitted--> to listen --listening()--> in the tree: tree(), search(), contacts exist
//
// Once a peer has joined, the tree lives on without the metaserver. A metaserver that no longer
// takes a returning peer for the one that it was admits it with another order of joining: the peer
// leaves its neighbours and begins again as a newcomer. If another member has its id by now, since
// before a cut for example, it does the same under another id: ID~2, ID~3, ... A metaserver that
// refuses a returning peer for another reason is asked again after limits::kRefusedRetry. One of
// another
// network is left again if the peer knows other metaservers: it keeps its place in its own network.
// A member that a metaserver sends to another one keeps its session until it is admitted there as
// it is; if it is not, it stays.
//
// Owned by Peer. Does no I/O. Not thread-safe. Call tick() when deadline() has passed; every call
// may move the deadline.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/budget.h"
#include "common/base/clock.h"
#include "common/base/random.h"
#include "peer/core/connection_numbers.h"
#include "peer/core/effects.h"
#include "peer/core/known_contacts.h"
#include "peer/core/link_changes.h"
#include "peer/core/link_reports.h"
#include "peer/core/member_count.h"
#include "peer/core/metaserver_session.h"
#include "peer/core/parent_search.h"
#include "peer/core/tree.h"

namespace espalier::peer {

class Membership {
 public:
  struct Options {
    std::vector<Endpoint> metaservers;  // of one network, at least one; tried in this order
    Endpoint listen;     // host empty: where the metaserver is reached from; port 0: assigned
    Endpoint advertise;  // host empty: as the metaserver sees it
    // Its requests to join count from there on: above those of the processes before it that had
    // its key, for example the seconds of the wall clock.
    std::uint32_t generation = 0;
  };

  // `random` and `budget` are borrowed. `random` spreads the retries of many peers.
  Membership(Options options, Random& random, Budget& budget, TimePoint now);
  Membership(const Membership&) = delete;
  Membership& operator=(const Membership&) = delete;

  // Opens the connection to a metaserver; ends in greeted(), or, once each address that was given
  // has failed, in a notice `metaserverLost`.
  void connect(TimePoint now, Effects& fx);
  bool greeted() const { return session_.greeted(); }
  const InstanceKey& key() const { return key_; }  // that join() was given
  // Asks to be taken in. Ends in a notice: joined, wordRefused (join again), waiting, or refused.
  void join(const PeerId& id, const InstanceKey& key, const std::string& word, TimePoint now,
            Effects& fx);
  // Sends a request (topology, members) to the metaserver, and returns its number; none while the
  // metaserver is out of reach.
  std::optional<std::uint64_t> ask(wire::RegistryRequest request, TimePoint now, Effects& fx);
  // Sends what is not answered by its number, at roomsHome().
  void tellHome(wire::RegistryRequest request, Effects& fx) {
    session_.send(std::move(request), fx);
  }
  // Says goodbye; the shell closes what is open once all has been sent.
  void leave(TimePoint now, Effects& fx);

  // --- events of the shell ---
  // A connection that was dialled here is open, from `localHost`. `network`: that a metaserver has
  // told with its Welcome; zero: none.
  void opened(ConnectionId connection, const std::string& localHost, TimePoint now, Effects& fx,
              const wire::NetworkId& network = {});
  // A connection could not be opened, or what answers does not speak as it should (`protocol`).
  void failed(ConnectionId connection, const Error& error, TimePoint now, Effects& fx);
  // A connection ended that this peer did not ask to close.
  void closed(ConnectionId connection, TimePoint now, Effects& fx);
  void listening(const Endpoint& at, TimePoint now, Effects& fx);
  // `unavailable`: another port may do.
  void listenFailed(const Error& error, TimePoint now, Effects& fx);
  // Returns the number of the request that it answers, if it answers one.
  std::optional<std::uint64_t> received(ConnectionId connection, const wire::RegistryReply& reply,
                                        TimePoint now, Effects& fx);
  // `host`: the other end of a connection that was accepted here.
  void received(ConnectionId connection, const wire::LinkMessage& message, TimePoint now,
                Effects& fx, std::string_view host = {});
  void tick(TimePoint now, Effects& fx);
  TimePoint deadline() const;

  // Since the last call.
  bool hasLinkChanges() const { return !linkChanges_.empty(); }
  LinkChanges takeLinkChanges() { return std::exchange(linkChanges_, {}); }

  // Null until this peer listens under the port that it was given.
  const Tree* tree() const { return tree_ ? &*tree_ : nullptr; }
  const ParentSearch* search() const { return search_ ? &*search_ : nullptr; }
  const MetaserverSession& session() const { return session_; }
  bool joined() const { return session_.joined(); }
  // The id that this peer has in the network, or asks for.
  const PeerId& id() const { return id_; }
  // Contacts at first hand, then hearsay; of each the most recent first.
  std::vector<wire::Contact> known() const;
  // How many members the network has, as far as this peer knows.
  std::uint64_t members() const;
  // The same for a search, before the metaserver is asked. Once this peer listens.
  MemberCount countMembers() const;
  bool owns(ConnectionId connection) const;
  // Of all connections that this peer dials.
  ConnectionNumbers& numbers() { return numbers_; }

 private:
  wire::Join joinRequest();
  void sessionEnded(const Error& why, TimePoint now, Effects& fx);
  void closeSession(std::string_view why, TimePoint now, Effects& fx);
  void lost(ConnectionId connection, const Error& why, TimePoint now, Effects& fx);
  void admitted(const wire::Admitted& admitted, TimePoint now, Effects& fx);
  void readmitted(const wire::Admitted& admitted, bool sessionIsNew, TimePoint now, Effects& fx);
  void referred(const wire::Referral& referral, TimePoint now, Effects& fx);
  void redirected(ConnectionId connection, const wire::Redirect& redirect, TimePoint now,
                  Effects& fx);
  void movedThere(ConnectionId connection, const wire::RegistryReply& reply, TimePoint now,
                  Effects& fx);
  void wordRefused(const wire::WordRefused& refused, TimePoint now, Effects& fx);
  void startAnew(const wire::Admitted& admitted, TimePoint now, Effects& fx);
  void takeOtherId(TimePoint now, Effects& fx);
  void refusedByMetaserver(const wire::Failure& failure, TimePoint now, Effects& fx);

  void strangersTold(const wire::Strangers& strangers, TimePoint now, Effects& fx);
  void tellLinks(const LinkChanges& changes, Effects& fx);
  void afterStep(TimePoint now, Effects& fx);
  void observe(TimePoint now);

  const Options options_;
  Random& random_;
  Budget& budget_;
  ConnectionNumbers numbers_;
  MetaserverSession session_;
  LinkReports reports_;
  TimePoint seen_;  // the last event
  bool left_ = false;

  PeerId wanted_;             // by the user
  PeerId id_;                 // the same, or with a number behind it
  unsigned number_ = 1;       // behind id_; 1: none
  std::uint32_t generation_;  // of the last request to join
  InstanceKey key_;
  std::string word_;
  std::optional<wire::Admitted> admitted_;  // the last one that gave this peer its order
  bool refusalTold_ = false;                // since it was admitted last

  // All three from when this peer listens. startAnew() replaces the tree where it stands: the
  // search refers to it.
  std::optional<Tree> tree_;
  std::optional<KnownContacts> contacts_;
  std::optional<ParentSearch> search_;
  LinkChanges linkChanges_;
};

}  // namespace espalier::peer
