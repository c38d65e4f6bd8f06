// The metaservers of a cluster without sockets, on a virtual clock: the real Coordinator in each,
// and in place of its shell what a shell does: dials whom it knows every second, introduces both
// ends, writes what must be durable before anything else, and the state file behind.
//
//   connections   Ordered, with delays. What meets a cut waits until the cut ends, as TCP sends it
//                 again. A cut is from one metaserver to another one, so it may be one-way.
//   processes     They are killed (their connections end, or silently, like a machine), stand
//                 still, and start again from what is on their disk. A kill may come between any
//                 two of the things that one step does.
//   clocks        Each runs at a rate of its own; the wall clock of a start is wrong as told.
//
// Checked after each step:
//
//   - One metaserver decides in an epoch, which is durable before any message of that epoch. What
//     a metaserver has is never of an older epoch than before, in one run of its process.
//   - A version of the directory is the same wherever it is, and nobody has one that its source
//     never had: a copy is a prefix of its source. The reader's copy is the directory.
//   - No newcomer is told that it is admitted before another metaserver has that, if one follows.
//   - No order of joining is given twice in the whole run, to another key or, in one epoch, to
//     another newcomer.
//   - A member has one home in each generation, as far as peers count them.
//   - Who redirects a member does not end its session at once.
//   - Who hands over hands over what it has decided, and stops deciding when the other one has all
//     its members.
//   - With etcd: two are never the master at one moment; no older epoch writes after a newer one's
//     first write; who is told of its admission has its id, port and order in etcd.
// Each some steps, because they cost O(members): the invariants of the core; every member's home is
// a metaserver that the decider reaches, or it is away, and not for long.
//
// One class in five source files: cluster_network.cpp (processes, steps),
// cluster_network_lines.cpp (connections), cluster_network_etcd.cpp, cluster_network_rooms.cpp (the
// disk of rooms) and cluster_network_checks.cpp.
//
// The caller owns time and peers: Outside. Used by unit tests and by the simulation.
// Single-threaded; repeats exactly for a seed.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/budget.h"
#include "common/base/random.h"
#include "metaserver/core/cluster/coordinator.h"
#include "metaserver/core/cluster/mastership.h"
#include "metaserver/core/registry_copy.h"
#include "tests/support/etcd_model.h"
#include "tests/support/room_store.h"

namespace espalier::test {

class ClusterNetwork {
 public:
  using Coordinator = metaserver::cluster::Coordinator;
  using Effects = metaserver::cluster::CoordinatorEffects;

  // What a process of a metaserver does beyond the cluster. Calls may not enter this class again.
  class Outside {
   public:
    virtual ~Outside() = default;
    virtual TimePoint now() const = 0;
    virtual void at(TimePoint when, std::function<void()> action) = 0;
    virtual void toPeer(std::size_t server, ConnectionId connection,
                        const wire::RegistryReply& reply) = 0;
    virtual void closePeer(std::size_t server, ConnectionId connection) = 0;
    // False: the peer has ended it, so it is told nothing there.
    virtual bool isRead(std::size_t, ConnectionId) const { return true; }
    virtual bool listens(const Endpoint& endpoint) const = 0;
    // Of who counts sessions.
    virtual void begin(std::size_t, wire::Join&) {}
    virtual void sessionEvent(std::size_t, const metaserver::session::Event&) {}
    // The process has ended, and so have its connections.
    virtual void ended(std::size_t server) = 0;
    virtual void log(const std::string& line) = 0;
    virtual bool isLogged() const { return true; }  // false: log() does nothing
    virtual void fail(std::string what) = 0;
  };
  struct Settings {
    metaserver::cluster::ElectionRule rule = metaserver::cluster::ElectionRule::oldest;
    unsigned maxLinks = 2;
    topo::Rule placement = topo::Rule::shallowest;
    Duration leastDelay = std::chrono::microseconds(100);
    Duration mostDelay = std::chrono::milliseconds(5);
    double clockError = 0;  // of rates: 0.1 is 10 %
    bool isByEtcd = false;  // a model of etcd, which works all the time, says who decides
    std::uint32_t chatOpensAt = 0;
  };
  struct Disk {
    metaserver::cluster::Durable durable;
    // The state file.
    wire::NetworkId network;
    JoinOrder nextOrder{1};
    std::vector<metaserver::Remembered> members;
    std::set<std::size_t> known;  // metaservers that were seen
    bool operator==(const Disk&) const = default;
  };

  ClusterNetwork(Outside& outside, Settings settings, std::uint64_t seed);
  ~ClusterNetwork();
  ClusterNetwork(const ClusterNetwork&) = delete;
  ClusterNetwork& operator=(const ClusterNetwork&) = delete;

  // --- processes
  // Not started. `named`: the metaservers that it is told of; itself is skipped.
  std::size_t add(std::set<std::size_t> named, bool isCluster = true);
  void start(std::size_t i, std::chrono::milliseconds wallClockError = {});
  void kill(std::size_t i, bool silently = false);
  // Within its next step, between two of the things that it does.
  void killSoon(std::size_t i);
  void spareAll();  // who was to be killed soon is not
  void stall(std::size_t i, Duration time);
  void cut(std::size_t from, std::size_t to) { cuts_.insert({from, to}); }
  void cutBoth(std::size_t a, std::size_t b);
  void heal(std::size_t from, std::size_t to);
  void healAll();
  void breakOne();  // one connection between metaservers ends
  // Of its requests to etcd some are answered late, others are carried out late or never.
  void cutEtcd(std::size_t i);
  void healEtcd();
  // As a user's `link`.
  void link(std::size_t from, std::size_t to);
  Result<void> appoint(std::size_t at, std::size_t whom);
  void drain(std::size_t i);
  // As a user's `forget`.
  std::size_t forget(std::size_t at, std::size_t whom);
  // Listens at another address; the one before answers for a while. A start is at the first one.
  void move(std::size_t i);
  void moveBack(std::size_t i);
  // The clock that it measures time with goes on later, as after its machine was suspended.
  void jumpClock(std::size_t i, Duration by);

  // --- peers; nothing happens if the process does not run
  void peerOpened(std::size_t i, ConnectionId connection);
  void peerReceived(std::size_t i, ConnectionId connection, const wire::RegistryRequest& request);
  void peerClosed(std::size_t i, ConnectionId connection);

  // --- what there is
  std::size_t size() const { return servers_.size(); }
  bool runs(std::size_t i) const { return servers_[i].core != nullptr; }
  bool isStalled(std::size_t i) const { return outside_.now() < servers_[i].stalledUntil; }
  unsigned run(std::size_t i) const { return servers_[i].run; }
  const Coordinator& core(std::size_t i) const { return *servers_[i].core; }
  const Disk& disk(std::size_t i) const { return servers_[i].disk; }
  const RoomStore& roomsOf(std::size_t i) const { return servers_[i].rooms; }  // synced
  ServerNumber numberOf(std::size_t i) const { return servers_[i].number; }
  // When one has begun with the members of its state file, which may be old.
  TimePoint begunByFileAt() const { return begunByFileAt_; }
  // Whether etcd has a key of that part ("ids/s1").
  bool isInEtcd(const std::string& part) const;
  Endpoint addressOf(std::size_t i) const { return servers_[i].address; }
  std::optional<std::size_t> at(const Endpoint& address) const;
  bool isCut(std::size_t from, std::size_t to) const { return cuts_.contains({from, to}); }
  // The one that all that run call the master. Empty: there is none, or they differ.
  std::optional<std::size_t> master() const;
  // What is wrong with the cluster at rest: one master of two or more, none of one; equal
  // directories. The metaservers that run are one cluster.
  std::optional<std::string> judge() const;
  // What each metaserver thinks, for a trace.
  std::string describe() const;

 private:
  struct Fin {};
  using Message = std::variant<wire::Introduction, wire::ClusterFrame, Fin>;
  // A connection. Side 0 has dialled.
  struct Line {
    std::size_t server[2];
    unsigned run[2] = {0, 0};
    ConnectionId id[2]{};
    bool open[2] = {true, true};
    bool accepted = false;
    bool introduced[2] = {false, false};
    std::uint64_t dial = 0;
    TimePoint arrival[2]{};
  };
  using LinePtr = std::shared_ptr<Line>;
  struct End {
    LinePtr line;
    int side = 0;
  };
  struct Held {
    LinePtr line;
    int side = 0;
    Message message;
  };
  // The members of who decides.
  struct Side {
    Epoch epoch;
    std::vector<metaserver::MemberRow> rows;
  };
  struct Server {
    std::string name;
    ServerNumber number{};
    std::set<std::size_t> named;
    bool isCluster = true;
    Disk disk;
    double rate = 1;
    Duration offset{};
    Endpoint address;
    Endpoint addressBefore;  // answers, too, until then
    TimePoint beforeUntil{};
    std::size_t moves = 0;

    RoomStore rooms;     // synced
    RoomStore roomsNow;  // with what is not
    TimePoint roomsSyncedAt{};

    unsigned run = 0;
    std::unique_ptr<Random> random;
    std::unique_ptr<Budget> budget;
    std::unique_ptr<Coordinator> core;  // null: it does not run
    bool machineRuns = false;
    bool diesSoon = false;
    TimePoint stalledUntil{};
    std::deque<std::function<void()>> inbox;  // arrived while it stood still
    TimePoint tickAt = kNever;
    std::map<ConnectionId, End> lines;
    std::set<std::size_t> dialling;
    std::set<std::size_t> unanswered;  // of the named ones
    std::uint64_t dials = 0;
    std::uint64_t ids = 0;
    metaserver::RegistryCopy copy;  // of the reader
    bool isCopyChecked = true;
    bool isOld = false;         // the state file
    bool isUnpromised = false;  // what it has decided in this step
    // For the checks.
    std::string standing;
    std::uint64_t steps = 0;
    Epoch haveEpoch;
    std::optional<TimePoint> homesWrongSince;  // a member's home is none that it reaches
    std::map<JoinOrder, TimePoint> awaySince;  // while it decides
    // What it was handed and has not taken over yet, by who handed it over; and what it decided
    // itself meanwhile.
    std::map<std::size_t, Side> handed;
    std::optional<Side> own;
  };

  static Endpoint firstAddressOf(std::size_t i);
  static std::string textOf(const Epoch& epoch);
  void moveTo(std::size_t i, const Endpoint& address);
  TimePoint local(const Server& server, TimePoint now) const;
  TimePoint global(const Server& server, TimePoint local) const;
  TimePoint localNow(const Server& server) const { return local(server, outside_.now()); }
  void log(const Server& server, const std::string& text);
  std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
  bool chance(double probability) {
    return static_cast<double>(below(10'000)) < 10'000 * probability;
  }
  Duration within(Duration least, Duration most) { return within(random_, least, most); }
  static Duration within(Random& random, Duration least, Duration most);

  void whenAwake(std::size_t i, std::function<void()> action);
  void step(std::size_t i, const std::function<void(Coordinator&, TimePoint, Effects&)>& event);
  void carryOut(std::size_t i, Effects& fx);
  void carryOutRooms(std::size_t i, metaserver::rooms::RoomsEffects& fx);
  void sendFrame(std::size_t i, Effects::ToServer& one);
  void probe(std::size_t i, const metaserver::Probe& probe);
  void writeState(Server& server);
  void scheduleTick(std::size_t i);
  void tick(std::size_t i);
  void catchUp(Server& server);

  void check(std::size_t i);
  void checkThoroughly(Server& server);
  void checkHomes(Server& server);
  void checkRedirects(const Server& server, const Effects& fx);
  void checkHandover(std::size_t from, ServerNumber heir, const wire::Handover& handover);
  void noteOwnSide(Server& server) const;
  void checkOwnSide(std::size_t i);
  void checkSide(const Server& server, const Side& side, const std::string& of);
  void logStanding(Server& server);
  void checkMessage(std::size_t i, const wire::ClusterMessage& message);
  // `isSource`: it may have been the first one that had this version.
  void checkVersion(const wire::DirectorySummary& summary, std::size_t count, const std::string& of,
                    bool isSource);
  void checkRow(const wire::NetworkId& network, const metaserver::MemberRow& row);
  void checkAdmitted(std::size_t i, ConnectionId connection, const wire::Admitted& admitted);

  // --- with etcd (cluster_network_etcd.cpp)
  struct Etcd;
  using Mastership = metaserver::cluster::Mastership;
  using EtcdStep = std::function<void(Mastership&, TimePoint, metaserver::cluster::EtcdEffects&)>;
  void startEtcd(std::size_t i);
  void endEtcd(std::size_t i);
  void stepEtcd(std::size_t i, const EtcdStep& event);
  void scheduleEtcdTick(std::size_t i);
  void happened(std::size_t i, const metaserver::cluster::MastershipEvent& event);
  void readEtcd(std::size_t i, const std::string& after);
  void pageRead(std::size_t i, const metaserver::cluster::PageRead& read);
  void handOverByEtcd(std::size_t i, const std::optional<ServerName>& heir);
  void promiseByEtcd(std::size_t i, const Effects& fx);
  void tellEtcd(std::size_t i);
  using EtcdAnswer = decltype(metaserver::cluster::etcd::Answer::what);
  void requestOfEtcd(std::size_t i, const metaserver::cluster::etcd::Request& request);
  void answerOfEtcd(std::size_t i, unsigned run, metaserver::cluster::etcd::Answer answer,
                    Duration delay);
  EtcdAnswer applied(const metaserver::cluster::etcd::Request& request,
                     const std::optional<Epoch>& writer);
  void expireAtEtcd();
  void tellWatches();
  void checkMasters();
  void checkWritten(const metaserver::cluster::etcd::Txn& txn, const std::optional<Epoch>& writer);
  void checkPromised(const wire::Admitted& admitted, const InstanceKey& key);

  void dialAll(std::size_t i, unsigned run);
  void dial(std::size_t from, std::size_t to);
  void answered(std::size_t i, std::size_t named);
  void send(const LinePtr& line, int side, Message message);
  void arrive(const LinePtr& line, int side, Message message, TimePoint time);
  void handle(const LinePtr& line, int side, Message& message);
  void introduced(const LinePtr& line, int side, const wire::Introduction& introduction);
  void endLine(const LinePtr& line, int side);

  Outside& outside_;
  const Settings settings_;
  Random random_;
  Random ofRooms_;  // so that rooms change nothing else of a seed
  std::vector<Server> servers_;
  std::set<std::pair<std::size_t, std::size_t>> cuts_;
  std::map<std::pair<std::size_t, std::size_t>, std::vector<Held>> held_;
  std::unique_ptr<Etcd> etcd_;
  TimePoint begunByFileAt_ = TimePoint::min();

  // What was seen in the whole run.
  std::map<Epoch, std::pair<std::size_t, unsigned>> deciders_;  // server and run
  struct Version {
    std::uint64_t count;
    wire::DirectoryDigest digest;
  };
  std::map<std::pair<Epoch, std::uint64_t>, Version> versions_;
  // In which change of an epoch a member was published; and which one another metaserver has.
  std::map<std::pair<Epoch, JoinOrder>, std::uint64_t> published_;
  std::map<Epoch, std::uint64_t> acknowledged_;
  using Given = std::pair<wire::NetworkId, JoinOrder>;
  std::map<Given, InstanceKey> owners_;
  using Stay = std::tuple<wire::NetworkId, JoinOrder, std::uint32_t>;
  std::map<Stay, ServerNumber> homes_;  // of a generation of that member
  struct Told {
    std::pair<std::size_t, unsigned> by;  // server and run
    ConnectionId to;
    InstanceKey key;
    Epoch epoch;
  };
  std::map<Given, Told> told_;
  std::set<InstanceKey> quitters_;
  std::set<std::pair<std::size_t, Epoch>> taken_;  // handovers that were answered
  std::map<std::pair<std::size_t, ConnectionId>, wire::Join> joins_;
};

}  // namespace espalier::test
