#include "metaserver/shell/server.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/file.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/random.h"
#include "common/base/text.h"
#include "common/command/options.h"
#include "common/wire/hello.h"
#include "common/wire/registry_codec.h"

namespace espalier::metaserver::shell {
namespace {

using namespace std::chrono_literals;

// For the answer to who has asked for it.
constexpr auto kDrainTold = 500ms;
// A session that has not joined sends heartbeats, too, at least every 30 s.
constexpr auto kSessionSilence = 100s;

// As many messages at once as in so many seconds.
constexpr double kBurstSeconds = limits::kRoomBurst / limits::kRoomRate;

// Runs the loop until the name is looked up, or the loop is stopped.
Result<net::Target> lookUpOn(net::EventLoop& loop, const Endpoint& endpoint) {
  const auto found = std::make_shared<std::optional<Result<net::Target>>>();
  const auto done = [&loop, posted = loop.posted(),
                     waiting = std::weak_ptr(found)](Result<net::Target> target) {
    posted->post([&loop, waiting, target = std::move(target)] {
      const auto result = waiting.lock();
      if (!result) return;  // stopped meanwhile
      *result = target;
      loop.stop();
    });
  };
  net::Resolver::ofSystem().start(endpoint, net::NamedBy::user, done);
  loop.run();
  if (!*found) return Error{ErrorCode::interrupted, "interrupted"};
  return **found;
}

}  // namespace

Server::Server(net::EventLoop& loop, MetaserverOptions options)
    : loop_(loop),
      options_(std::move(options)),
      started_(Clock::now()),
      startedAt_(std::chrono::duration_cast<std::chrono::milliseconds>(
          std::chrono::system_clock::now().time_since_epoch())),
      greeter_(
          {{wire::Purpose::registry, wire::Purpose::cluster}, "this is a metaserver, not a peer"},
          [this](net::FramedConnection& connection, const wire::Hello& hello) {
            greeted(connection, hello);
          }),
      serverGreeter_({{wire::Purpose::cluster}, "this port is for metaservers, not for peers"},
                     [this](net::FramedConnection& connection, const wire::Hello& hello) {
                       greeted(connection, hello);
                     }),
      prober_(
          loop, *loop.budget(), [this] { return newDialled(); }, limits::kProbes),
      dialBack_(loop, *loop.budget(), [this] { return newDialled(); }) {}

Server::~Server() {
  keeper_.reset();
  rooms_.reset();
  database_.reset();
  writer_.reset();  // writes once more, which needs the registry
}

Result<std::unique_ptr<Server>> Server::bind(net::EventLoop& loop, MetaserverOptions options) {
  std::unique_ptr<Server> server(new Server(loop, std::move(options)));
  auto target = lookUpOn(loop, server->options_.listen);
  if (!target) return target.error();
  auto listener = net::Listener::open(loop, *target, *server);
  if (!listener) return listener.error();
  server->listener_ = std::move(*listener);
  server->firstAddress_ = server->listener_->localAddress();
  server->address_.with([&](Endpoint& address) { address = server->firstAddress_; });
  if (auto bound = server->bindServerPort(); !bound) return bound.error();
  return server;
}

// On the host that the port of `listen` was bound on.
Result<void> Server::bindServerPort() {
  if (!options_.serverPort) return {};
  const Endpoint at{address().host, *options_.serverPort};
  auto listener = net::Listener::open(loop_, at, serverPort_);
  if (!listener) return listener.error();
  serverPort_.listener = *std::move(listener);
  return {};
}

Result<void> Server::open() {
  auto state = readState();
  if (!state) return state.error();
  opened_ = *state;
  auto secret = readSecret();
  if (!secret) return secret.error();
  links_ = std::make_unique<ServerLinks>(loop_, static_cast<ServerLinksOwner&>(*this),
                                         *std::move(secret), [this] { return newDialled(); });
  for (const Endpoint& other : options_.cluster) {
    const Endpoint ownServerPort{address().host, options_.serverPort.value_or(0)};
    if (other != address() && other != ownServerPort) links_->add(other, true);
  }
  namedLeft_ = links_->namedCount();
  if (auto opened = openSeen(); !opened) return opened;
  if (auto opened = openPromises(); !opened) return opened;
  if (auto opened = openKeeper(); !opened) return opened;
  auto stored = openRooms();
  if (!stored) return stored.error();
  cluster::CoordinatorEffects fx;
  coordinator_.with([&](auto& coordinator) {
    coordinator =
        std::make_unique<cluster::Coordinator>(coordinatorOptions(*state), *loop_.budget(), random_,
                                               Clock::now(), fx, std::exchange(*stored, {}));
    deadline_ = coordinator->deadline();
  });
  writer_ = std::make_unique<FilesWriter>(
      FilesWriter::Paths{options_.topoFile, options_.countFile, statePath(), seenPath()},
      [this](std::uint64_t newerThan) { return snapshot(newerThan); },
      [this](bool again) {
        return seen_.with([&](SeenServers& seen) { return seen.takeText(again); });
      });
  if (auto done = carryOut(fx); !done) return done;
  if (opened_.members.empty()) {
    for (const auto& [path, text] :
         {std::pair(options_.topoFile, ""), {options_.countFile, "0\n"}}) {
      if (const auto written = writeOutputFile(path, text, kPublic); !written) {
        log::error("{}", written.error().message);
      }
    }
  }
  if (auto started = writer_->start(); !started) return started;
  if (auto started = keeper_->start(); !started) return started;
  if (auto started = rooms_->start(); !started) return started;
  if (promises_) openDatabase();
  if (auto begun = startEngine(); !begun) return begun;
  const auto deadline = [this] {
    const TimePoint engine = engine_ ? engine_->deadline() : kNever;
    return std::min({engine, deadline_, links_->deadline(), closeOldAt_, endAt_, keepAgainAt_,
                     moveOnAt_, keeper_->deadline(), rooms_->deadline()});
  };
  if (options_.migrateEvery > 0ms) moveOnAt_ = Clock::now() + options_.migrateEvery;
  loop_.setTick(deadline, [this](TimePoint now) { tick(now); });
  return {};
}

cluster::Coordinator::Options Server::coordinatorOptions(State& state) {
  cluster::Coordinator::Options options;
  auto& registry = options.registry;
  registry.firstPort = options_.firstPort;
  registry.maxLinks = options_.maxLinks;
  registry.placement = *topo::parseRule(options_.placement);
  registry.joinWord = options_.joinWord;
  registry.network = state.network;
  registry.nextOrder = state.nextOrder;
  registry.before = std::move(state.members);
  auto& self = options.self;
  self.name = options_.name;
  self.number = kept_.number;
  options.durable = {kept_.epoch, kept_.reserved, kept_.network};
  self.address = address();
  self.serverPort = options_.serverPort.value_or(0);
  self.started = startedAt_;
  self.priority = options_.election.priority;
  self.version = command::programVersion();
  options.rule = options_.election.rule;
  options.balance = *cluster::parseBalance(options_.balance);
  options.peersMost = options_.entry || options_.instances > 0 ? 0 : options_.maxPeers;
  options.settings = {{"election", std::string(cluster::ruleName(options_.election.rule))},
                      {"links", std::to_string(options_.maxLinks)},
                      {"placement", options_.placement},
                      {"join word", options_.joinWord},
                      {"coordination", std::string(options_.coordination.engine())},
                      {"first port", std::to_string(options_.firstPort)}};
  if (!options_.coordination.isBuiltIn()) {
    options.settings.push_back({"prefix in etcd", options_.etcdPrefix});
  }
  options.chatOpensAt = options_.chatOpensAt;
  options.roomRate = {options_.roomRate, std::max(1.0, options_.roomRate * kBurstSeconds)};
  options.settings.push_back(
      {"number at which the chat opens", std::to_string(options_.chatOpensAt)});
  options.isCluster = links_->hasAddresses() || options_.hasFilesByPort() ||
                      options.peersMost == 0 || !options_.coordination.isBuiltIn();
  options.isByEtcd = !options_.coordination.isBuiltIn();
  options.etcdPrefix = options_.etcdPrefix;
  options.named = links_->namedCount();
  return options;
}

void Server::tick(TimePoint now) {
  // First: who has lost mastership decides nothing more.
  if (engine_ && now >= engine_->deadline()) engine_->tick(now);
  rooms_->tick();
  std::vector<wire::ServerState> known;
  std::size_t peers = 0;
  bool drains = false;
  step([&](cluster::Coordinator& coordinator, TimePoint, cluster::CoordinatorEffects& fx) {
    coordinator.setWall(std::chrono::duration_cast<std::chrono::milliseconds>(
                            std::chrono::system_clock::now().time_since_epoch()),
                        now);
    if (now >= deadline_) coordinator.tick(now, fx);
    if (now >= links_->deadline()) {
      known = coordinator.mesh().unconnected();
      peers = coordinator.sessionCount();
      drains = coordinator.isDraining();
    }
  });
  if (engine_ && now >= links_->deadline()) {
    engine_->setPeers(static_cast<std::uint32_t>(peers), drains);
  }
  if (now >= links_->deadline()) {
    noteSeen();
    keepPortsFree();
    keeper_->look();
  }
  links_->dialDue(now, known);
  keeper_->tick(now);
  endMove(now);
  if (now >= moveOnAt_) moveOn(now);
  if (now >= keepAgainAt_) keepAgain();
  if (now >= endAt_) loop_.stop();
}

void Server::carryOutOrLog(cluster::CoordinatorEffects& fx) {
  if (const auto done = carryOut(fx); !done) log::error("{}", done.error().message);
}

Result<void> Server::carryOut(cluster::CoordinatorEffects& fx) {
  if (fx.durable) keep(*fx.durable);
  if (auto done = carryOutEffects(fx.peers, *this); !done) return done;
  for (const auto& [connection, message, route] : fx.messages) {
    links_->send(connection, message, route);
  }
  for (const auto& close : fx.closes) links_->close(close);
  for (const auto& [from, message] : fx.statistics) statisticsCame(from, message);
  rooms_->carryOut(fx.rooms);
  for (auto& promise : fx.promises) {
    if (engine_) engine_->promise(promise.number, std::move(promise.operations));
  }
  if (fx.heir && engine_) engine_->handOver(*fx.heir);
  if (fx.isDrained) {
    isDrained_ = true;
    endAt_ = Clock::now() + kDrainTold;
  }
  return {};
}

// --- what the executor asks for ---

// Before the sends: only at the start, before the loop runs, when opened_ is the state.
Result<void> Server::persist(const Persist& persist) {
  if (persist.durability == Persist::Durability::beforeSends) return writeOpened();
  writer_->wake();
  if (database_) database_->wake();
  return {};
}

void Server::send(Send& send) {
  auto* connection = loop_.find(send.to);
  if (connection == nullptr) return;
  dialBack_.remarkOn(*connection, send.reply);
  if (const auto* admitted = std::get_if<wire::Admitted>(&send.reply)) {
    connection->admit(admitted->self.id);
  }
  connection->send(wire::encode(send.reply));
}

void Server::reading(const Reading& reading) {
  auto* connection = loop_.find(reading.from);
  if (connection == nullptr) return;
  reading.goesOn ? connection->resumeReading() : connection->pauseReading();
}

void Server::close(ConnectionId id) {
  if (auto* connection = loop_.find(id)) {
    connection->closeAfterFlush({ErrorCode::unavailable, "it is no member any more"});
  }
}

void Server::probe(Probe& probe) {
  // If very many members are lost at once, further answers would come too late.
  if (probe.optional && toProbe_.size() >= limits::kProbes) return;
  toProbe_.push_back(std::move(probe));
  probeMore();
}

void Server::notice(const Notice& notice) {
  log::info(notice.about, "{}", notice.text);
}

// --- connections ---

std::optional<net::Admission> Server::onAccept(const net::Address&) {
  const ConnectionId id{++connections_ * 2};
  return net::Admission{id, &greeter_};
}

std::optional<net::Admission> Server::ServerPort::onAccept(const net::Address&) {
  return net::Admission{ConnectionId{++owner.connections_ * 2}, &owner.serverGreeter_};
}

void Server::greeted(net::FramedConnection& connection, const wire::Hello& hello) {
  if (hello.purpose == wire::Purpose::cluster) return links_->accepted(connection, hello);
  connection.answerRequests();
  connection.closeAt(Clock::now() + kSessionSilence, "it has fallen silent");
  connection.setHandler(*this);
  net::sendWelcome(connection, hello, coordinator_.with([](auto& coordinator) {
    return coordinator->moment().network;
  }));
  step([&](auto& coordinator, TimePoint now, auto& fx) {
    coordinator.peerOpened(connection.id(), withoutScope(connection.remoteAddress().host), now, fx);
  });
}

void Server::onFrame(net::FramedConnection& connection, std::string_view payload) {
  auto request = wire::decodeRegistryRequest(payload);
  if (!request) {
    log::warning(connection.account().payer(), "{} sent what is no request: {}",
                 connection.remote().text(), request.error().message);
    connection.send(wire::encode(
        wire::RegistryReply(wire::Failure{request.error().code, request.error().message})));
    return connection.closeAfterFlush(request.error());
  }
  connection.closeAt(Clock::now() + kSessionSilence, "it has fallen silent");
  if (auto* join = std::get_if<wire::Join>(&*request)) keeper_->begin(*join);
  step([&](auto& coordinator, TimePoint now, auto& fx) {
    coordinator.peerReceived(connection.id(), *request, now, fx);
  });
  if (std::holds_alternative<wire::RegistryHeartbeat>(*request)) dialBack_.heartbeat(connection);
}

void Server::onClosed(net::FramedConnection& connection, const Error&) {
  dialBack_.closed(connection.id());
  rooms_->closed(connection.id());
  step([&](auto& coordinator, TimePoint now, auto& fx) {
    coordinator.peerClosed(connection.id(), now, fx);
  });
}

// --- links with other metaservers ---

wire::Introduction Server::introduce() {
  return coordinator_.with([](auto& coordinator) { return coordinator->introduce(); });
}

Result<void> Server::agreesWith(const wire::Introduction& other) {
  return coordinator_.with([&](auto& coordinator) { return coordinator->agreesWith(other); });
}

void Server::linked(const cluster::Coordinator::Opened& opened) {
  step([&](auto& coordinator, TimePoint now, auto& fx) { coordinator.linked(opened, now, fx); });
}

void Server::linkClosed(ConnectionId connection) {
  step([&](auto& coordinator, TimePoint now, auto& fx) {
    coordinator.linkClosed(connection, now, fx);
  });
}

void Server::linkReceived(ConnectionId connection, wire::ClusterFrame frame) {
  step([&](auto& coordinator, TimePoint now, auto& fx) {
    coordinator.linkReceived(connection, std::move(frame), now, fx);
  });
}

bool Server::isLinkedTo(ServerNumber number) {
  return coordinator_.with(
      [&](auto& coordinator) { return coordinator->mesh().connectionTo(number).has_value(); });
}

// --- absent members ---

void Server::probeMore() {
  while (!toProbe_.empty() && prober_.hasRoom()) {
    const Probe probe = std::move(toProbe_.front());
    toProbe_.pop_front();
    // One that the budget does not allow is left out: the id is only held longer.
    (void)prober_.probe(probe.endpoint, [this, id = probe.id](const Result<void>& listens) {
      // A silent host may be a stopped peer.
      const bool listening = listens.ok() || listens.error().code == ErrorCode::timeout;
      step([&](auto& coordinator, TimePoint now, auto& fx) {
        coordinator.probed(id, listening, now, fx);
      });
      probeMore();
    });
  }
}

}  // namespace espalier::metaserver::shell
