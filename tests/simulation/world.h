// A whole network in one process, on a virtual clock: the real cores of the metaserver and of all
// peers, processes that die, stop and restart, and connections with delays and partitions. All
// random numbers come from one seed, so a run repeats exactly.
//
//   connections   A pair of ordered streams, like TCP: messages arrive in order, or the connection
//                 ends. Messages of different connections overtake each other.
//   partitions    Messages across a partition are held back until it heals: TCP retransmits them.
//   stopped       The kernel of a stopped process still accepts connections. The process reads all
//                 messages when it goes on.
//   cluster       Several metaservers, if the settings say so. Peers know some of them, and are
//                 told the others.
//   metaserver    It starts at one of several ports, if the settings say so. To the peers that is
//                 another metaserver of the same network.
//   queues        A link is congested while its other end has not read more than
//                 Settings::queuedMessages. Then the executor (peer/core/executor.h) pauses the
//                 other links of that peer, until half of these messages have been read.
//   pushes        Chunks travel over such connections, too, at the upload rate of a host (desk.h).
//
// Invariants of the cores are checked after each step: checkStep(), and push_witness.h. failure()
// returns the first one that was broken; then runUntil() stops.
//
// One class in six source files, because each core acts on all others through the event queue:
// world.cpp (clock, processes, queries), world_steps.cpp (steps of the cores, checks),
// world_connections.cpp (messages), world_host.cpp (effects of a peer), world_cluster.cpp (several
// metaservers), world_liars.cpp (hostile strangers). liar.h has the lying members. world_parts.h
// has its nested classes. Used by the schedules. Single-threaded.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <set>
#include <string>
#include <vector>

#include "common/base/budget.h"
#include "metaserver/core/registry.h"
#include "metaserver/core/registry_copy.h"
#include "peer/core/pattern.h"
#include "peer/core/peer.h"
#include "tests/simulation/desk.h"
#include "tests/simulation/push_witness.h"
#include "tests/support/cluster_network.h"

namespace espalier::simulation {

inline constexpr NodeId kMetaserver = 0;

struct Settings {
  unsigned maxLinks = 2;
  topo::Rule placement = topo::Rule::shallowest;
  std::chrono::microseconds leastDelay{100};
  std::chrono::microseconds mostDelay{5000};
  double uploadBytesPerSecond = 10e6;  // of each host
  std::size_t queuedMessages = 16;     // a link whose queue is longer is congested
  // Where the metaserver may start, at random. It tells its peers all of them; half of the peers
  // are told by their users, too.
  std::vector<std::uint16_t> metaserverPorts{5000};
  // Several metaservers in place of one: a cluster (tests/support/cluster_network.h) with so many.
  std::size_t metaservers = 0;
  test::ClusterNetwork::Settings cluster = {};
  // Also check at every step what costs O(peers): ledgers, ports, the metaserver's snapshot.
  bool watch = true;
};

class World {
 public:
  World(std::uint64_t seed, Settings settings);
  ~World();

  TimePoint now() const { return now_; }
  Random& random() { return random_; }
  std::uint64_t below(std::uint64_t bound) { return bound == 0 ? 0 : random_() % bound; }
  void at(TimePoint when, std::function<void()> action);
  void runUntil(TimePoint when);
  const std::optional<std::string>& failure() const { return failure_; }
  // How often a peer stopped reading its links because a queue was full.
  std::uint64_t congestions() const { return congestions_; }
  void trace(bool on) { trace_ = on; }

  // --- faults of processes and of the network ---
  NodeId startPeer(const std::string& id, Conduct conduct = {});
  void crash(NodeId node);
  void leave(NodeId node);
  void revive(NodeId node);  // a dead peer starts again, with its id and instance key
  void stop(NodeId node);    // as SIGSTOP
  void resume(NodeId node);
  void crashMetaserver();
  void restartMetaserver();
  // No message passes between `side` and the other nodes until heal().
  void partition(std::set<NodeId> side);
  void heal();
  // A stranger asks every parent for a slot, and claims the id of one of its children.
  void lieToParents();
  // Whether lying members lie (liar.h). They do from the beginning.
  void letLie(bool on) { lying_ = on; }
  bool hasLiars() const { return !kindsOfLies_.empty(); }  // there are or were some
  bool isHonest(NodeId node) const { return conduct(node).lies.empty(); }
  // Breaks a random connection, of a push or any other kind. Both ends are told.
  void sever();

  // --- what there is ---
  std::vector<NodeId> living() const;  // peers, stopped ones too
  std::vector<NodeId> awake() const;   // without the stopped ones
  bool stopped(NodeId node) const;
  bool metaserverUp() const;
  // Of the metaserver that decides; null: none does, or several do.
  const metaserver::Registry* registry() const;
  test::ClusterNetwork* cluster() const { return cluster_.get(); }
  // The metaserver of the cluster that a peer is connected to.
  std::optional<std::size_t> homeOf(NodeId node) const;
  const peer::Peer& peer(NodeId node) const;
  const std::string& id(NodeId node) const;  // what it is called now
  std::optional<NodeId> named(const std::string& id) const;
  // The parent, if both ends hold the link.
  std::optional<NodeId> parent(NodeId node) const;

  // Pushes a new file to all peers.
  PushId push(NodeId sender, std::uint64_t chunks);
  void cancel(const SentPush& push);
  const std::vector<SentPush>& pushes() const { return witness_.pushes(); }
  const PushWitness& witness() const { return witness_; }
  const Conduct& conduct(NodeId node) const;
  const Disk& disk(NodeId node) const;
  std::uint64_t life(NodeId node) const;

  // Searches from that peer for all files. Calls `ended` with the result.
  void find(NodeId node, std::function<void(const peer::SearchResult&)> ended);
  // Each peer shares one file, named after it.
  static std::string fileOf(const std::string& id) { return "file of " + id; }
  static constexpr const char* kUnasked = "authorized_keys";

 private:
  friend class Desk;
  friend class Liar;
  struct Node;
  struct Host;
  struct RegistryHost;
  struct ClusterHost;
  struct Pipe;
  struct Event {
    TimePoint at;
    std::uint64_t sequence;
    std::function<void()> action;
    bool operator<(const Event& other) const {
      return at != other.at ? at > other.at : sequence > other.sequence;
    }
  };
  using Payload =
      std::variant<wire::RegistryRequest, wire::RegistryReply, wire::LinkMessage, PushWord>;

  TimePoint arrival();
  void log(const std::string& line);
  void fail(std::string what);
  Node& node(NodeId id) { return *nodes_[id]; }

  void start(Node& node);
  // Runs the action at `when`, unless the process has died by then. If the process is stopped, the
  // action runs when it goes on.
  void later(Node& node, TimePoint when, std::function<void()> action);
  void step(Node& node, const std::function<void(peer::Effects&)>& event);
  void stepRegistry(const std::function<void(metaserver::Effects&)>& event);
  void carryOut(metaserver::Effects& fx);
  void scheduleTick(Node& node);
  void tryAgain(Node& node, bool startsAgain);
  bool moves() const { return settings_.metaserverPorts.size() > 1; }
  std::vector<Endpoint> metaservers() const;  // all addresses
  void scheduleRegistryTick();
  void matchLocally(Node& node, const peer::MatchJob& job);
  // An event at the core of a peer: event(core, now, effects).
  template <typename Happening>
  void stepPeer(NodeId number, const Happening& event);
  Duration chunkTime() const;

  ConnectionId dialPush(NodeId from, const Endpoint& to);
  // Of a liar, beside its core.
  ConnectionId dialLie(NodeId from, const Endpoint& to, wire::Purpose purpose);
  void dial(Node& from, const peer::Dial& dial, bool lie = false);
  void dialled(Node& from, ConnectionId connection, NodeId to, wire::Purpose purpose);
  void transmit(NodeId from, ConnectionId connection, Payload payload);
  void closeEnd(NodeId node, ConnectionId connection);
  void endPipes(NodeId node);
  void deliver(const std::shared_ptr<Pipe>& pipe, int toEnd, std::optional<Payload> payload);
  void scheduleArrival(const std::shared_ptr<Pipe>& pipe, int toEnd);
  void arrived(const std::shared_ptr<Pipe>& pipe, int toEnd);
  std::vector<std::pair<std::shared_ptr<Pipe>, int>> linksOf(NodeId node) const;
  std::size_t queuedFor(NodeId sender, ConnectionId connection) const;
  void wasRead(const std::shared_ptr<Pipe>& pipe, int byEnd);
  bool separated(NodeId a, NodeId b) const;
  void enqueue(NodeId to, std::function<void()> event);

  void startCluster();
  // A node that is no peer.
  bool isMetaserver(NodeId id) const {
    return id < std::max<std::size_t>(1, settings_.metaservers);
  }
  std::optional<NodeId> metaserverAt(const Endpoint& address) const;
  std::uint64_t lifeOf(NodeId metaserver) const;
  void arrivedAtCluster(NodeId metaserver, ConnectionId connection,
                        const std::optional<Payload>& payload);

  void lieToRegistry();
  std::vector<metaserver::Remembered> remembered();  // the content of the metaserver's state file
  void checkStep(Node& node);
  void checkRenamed(const Node& node);
  void checkPort(ConnectionId connection, const wire::Contact& admitted);

  Settings settings_;
  Random random_;
  TimePoint now_{std::chrono::seconds(1000)};
  std::uint64_t sequence_ = 0;
  std::uint64_t atOnce_ = 0;  // events since the clock moved
  std::priority_queue<Event> events_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::map<std::pair<NodeId, ConnectionId>, std::shared_ptr<Pipe>> pipes_;
  std::map<std::uint16_t, NodeId> listeners_;
  std::set<NodeId> side_;
  std::vector<std::function<void()>> heldBack_;  // by the partition
  std::uint64_t accepted_ = 0;
  std::uint64_t dialledPushes_ = 0;
  std::uint64_t dialledLies_ = 0;
  bool lying_ = true;
  std::uint64_t lies_ = 0;     // of strangers (world_liars.cpp)
  std::set<Lie> kindsOfLies_;  // of all members

  std::shared_ptr<ClusterHost> clusterHost_;       // only world_cluster.cpp knows the type
  std::unique_ptr<test::ClusterNetwork> cluster_;  // then there is no registry_

  std::unique_ptr<Budget> registryBudget_;
  std::unique_ptr<metaserver::Registry> registry_;
  metaserver::RegistryCopy registryCopy_;  // updated as by the metaserver's shell
  std::uint64_t registryLife_ = 0;
  std::uint16_t registryPort_ = 0;
  TimePoint registryTick_ = kNever;
  struct RegistryDisk {
    wire::NetworkId network;
    JoinOrder nextOrder{1};
    std::vector<metaserver::Remembered> members;
    bool isDurable = false;  // since the metaserver started
    bool isOld = false;      // what is to be written behind
  };
  RegistryDisk disk_;

  PushWitness witness_{*this};
  std::optional<std::string> failure_;
  std::uint64_t congestions_ = 0;
  bool trace_ = false;
};

}  // namespace espalier::simulation
