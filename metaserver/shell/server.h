// The metaserver's shell: owns the sockets and the coordinator, which has the registry, and answers
// the commands.
//
//   accepted --Hello for the registry--> session --ends, or is silent for kSessionSilence--> closed
//            --Hello for the cluster---> a link with another metaserver (server_links.h)
//            --another first frame, or silence--> closed with a Failure (handshake.h)
//
// One mutex (Guarded) guards the coordinator. The loop's thread passes events to it. The threads of
// commands and the files' writer read a copy, which takes changes page by page
// (registry_follower.h). So no thread holds the mutex for long, or while it waits for a socket or a
// disk.
//
// Thread rule: the loop's thread, except where a function says otherwise. Built by main().
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <string>

#include "common/base/budget.h"
#include "common/base/guarded.h"
#include "common/base/random.h"
#include "common/net/event_loop.h"
#include "common/net/handshake.h"
#include "common/net/listener.h"
#include "metaserver/core/cluster/coordinator.h"
#include "metaserver/core/executor.h"
#include "metaserver/etcd/engine.h"
#include "metaserver/shell/cluster_service.h"
#include "metaserver/shell/dial_back.h"
#include "metaserver/shell/files_writer.h"
#include "metaserver/shell/metaserver_service.h"
#include "metaserver/shell/options.h"
#include "metaserver/shell/prober.h"
#include "metaserver/shell/registry_follower.h"
#include "metaserver/shell/room_keeper.h"
#include "metaserver/shell/seen_servers.h"
#include "metaserver/shell/server_links.h"
#include "metaserver/shell/session_keeper.h"
#include "metaserver/storage/directory_database.h"
#include "metaserver/storage/promises.h"

namespace espalier::metaserver::shell {

// The names of the metaservers, by their numbers.
struct HomeNames {
  std::map<ServerNumber, ServerName> names;
  ServerName own;

  // A single metaserver tells no home.
  const ServerName& of(ServerNumber number) const {
    const auto found = names.find(number);
    return found == names.end() ? own : found->second;
  }
  bool operator==(const HomeNames&) const = default;
};

// What the master before has promised in etcd, while it is read.
struct EtcdRead {
  Epoch epoch;
  cluster::EtcdDirectory directory;
  std::size_t part = 0;                  // of those that are read one after the other
  cluster::etcd::Revision revision = 0;  // of the first page
};

class Server final : public MetaserverService,
                     public ClusterService,
                     private net::ListenerHandler,
                     private net::ConnectionHandler,
                     private ServerLinksOwner {
 public:
  // Binds the port and nothing else. Fails with `unavailable` if it is taken. Runs the loop while
  // it looks a name up, so that a signal can end that; then the error is `interrupted`.
  static Result<std::unique_ptr<Server>> bind(net::EventLoop& loop, MetaserverOptions options);
  ~Server() override;

  // Reads the state, empties topo.txt if the network is new, and starts to serve.
  Result<void> open();
  // Writes the state file again after a user has removed it. Any thread, after open().
  void restoreState();
  // Any thread.
  Endpoint address() const {
    return address_.with([](const Endpoint& address) { return address; });
  }
  // Chooses files by the port that was bound. Before open().
  void choosePort() { options_.choosePort(address().port); }
  const MetaserverOptions& options() const { return options_; }
  // Why it has stopped by itself. On the loop's thread, or after its end.
  const std::optional<Error>& whyEnded() const { return whyEnded_; }

  // --- MetaserverService; any thread
  Result<command::Topology> topology(std::stop_token stop) override;
  Result<std::string> topologyDot(std::stop_token stop) override;
  Result<command::KillPlan> whatIfKilled(const PeerId& id, std::stop_token stop) override;
  Result<Status> status() override;
  // For the page, which is the only reader: all members, and those that have changed since the last
  // call.
  using OnMembers =
      std::function<void(const RegistryCopy&, const MemberChanges&, const HomeNames&)>;
  void readMembers(const OnMembers& onMembers);
  void stop() override { loop_.stop(); }
  // --- ClusterService; any thread (server_cluster.cpp)
  Result<SelfInfo> self() override;
  Result<MasterInfo> master() override;
  Result<MasterInfo> appointMaster(const ServerName& name, std::stop_token stop) override;
  Result<std::vector<ServerInfo>> servers() override;
  Result<std::vector<LinkInfo>> links() override;
  Result<std::string> link(const Endpoint& other, std::stop_token stop) override;
  Result<std::string> drain(bool force, std::stop_token stop) override;
  Result<std::string> migrate(const Endpoint& to, std::stop_token stop) override;
  Result<ServerKillPlan> whatIfServerKilled(const ServerName& name) override;
  Result<std::string> forget(const ServerName& name) override;
  Result<wire::Statistics> statistics(std::size_t days, std::stop_token stop) override;
  Result<std::vector<wire::RoomRow>> rooms() override;
  Result<command::RoomHistory> history(const RoomName& room, std::size_t most,
                                       std::stop_token stop) override;  // (server_history.cpp)
  // Changes with what may be shown of rooms; O(1), for the page.
  std::uint64_t shownOfRooms();

 private:
  Server(net::EventLoop& loop, MetaserverOptions options);
  // 000's SERVER_PORT: takes links with other metaservers only.
  struct ServerPort final : net::ListenerHandler {
    explicit ServerPort(Server& server) : owner(server) {}
    std::optional<net::Admission> onAccept(const net::Address& remote) override;

    Server& owner;
    std::unique_ptr<net::Listener> listener;
  };
  Result<void> bindServerPort();
  // --- sessions: connections that have said Hello
  std::optional<net::Admission> onAccept(const net::Address& remote) override;
  void greeted(net::FramedConnection& connection, const wire::Hello& hello);
  void onFrame(net::FramedConnection& connection, std::string_view payload) override;
  void onClosed(net::FramedConnection& connection, const Error& why) override;

  // --- links with other metaservers
  wire::Introduction introduce() override;
  Result<void> agreesWith(const wire::Introduction& other) override;
  void linked(const cluster::Coordinator::Opened& opened) override;
  void linkClosed(ConnectionId connection) override;
  void linkReceived(ConnectionId connection, wire::ClusterFrame frame) override;
  bool isLinkedTo(ServerNumber number) override;
  void namedAnswered(const Endpoint& address, const Result<void>& answer) override;
  Result<void> differsFrom(const wire::ServerState& other) override;
  bool givesWayTo(const wire::ServerState& other) override;
  Result<void> giveWay(const Error& taken) override;
  Result<void> takeAnotherName(const Error& taken);
  Result<void> takeAnotherNumber(const Error& taken);
  void endIfRefused(const Error& why);
  ServerName name();
  // --- metaservers of the last day (server_names.cpp)
  Result<void> openSeen();
  void noteSeen();
  void keepPortsFree();

  // An event of the coordinator, and what follows from it. The loop's thread.
  template <typename Event>
  void step(Event&& event) {
    cluster::CoordinatorEffects fx;
    coordinator_.with([&](auto& coordinator) {
      event(*coordinator, Clock::now(), fx);
      deadline_ = coordinator->deadline();
    });
    carryOutOrLog(fx);
  }
  Result<std::string> linkAt(const Endpoint& other, std::stop_token stop);
  Result<std::string> linkAndWait(const Endpoint& other, std::stop_token stop);
  template <typename Value>
  Result<Value> onLoop(std::function<Result<Value>()> function);
  Result<void> carryOut(cluster::CoordinatorEffects& fx);
  void carryOutOrLog(cluster::CoordinatorEffects& fx);
  // --- etcd (server_etcd.cpp)
  Result<void> startEngine();
  void happened(const cluster::MastershipEvent& event);
  void readNext(std::string_view after);
  void pageRead(const cluster::PageRead& page);
  Result<void> openPromises();
  void openDatabase();
  void keep(const cluster::Durable& durable);
  void keepAgain();
  std::optional<storage::DirectoryBatch> directoryBatch(bool all);
  void tick(TimePoint now);
  Result<void> moveTo(const Endpoint& to);
  void endMove(TimePoint now);
  void moveOn(TimePoint now);
  cluster::Coordinator::Options coordinatorOptions(State& state);
  Result<std::string> readSecret() const;

  // --- rooms (server_rooms.cpp)
  Result<rooms::Stored> openRooms();
  void setRoomsFailing(bool isFailing);
  void tellUnfit();
  void reply(const std::vector<ConnectionId>& to, const wire::RoomReply& reply);
  struct HistoryPart;
  void readPart(const std::shared_ptr<HistoryPart>& part);
  std::string whyRoomsLack(const cluster::Coordinator& coordinator);

  // --- what the executor asks for (metaserver/core/executor.h)
  template <typename Host>
  friend Result<void> metaserver::carryOutEffects(Effects& fx, Host& host);
  Result<void> persist(const Persist& persist);
  void send(Send& send);
  void reading(const Reading& reading);
  void close(ConnectionId connection);
  void probe(Probe& probe);
  void notice(const Notice& notice);
  void sessionEvents(const std::vector<session::Event>& events) { keeper_->take(events); }
  void statisticsAsked(const StatisticsAsked& asked);

  // --- sessions and statistics (server_statistics.cpp)
  Result<void> openKeeper();
  void statisticsCame(ServerNumber from,
                      const std::variant<wire::StatisticsRequest, wire::Statistics>& message);

  Result<void> writeOpened();
  std::optional<FilesSnapshot> snapshot(std::uint64_t newerThan);
  ConnectionId newDialled() { return ConnectionId{++connections_ * 2 + 1}; }
  void probeMore();
  Result<State> readState() const;
  std::string statePath() const { return options_.state + "/network"; }
  std::string seenPath() const { return options_.state + "/metaservers"; }

  net::EventLoop& loop_;
  MetaserverOptions options_;  // constant after open()
  const TimePoint started_;
  const std::chrono::milliseconds startedAt_;  // since 1970
  net::HelloHandler greeter_;
  net::HelloHandler serverGreeter_;  // at the server port
  std::unique_ptr<net::Listener> listener_;
  std::unique_ptr<net::Listener> oldListener_;  // while this metaserver moves
  ServerPort serverPort_{*this};
  Guarded<Endpoint> address_;
  TimePoint closeOldAt_ = kNever;
  Endpoint firstAddress_;  // that it was started on
  TimePoint moveOnAt_ = kNever;
  TimePoint endAt_ = kNever;  // after a drain
  std::atomic<bool> isMoving_ = false;
  std::atomic<bool> isDrained_ = false;
  Random random_ = seededFromKernel();
  Guarded<std::unique_ptr<cluster::Coordinator>> coordinator_{};
  std::unique_ptr<SessionKeeper> keeper_;
  std::unique_ptr<RoomKeeper> rooms_;
  bool areRoomsFailing_ = false;
  Guarded<RegistryFollower> follower_{};  // locked before the coordinator, never after
  HomeNames pageHomes_;  // as readMembers() has told them; guarded as the follower is
  TimePoint deadline_ = kNever;
  std::uint64_t connections_ = 0;
  std::deque<Probe> toProbe_;
  State opened_;  // the content of the state file at the start
  Prober prober_;
  DialBack dialBack_;
  std::unique_ptr<ServerLinks> links_;  // none before open()
  Guarded<SeenServers> seen_{};
  std::vector<Endpoint> expected_;  // the coordinator's
  std::size_t namedLeft_ = 0;       // addresses of --cluster that have not answered
  bool isNamedLinked_ = false;
  std::optional<Error> refusal_;  // by one of them
  std::optional<Error> whyEnded_;
  unsigned namesTried_ = 0;
  unsigned numbersTried_ = 0;
  // Commands that wait for the first answer of an address.
  std::map<Endpoint, std::shared_ptr<std::promise<Result<void>>>> linkWaiters_;
  std::unique_ptr<FilesWriter> writer_;
  // With etcd: says whether this metaserver is the master.
  std::unique_ptr<etcd::Engine> engine_;
  std::optional<EtcdRead> reading_;  // what the master before has promised
  bool isEtcdNew_ = true;            // it has said nothing yet
  std::uint64_t pages_ = 0;          // numbers that were used
  Guarded<std::string> trouble_;     // why there is no master: "waiting for etcd at …"
  // Of a metaserver of a cluster, else none.
  std::unique_ptr<storage::PromisesDatabase> promises_;
  std::unique_ptr<storage::DirectoryDatabase> database_;
  std::vector<storage::DirectoryServer> written_;  // by the database's thread
  storage::Promises kept_;
  bool isKeeping_ = true;  // false: the latest promises could not be written
  TimePoint keepAgainAt_ = kNever;
};

}  // namespace espalier::metaserver::shell
