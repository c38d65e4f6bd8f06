// The registry: which peers are in the network, on which ports, and where each attaches to the
// tree. One call decides a join completely: whether the id is free, order of joining, port,
// referral, reserved slot.
//
// This class takes what arrives on connections, and passes it to
//
//   MemberDirectory   keys, connections, ids and orders; absent members
//   Ports             which ports are taken
//   WaitingJoiners    joiners that wait after a restart
//   WaitingRequests   requests of sessions that are over their budget
//   SeenTree          the links that are reported or reserved
//   Placement         referrals, reservations, the consequences of a death
//
// After a restart it waits for the absent members, at most limits::kRejoinWait. They come back with
// id, key, port, order and links. Newcomers wait until each of them has come back or its port has
// refused a connection. A metaserver without a state file does the same once a first peer returns.
//
//   awaiting absent members --each is back or released, or kRejoinWait is over--> open
//
// Several metaservers: the sessions of other homes are connections, too (session_ids.h). Their
// homes judge their silence. A member whose home died, or that comes from the directory of the
// master before, is away. It keeps its place in the tree, with its links, until its home resumes
// it, or it joins through another one with its id, key and order: neither changes the tree.
//
//   member --its home is lost--> away --resumed, or it returns--> member
//   of a replica --------------->  |  --limits::kAwayWait, or three heartbeats--> lost
//
// Invariants: checkInvariants(). Members are connected peers. A peer that was a member and may come
// back is an absent member (absent_members.h); the state file only says for which of them to wait.
//
// Budgets (common/base/budget.h): an address pays for joins, and for the members and absent members
// that came from it; a member pays for its requests, as does an address before it has joined. So
// a flood of requests waits at its own sender, and one address cannot take all slots. Requests of
// another metaserver's sessions are paid for there.
//
// What a member says counts for itself only: its links, once the other ends report them, too; the
// peers to which it could not attach, in its own referrals.
//
// Does no I/O: it takes events and the time, and appends to Effects. Not thread-safe. The shell
// (Server) keeps it in a Guarded (one mutex), and reads all members from a copy (registry_copy.h).
// A join costs O(log n); a death O(the subtrees that move); the rest O(links).
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/base/budget.h"
#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/wire/cluster_sessions.h"
#include "common/wire/registry.h"
#include "metaserver/core/effects.h"
#include "metaserver/core/heals.h"
#include "metaserver/core/heartbeats.h"
#include "metaserver/core/member_changes.h"
#include "metaserver/core/member_directory.h"
#include "metaserver/core/placement.h"
#include "metaserver/core/ports.h"
#include "metaserver/core/seen_tree.h"
#include "metaserver/core/waiting_joiners.h"
#include "metaserver/core/waiting_requests.h"
#include "topo/forest.h"
#include "topo/placement.h"

namespace espalier::metaserver {

class Registry {
 public:
  struct Options {
    std::uint16_t firstPort = 5001;
    unsigned maxLinks = 2;
    std::size_t membersMost = limits::kMembers;  // newcomers beyond are refused
    topo::Rule placement = topo::Rule::shallowest;
    std::string joinWord = "P2P";
    // From the state file:
    wire::NetworkId network;
    JoinOrder nextOrder{1};
    // Of this metaserver as the master; a single metaserver has none. The prefix of no order that
    // was given is above it (cluster/epoch.h).
    Epoch epoch;
    std::vector<Remembered> before;  // the members to wait for
    // Members that may still be running, though nobody has a connection to them: their ids and
    // ports are held for them.
    std::vector<Remembered> held;
    // Newcomers get orders from there on: those before it are not this metaserver's to give.
    JoinOrder ordersFrom{1};
    // Of a replica: members that were lost. The ids of those that are not free are held.
    std::vector<wire::AbsentRow> lost;
    // Of a replica: the members of the network whose master this becomes. They are away. By order,
    // each order and each id once.
    std::vector<MemberRow> away;
  };

  struct OwnSession {
    ConnectionId connection{};
    std::string host;
    bool isMember = false;
    // A member's, with order, endpoint and links; else what it has asked and was not answered.
    std::optional<wire::Join> join;
    bool isCounted = false;  // there was an Approached for it
  };

  // The network's id is durable before the first member is admitted: see Persist.
  // `budget` is borrowed.
  Registry(Options options, Budget& budget, TimePoint now, Effects& fx);
  Registry(const Registry&) = delete;  // its parts refer to each other
  Registry& operator=(const Registry&) = delete;

  // --- events ---
  // A connection of purpose `registry` is open; `host` is the peer's source address.
  void opened(ConnectionId connection, std::string host, TimePoint now);
  void received(ConnectionId connection, const wire::RegistryRequest& request, TimePoint now,
                Effects& fx);
  void closed(ConnectionId connection, TimePoint now, Effects& fx);
  // Another metaserver's session, that another registry decided for until now. The connection is
  // not open. Not paid for: nobody can ask for it but a metaserver of the cluster.
  void resumed(ConnectionId connection, const wire::SessionResumed& session, TimePoint now,
               Effects& fx);
  // Its home is dead or out of reach: its member is away.
  void homeLost(ConnectionId connection, TimePoint now, Effects& fx);
  // This process's own sessions, with what it takes to resume them as those of a home
  // (cluster/home_sessions.h). They end here: their members are away.
  std::vector<OwnSession> giveUpSessions(TimePoint now);
  // No peer is assigned a port of theirs. Limits::kMetaservers at most.
  void setMetaservers(std::vector<Endpoint> all) { ports_.setMetaservers(std::move(all)); }
  void setMembersMost(std::size_t most) { membersMost_ = most; }
  // Newcomers wait until then: another metaserver was linked, and may be the one that admits the
  // first member.
  void foundNotBefore(TimePoint at) { directory_.foundNotBefore(at); }
  // As Options::ordersFrom.
  void giveOrdersFrom(JoinOrder first) { directory_.giveOrdersFrom(first); }
  // That metaserver does not come back: the ids of the members that were lost there are free. How
  // many.
  std::size_t releaseHome(ServerNumber home) { return directory_.absent().releaseHome(home); }
  // The rooms of a member, unless a list of a higher revision is known, or it is no member. False:
  // nothing has changed.
  bool setRooms(const PeerId& member, std::uint64_t revision, const std::vector<RoomName>& rooms);
  // The answer to a Probe (effects.h).
  void probed(const PeerId& id, bool listening, TimePoint now, Effects& fx);
  void tick(TimePoint now, Effects& fx);
  TimePoint deadline() const;

  // --- queries ---
  unsigned maxLinks() const { return seen_.tree().maxLinks(); }
  const wire::NetworkId& network() const { return directory_.network(); }
  JoinOrder nextOrder() const { return directory_.nextOrder(); }
  // Rises, with an effect Persist, when the next order opens a prefix above it.
  const Epoch& epoch() const { return directory_.epoch(); }
  // Increases, with an effect Persist, whenever the content of topo.txt changes. Constant while
  // absent members are awaited, so that topo.txt stays unchanged.
  std::uint64_t version() const { return version_; }
  bool awaiting() const { return directory_.awaiting(); }
  std::size_t size() const { return seen_.tree().size(); }
  std::size_t awaitedCount() const { return directory_.absent().awaitedCount(); }
  // Includes absent members that are awaited: they are probably running, and answer searches.
  wire::Members members() const;
  bool isAway(const PeerId& id) const;
  // When the session of that member has begun; none: it is none.
  std::optional<std::chrono::milliseconds> sessionSince(const PeerId& id) const;
  // For a member that was lost and may still be running.
  bool isIdHeld(const PeerId& id) const { return directory_.absent().holder(id) != nullptr; }
  std::size_t reservedCount() const { return seen_.reservedCount(); }
  std::uint64_t refusedCount() const { return refused_; }
  std::uint64_t joinedCount() const { return joined_; }  // newcomers that were admitted
  std::uint64_t lostCount() const { return lost_; }      // members that are none any more
  const Heals& heals() const { return heals_; }
  // A page of the topology: members that joined after `after`, `mostBytes` of them at most.
  std::vector<wire::TopologyEntry> entries(JoinOrder after, std::size_t mostBytes,
                                           bool& more) const {
    return seen_.entries(after, mostBytes, more);
  }
  // The links that are reported or reserved.
  const topo::Forest& tree() const { return seen_.tree(); }

  // --- for the copy (registry_copy.h) ---
  // For one reader only, RegistryFollower: a call takes the changes away. At most `most` changes
  // since the last call; the first call begins with every member. After the
  // last page the copy equals this registry at that moment. O(most).
  enum class Rooms { with, without };  // whether the rows have the rooms of the members
  MemberChanges takeChanges(std::size_t most, Rooms rooms = Rooms::with);
  // Of the `most` members that were lost last, those whose ids are held: for the state file.
  // O(most log n).
  std::vector<Remembered> lostLately(std::size_t most) const {
    return directory_.absent().lostLately(most);
  }

  // The absent members, and what changes of them from then on: for the copies of other metaservers.
  std::vector<wire::AbsentRow> followAbsent() { return directory_.absent().follow(); }
  AbsentChanges takeAbsentChanges() { return directory_.absent().takeChanges(); }

  // All members, by order. O(n log n).
  std::vector<MemberRow> rows() const;

  // For tests and the simulation. O(n log n). The message says what is wrong.
  Result<void> checkInvariants() const;

 private:
  using Node = topo::NodeIndex;

  using MemberSession = AbsentMembers::Session;
  struct Session {
    std::string host;
    std::optional<Node> member;
    bool isCounted = false;  // there was an Approached
    bool isLost = false;     // and a LostApproach
  };
  enum class Refusal { other, idTaken, noRoom };
  struct Due {
    TimePoint at;
    Node node;
    std::uint64_t admission;
  };
  // A member since it became away; out of date once its record has another `heard`.
  struct Away {
    TimePoint at;
    Node node;
    std::uint64_t admission;
    TimePoint since;
  };

  void carryOut(ConnectionId connection, const wire::RegistryRequest& request, TimePoint now,
                Effects& fx);
  // `isKnown`: its home says that it is a member with that order.
  void join(ConnectionId connection, const wire::Join& join, TimePoint now, Effects& fx,
            bool isKnown = false);
  std::optional<std::string> whyIdIsTaken(ConnectionId connection, const wire::Join& join) const;
  // The membership of a peer under the id that it had before it was renamed.
  void forgetFormer(const wire::Join& join, TimePoint now, Effects& fx);
  void wait(ConnectionId connection, const wire::Join& join, TimePoint now, Effects& fx);
  void admit(ConnectionId connection, const wire::Join& join, bool returns,
             const MemberSession& goesOn, TimePoint now, Effects& fx);
  wire::Referral attach(Node node, const wire::Join& join, bool returns, TimePoint now);
  void endWaiting(TimePoint now, Effects& fx);
  void portTaken(Node node, std::uint16_t port, TimePoint now, Effects& fx);
  void refuse(ConnectionId connection, std::string why, Effects& fx, Refusal kind = Refusal::other);
  void lost(Node node, TimePoint now, Effects& fx);
  void remove(Node node, TimePoint now, Effects& fx);
  void tell(const std::vector<Placement::Told>& told, Effects& fx) const;
  void noteAttached(Node node, TimePoint now);
  // --- sessions, for sessions/sessions.h (registry_sessions.cpp)
  MemberSession sessionOf(const wire::Join& join, TimePoint now) const;
  void approached(Session& session, const wire::Join& join, Effects& fx);
  void lostApproach(Session& session, Effects& fx);
  void noteHere(const Session& session, Node node, const wire::Join& join, Effects& fx);
  void noteGone(Node node, Duration ago, Effects& fx);
  void noteEnded(Node node, TimePoint now, Effects& fx);
  void rate(Node node, const wire::Rate& rate, Effects& fx);
  // --- members that are silent or away (registry_away.cpp)
  void judgeSilence(TimePoint now, Effects& fx);
  void watchSilence(Node node, TimePoint now);
  void load(const std::vector<MemberRow>& rows, TimePoint now);
  void loadLost(const std::vector<wire::AbsentRow>& rows, TimePoint now);
  void becomeAway(Node node, TimePoint now);
  bool takePlaceOf(Node member, ConnectionId connection, const wire::Join& join, bool returns,
                   bool isKnown, TimePoint now, Effects& fx);
  bool takeOver(ConnectionId connection, const wire::Join& join, bool isKnown, Node node,
                TimePoint now, Effects& fx);
  void judgeAway(TimePoint now, Effects& fx);
  Result<void> checkAway(Node node) const;
  MemberRow row(Node node, Rooms rooms) const;
  std::chrono::milliseconds heartbeatInterval() const { return heartbeatIntervalFor(size()); }
  wire::Admitted admitted(Node node, wire::Referral referral) const;
  void changed(Effects& fx);
  void newVersion(Effects& fx);
  void observe(TimePoint now);

  Budget& budget_;
  const std::string joinWord_;
  std::size_t membersMost_;
  SeenTree seen_;
  Placement placement_;
  MemberDirectory directory_;
  Ports ports_;
  WaitingJoiners waiting_;
  WaitingRequests requests_;
  std::unordered_map<ConnectionId, Session> sessions_;
  std::deque<Due> silence_;        // one a member, if not tunnelled: when to check it next
  std::deque<Away> away_;          // one a member that is away; and some that are out of date
  TimePoint awaitUntil_ = kNever;  // kNever when no absent member is awaited
  TimePoint tickAt_;
  TimePoint judgeFrom_ =
      TimePoint::min();  // after a stall of this process silence counts from here
  TimePoint now_;        // of the latest event
  std::uint64_t version_ = 1;
  std::uint64_t refused_ = 0;
  std::uint64_t joined_ = 0;
  std::uint64_t lost_ = 0;
  Heals heals_;
};

}  // namespace espalier::metaserver
