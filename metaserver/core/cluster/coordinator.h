// A metaserver as one core: who decides for the network, and how that changes. It joins the mesh
// (who is there), the election (who should decide), the registry with its publication, or a replica
// of another's, and the sessions of this metaserver's own peers.
//
//   single --a metaserver links, or --cluster--> starting --> following <--> deciding
//
//   single     one metaserver, as if there were no clusters: peers' requests go to the registry
//   starting   newcomers wait until a metaserver with a network is linked, all named addresses have
//              answered, or limits::kClusterStart is over
//   following  another metaserver decides; this one has a replica
//   deciding   this one decides: as the master, or because it is alone
//
// One procedure changes who decides (coordinator_masters.cpp):
//
//   1. The elected metaserver has the directory of the one that decides, or decides for another
//      network side itself.
//   2. The old one, if it lives, freezes: it decides nothing any more, sends what it has published
//      last, and a Handover.
//   3. The elected one has all of that, says so, and takes the next epoch: durable, then told to
//      all. Its registry begins with the directory, or with the merged ones; all members are away.
//      Of several sides it takes one after the other: who is left out hands over again.
//   4. Each home begins a stream of sessions with it and resumes its members. The peers notice
//      nothing.
//   If the epoch does not come within limits::kHandover, the old one goes on, under a higher epoch.
//
// Whose epoch is the highest, decides: what comes with an older one is dropped. Each metaserver's
// epochs are its own, so no two ever decide under one epoch.
//
// What its own peers are told about their admission waits until another metaserver has it
// (Have), if there is one. Peers of other homes hear of it from their home, which has it before.
//
// Output is gathered, and leaves with tick(): deadline() is over then. So messages to metaservers
// come in batches when there is much to do.
//
// Behind a stall of its own (mesh.h) a metaserver decides nothing before it knows whether it was
// replaced: requests wait in their order. If it was, it stays so until one of the two has taken
// over. With etcd the lease says that.
//
// Messages to a metaserver without a link go by way of others (Route).
//
// Does no I/O. Not thread-safe: the shell keeps it in a Guarded (one mutex). Costs: as its parts.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <unordered_map>
#include <vector>

#include "common/base/budget.h"
#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/random.h"
#include "common/wire/cluster_message.h"
#include "metaserver/core/cluster/authority.h"
#include "metaserver/core/cluster/balance.h"
#include "metaserver/core/cluster/cluster_rooms.h"
#include "metaserver/core/cluster/coordinator_effects.h"
#include "metaserver/core/cluster/coordinator_parts.h"
#include "metaserver/core/cluster/directory_changes.h"
#include "metaserver/core/cluster/durable.h"
#include "metaserver/core/cluster/election.h"
#include "metaserver/core/cluster/founding.h"
#include "metaserver/core/cluster/handing_on.h"
#include "metaserver/core/cluster/home_sessions.h"
#include "metaserver/core/cluster/merge.h"
#include "metaserver/core/cluster/mesh.h"
#include "metaserver/core/cluster/replica.h"
#include "metaserver/core/effects.h"

namespace espalier::metaserver::cluster {

// Orders of joining are reserved so many at once; the next block when half are used.
inline constexpr std::uint64_t kOrdersReserved = 4096;

class Coordinator {
 public:
  using Options = CoordinatorOptions;
  using Opened = CoordinatorLink;
  using ServerRow = CoordinatorRow;
  using Moment = CoordinatorMoment;
  enum class Role { single, starting, following, deciding };
  struct Standing {
    Role role = Role::single;
    ServerName master;  // empty: there is none
    Endpoint masterAddress;
    bool isMaster = false;
    bool isAlone = false;
    bool isAppointed = false;
    Epoch epoch;
    // It decided until it stood still so long, and does not know yet whether another one does.
    std::optional<Duration> stall;
  };

  // `budget` and `random` are borrowed. `stored`: of rooms.db.
  Coordinator(Options options, Budget& budget, Random& random, TimePoint now,
              CoordinatorEffects& fx, const rooms::Stored& stored = {});

  // --- peers of this metaserver
  void peerOpened(ConnectionId connection, std::string host, TimePoint now, CoordinatorEffects& fx);
  void peerReceived(ConnectionId connection, const wire::RegistryRequest& request, TimePoint now,
                    CoordinatorEffects& fx);
  void peerClosed(ConnectionId connection, TimePoint now, CoordinatorEffects& fx);
  void probed(const PeerId& id, bool listening, TimePoint now, CoordinatorEffects& fx);

  // --- other metaservers
  // For the next connection, whoever dialled it; the shell adds nonce and number.
  wire::Introduction introduce();
  // Why the two cannot be in one cluster; code `configuration`.
  Result<void> agreesWith(const wire::Introduction& other) const;
  Result<void> agreesOnNetwork(const wire::ServerState& other) const;
  // Whether it has another name and number. If not: codes `refused` (the name) and `failed` (the
  // number), which also the Failure to it has.
  Result<void> differsFrom(const wire::ServerState& other) const;
  // Of two with one name or number this one has to take another.
  bool givesWayTo(const wire::ServerState& other) const;
  // Not while others are linked, and no number while it decides for a cluster: false.
  bool rename(const ServerName& name);
  bool renumber(ServerNumber number, CoordinatorEffects& fx);
  // Its network has admitted somebody.
  bool isFounded() const;
  // Both Introductions have passed, and agree.
  void linked(const Opened& opened, TimePoint now, CoordinatorEffects& fx);
  void linkClosed(ConnectionId connection, TimePoint now, CoordinatorEffects& fx);
  void linkReceived(ConnectionId connection, wire::ClusterFrame frame, TimePoint now,
                    CoordinatorEffects& fx);
  // A named address was dialled: it refuses, is silent, or is linked.
  void namedAnswered(TimePoint now, CoordinatorEffects& fx);

  // --- with etcd
  // This metaserver is the master, and has read what the one before has promised.
  void won(Epoch epoch, EtcdDirectory written, TimePoint now, CoordinatorEffects& fx);
  // Not any more. What was not kept is not told to anybody.
  void lost(TimePoint now, CoordinatorEffects& fx);
  // Who is the master there, also this one; none: nobody.
  void masterSeen(std::optional<ServerName> master, Epoch epoch, TimePoint now,
                  CoordinatorEffects& fx);
  // Why there is no master; empty: nothing is wrong.
  void setTrouble(const std::string& trouble);
  // This promise is written, as are those before it.
  void promised(std::uint64_t number, TimePoint now, CoordinatorEffects& fx);

  void tick(TimePoint now, CoordinatorEffects& fx);
  TimePoint deadline() const;

  // --- what users ask for
  // Makes that metaserver the master. Errors have the code `refused` or `failed`.
  Result<void> appoint(const ServerName& name, TimePoint now, CoordinatorEffects& fx);
  // First mastership goes, then the peers; isDrained is the end. An error: nobody takes them.
  // `force`: it ends nevertheless.
  Result<void> drain(bool force, TimePoint now, CoordinatorEffects& fx);
  // Another one should decide: what this one promises cannot be made durable.
  void setUnfit(bool isUnfit, TimePoint now, CoordinatorEffects& fx);
  // This process listens at another address now, too: its peers go there.
  // `spread`: in which time all are told.
  void moved(const Endpoint& address, TimePoint now, CoordinatorEffects& fx,
             Duration spread = limits::kMovingSpread);
  // Other metaservers may listen there later: no newcomer gets these ports. kExpectedServers count.
  void setExpected(std::vector<Endpoint> addresses);
  bool isMoving() const { return moving_.has_value(); }
  bool isDraining() const { return drains_; }
  // Peers that found every metaserver full; those of a single one are refused by its registry.
  std::uint64_t turnedAwayCount() const { return turnedAway_; }
  // `now`: also of a stall that no event has told of.
  Standing standing(std::optional<TimePoint> now = {}) const;
  std::vector<ServerRow> servers() const;
  // The master after the death of that metaserver; empty: there would be none.
  Result<ServerName> masterWithout(const ServerName& name) const;
  const Mesh& mesh() const { return mesh_; }
  std::size_t sessionCount() const;
  bool isSingle() const { return isSingle_; }

  // --- for sessions/sessions.h and its statistics (coordinator_sessions.cpp)
  // Whether the directory has a member with that order, whose session has begun then.
  bool hasMember(JoinOrder order, std::chrono::milliseconds since) const;
  void tell(ServerNumber to, const wire::ClusterMessage& message, CoordinatorEffects& fx);

  // --- rooms (coordinator_rooms.cpp); what follows leaves with tick()
  void setWall(std::chrono::milliseconds since1970, TimePoint now) {
    rooms_.setWall(since1970, now);
  }
  void roomsPersisted(std::uint64_t number, TimePoint now);
  void roomsApart(const std::vector<wire::RoomEntry>& entries, TimePoint now);
  void setRoomsFailing(bool isFailing, TimePoint now);
  wire::RoomList roomList(const wire::RoomListRequest& request) const;
  wire::RoomWho roomWho(const wire::RoomWhoRequest& request) const;
  const rooms::Rooms& rooms() const { return rooms_.core(); }

  // --- for the copy of files and commands; one reader
  MemberChanges takeChanges(std::size_t most);
  Moment moment() const;
  std::vector<Remembered> lostLately(std::size_t most) const;
  // The directory that this metaserver has. While single: see registry().
  const Directory& directory() const;
  // Its version.
  wire::DirectoryVersion have() const { return ownState().have; }
  // Null while another metaserver decides.
  const Registry* registry() const { return authority_ ? &authority_->registry : nullptr; }

  // That metaserver is dead and does not come back: who decides holds no id for the peers that it
  // has lost. How many ids are free now.
  std::size_t forget(const ServerName& name, TimePoint now);

  // For tests and the simulation. The message says what is wrong.
  bool isFollowed() const { return authority_ && !isSingle_ && isFollowedBySomebody(); }
  Result<void> checkInvariants() const;

 private:
  // --- the path of sessions
  void deliver(HomeSessions::Effects& home, TimePoint now, CoordinatorEffects& fx);
  void absorb(metaserver::Effects& own, CoordinatorEffects& fx);
  void route(RemoteSessions::Messages& messages, TimePoint now, HomeSessions::Effects& home);
  template <typename Event>
  void decide(Event&& event, TimePoint now, CoordinatorEffects& fx);
  void toPeers(metaserver::Effects& peers, TimePoint now, CoordinatorEffects& fx);
  void tellSessions(metaserver::Effects& from, TimePoint now, CoordinatorEffects& fx);
  void noteChange(const wire::Delta& delta, TimePoint now, CoordinatorEffects& fx);
  void noteReplaced(TimePoint now, CoordinatorEffects& fx);
  void releaseHeld(CoordinatorEffects& fx);
  void releaseHeldOf(ConnectionId connection, CoordinatorEffects& fx);
  void dropHeldOf(ConnectionId connection);
  void reserveOrders(CoordinatorEffects& fx);

  // --- rooms (coordinator_rooms.cpp)
  template <typename Event>
  void inRooms(Event&& event) {
    rooms_.step(std::forward<Event>(event));
    isDirty_ = true;
  }
  template <typename Event>
  void decideAlone(Event&& event, TimePoint now, CoordinatorEffects& fx) {
    metaserver::Effects own;
    event(authority_->registry, own);
    absorbAlone(own, now, fx);
  }
  void beginRoomsAlone(const Epoch& before, TimePoint now);
  void noteRoomPeers(const metaserver::Effects& from, TimePoint now);
  void absorbAlone(metaserver::Effects& own, TimePoint now, CoordinatorEffects& fx);
  void askRooms(metaserver::Effects& from, TimePoint now);
  void passRooms(TimePoint now);
  void tellRoomsOthers(const std::map<ServerNumber, std::chrono::milliseconds>& before,
                       TimePoint now);
  void considerRooms(const wire::ServerState* best, TimePoint now, CoordinatorEffects& fx);
  void absorbRooms(TimePoint now, CoordinatorEffects& fx);
  std::set<ServerNumber> otherNumbers() const;

  // --- handing peers on (coordinator_moves.cpp)
  std::uint32_t room() const;
  std::optional<wire::RegistryReply> turnAway(const std::string& host);
  std::optional<Endpoint> otherHome(std::string_view host);
  void startMoving(bool isToSelf, Duration spread, TimePoint now);
  void moveSome(TimePoint now, CoordinatorEffects& fx);

  // --- pauses behind a stall (coordinator_pause.cpp)
  void observe(TimePoint now);
  bool mayDecide() const { return authority_ && !authority_->isFrozen() && !isPaused_; }
  void considerPause(const View& view, TimePoint now);
  void endPause(TimePoint now, CoordinatorEffects& fx);
  void pauseRequests(std::vector<wire::SessionMessage>& messages);
  void dropPaused();

  // --- messages of metaservers (coordinator_links.cpp)
  void take(ServerNumber from, wire::ClusterMessage message, TimePoint now, CoordinatorEffects& fx);
  void takeDirectory(ServerNumber from, wire::DirectoryMessage message, TimePoint now,
                     CoordinatorEffects& fx);
  void takeRequests(ServerNumber from, wire::SessionRequests batch, TimePoint now,
                    CoordinatorEffects& fx);
  void takeAnswers(ServerNumber from, wire::SessionAnswers batch, TimePoint now,
                   CoordinatorEffects& fx);
  void pull(ServerNumber from, Replica::Effects& pulls, CoordinatorEffects& fx);
  void send(ServerNumber to, wire::ClusterMessage message, CoordinatorEffects& fx);
  void broadcast(const wire::ClusterMessage& message, CoordinatorEffects& fx);
  void absorb(MeshEffects& mesh, CoordinatorEffects& fx);

  // --- what is seen (coordinator_view.cpp); null: it is not there
  static const wire::ServerState* find(const std::vector<wire::ServerState>& states,
                                       ServerNumber number);

  // --- who decides (coordinator_masters.cpp, coordinator_handover.cpp)
  View look() const;
  bool isForeign(const wire::ServerState& state) const;
  std::vector<Mesh::Reached> others() const;
  void refuseForeign(TimePoint now, CoordinatorEffects& fx);
  bool decides(const wire::ServerState& state) const;
  const wire::ServerState* elected(const View& view,
                                   std::optional<ServerNumber> without = {}) const;
  void reconsider(TimePoint now, CoordinatorEffects& fx);
  void reconsiderStart(const View& view, TimePoint now, CoordinatorEffects& fx);
  void considerYielding(const View& view, const wire::ServerState* best, TimePoint now,
                        CoordinatorEffects& fx);
  void freeze(ServerNumber heir, TimePoint now, CoordinatorEffects& fx);
  void handOver(ServerNumber heir, TimePoint now, CoordinatorEffects& fx);
  void takeHandover(ServerNumber from, const wire::Handover& handover, TimePoint now,
                    CoordinatorEffects& fx);
  void progressTaking(TimePoint now, CoordinatorEffects& fx);
  void becomeDeciding(Registry::Options options, TimePoint now, CoordinatorEffects& fx);
  bool takeEpoch(CoordinatorEffects& fx);
  JoinOrder firstOrder(JoinOrder known) const;
  void adoptNetwork(const wire::NetworkId& network, CoordinatorEffects& fx);
  void takeOver(std::vector<Side> sides, TimePoint now, CoordinatorEffects& fx);
  void considerEpoch(const View& view, const wire::ServerState* best, TimePoint now,
                     CoordinatorEffects& fx);
  void goOn(TimePoint now, CoordinatorEffects& fx);
  void stopDeciding(CoordinatorEffects& fx);
  void follow(std::optional<ServerNumber> master, Epoch epoch, TimePoint now,
              CoordinatorEffects& fx);
  void endSingle(TimePoint now, CoordinatorEffects& fx);
  void noteHomes(TimePoint now, CoordinatorEffects& fx);
  void reservePorts();
  void noteAwaited(CoordinatorEffects& fx);
  void flush(TimePoint now, CoordinatorEffects& fx);
  void flushDecisions(bool keepsAlive, TimePoint now, CoordinatorEffects& fx);
  void promiseDecisions(Commit& commit, TimePoint now, CoordinatorEffects& fx);
  void tellCommits(CoordinatorEffects& fx);
  void reconsiderByEtcd(const View& view, TimePoint now, CoordinatorEffects& fx);
  void install(Registry::Options options, Epoch epoch, std::optional<PromisedMembers> promised,
               TimePoint now, CoordinatorEffects& fx);
  void tellOwn(TimePoint now, CoordinatorEffects& fx);
  void changedDirectory(CoordinatorEffects& fx);
  Mesh::Own ownState() const;
  bool isFollowedBySomebody() const;
  void considerFounding(TimePoint now);

  const Options options_;
  Budget& budget_;
  Random& random_;
  Mesh mesh_;
  HomeSessions home_;
  std::optional<Replica> replica_;  // while another metaserver decides, or nobody
  std::unique_ptr<Authority> authority_;
  HomeStream stream_;
  std::vector<wire::SessionMessage> requests_;  // to the master, not sent yet
  std::deque<Held> held_;
  std::unordered_map<ConnectionId, std::size_t> heldFor_;  // how many
  std::uint64_t acknowledged_ = 0;  // the highest sequence of this epoch that another one has
  DirectoryChanges changes_;
  std::uint64_t version_ = 1;
  ClusterRooms rooms_;
  Epoch roomsNeed_;          // they go on only in a later epoch
  TimePoint roomsNeedAt_{};  // not before

  bool isSingle_ = true;
  bool isStarting_ = false;
  TimePoint startUntil_{};
  std::size_t namedLeft_ = 0;
  bool hasMet_ = false;  // another one was linked
  Founding founding_;
  std::optional<ServerNumber> master_;  // whom this metaserver's sessions are passed to
  Epoch masterEpoch_;
  Epoch epoch_;  // the highest that was seen
  Durable durable_;
  JoinOrder ownNext_ = kNoOrder;  // in the block of the promise; none: behind its end
  wire::NetworkId network_;
  bool isFounded_ = false;
  bool hasFollowed_ = false;  // another one of that network
  bool isAppointed_ = false;
  bool drains_ = false;
  bool isUnfit_ = false;
  bool isPaused_ = false;
  Duration stall_{};                   // for which it is paused
  std::optional<TimePoint> pauseEnd_;  // while another one decides, too
  // What arrived in the pause, in its order; of other homes, and of this one.
  std::deque<std::pair<ServerNumber, wire::SessionRequests>> pausedBatches_;
  std::vector<wire::SessionMessage> pausedRequests_;
  bool isPauseOverfull_ = false;    // requests were lost
  std::vector<Endpoint> expected_;  // kExpectedServers at most
  std::optional<Moving> moving_;
  std::uint64_t handedOn_ = 0;
  std::map<ServerNumber, HandedOn> handedOnTo_;  // those that others() had at the latest one
  std::uint64_t turnedAway_ = 0;
  LeftSessions left_;
  // With etcd.
  std::optional<ServerName> etcdMaster_;
  Epoch etcdEpoch_;
  std::uint64_t promises_ = 0;   // numbers that were used
  std::uint64_t kept_ = 0;       // all up to this one are written
  std::uint64_t committed_ = 0;  // the sequence of the publication up to which all is told
  TimePoint sweepAt_{};
  bool namesNetwork_ = false;  // etcd does not know its id yet
  std::optional<Taking> taking_;
  // What was taken over: the epochs of masters that did not notice it yet.
  std::map<ServerNumber, Epoch> superseded_;
  TimePoint yieldFrom_{};                   // not before: an heir has failed
  std::optional<TimePoint> outdatedSince_;  // a higher epoch is known, whose decider is gone
  std::optional<TimePoint> vacantSince_;
  std::optional<std::tuple<std::uint64_t, bool, wire::NetworkId>> noted_;  // before noteHomes()
  TimePoint reconsiderAt_ = kNever;  // the next moment at which time alone changes something
  std::map<ServerNumber, std::chrono::milliseconds> reached_;  // each with its run
  std::map<ServerName, ServerNumber> numbers_;  // that names had; limits::kServerAddresses
  TimePoint keepAliveAt_;
  wire::DirectoryVersion told_;  // by the last Have
  bool isDirty_ = false;         // something is to be flushed
};

}  // namespace espalier::metaserver::cluster
