#include "metaserver/shell/server.h"

#include <fmt/format.h>

#include <algorithm>

#include "common/base/file.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/random.h"
#include "common/base/text.h"
#include "common/whatif/kill_plan.h"
#include "common/wire/hello.h"
#include "common/wire/registry_codec.h"
#include "topo/dot.h"

namespace espalier::metaserver::shell {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t kProbesAtOnce = 256;
constexpr std::size_t kLostWritten = 4096;  // copied at once under the registry's mutex
// Whoever only looks, or thinks about an id, heartbeats as members do, every 30 s at the least.
constexpr auto kSessionSilence = 100s;

// Runs the loop until the name is looked up, or somebody stops it.
Result<net::Target> lookUpOn(net::EventLoop& loop, const Endpoint& endpoint) {
  const auto reach = std::make_shared<Guarded<net::EventLoop*>>(&loop);
  const auto found = std::make_shared<Guarded<std::optional<Result<net::Target>>>>();
  const auto user = net::NamedBy::user;
  net::Resolver::ofSystem().start(endpoint, user, [reach, found](Result<net::Target> target) {
    reach->with([&](net::EventLoop* waiting) {
      if (waiting == nullptr) return;  // stopped meanwhile
      found->with([&](auto& result) { result = std::move(target); });
      waiting->stop();
    });
  });
  loop.run();
  reach->with([](net::EventLoop*& waiting) { waiting = nullptr; });
  auto target = found->with([](auto& result) { return result; });
  if (!target) return Error{ErrorCode::interrupted, "interrupted"};
  return *std::move(target);
}

}  // namespace

Server::Server(net::EventLoop& loop, MetaserverOptions options)
    : loop_(loop), options_(std::move(options)), started_(Clock::now()) {}

Server::~Server() {
  writer_.reset();  // writes once more, while there is still a registry
}

Result<std::unique_ptr<Server>> Server::bind(net::EventLoop& loop, MetaserverOptions options) {
  std::unique_ptr<Server> server(new Server(loop, std::move(options)));
  auto target = lookUpOn(loop, server->options_.listen);
  if (!target) return target.error();
  auto listener = net::Listener::open(loop, *target, *server);
  if (!listener) return listener.error();
  server->listener_ = std::move(*listener);
  return server;
}

Result<State> Server::readState() const {
  auto state = loadState(statePath());
  if (!state) return state.error();
  if (*state) return **std::move(state);
  State fresh;
  fresh.network = randomFromKernel<wire::NetworkId>();
  return fresh;
}

Result<void> Server::open() {
  auto state = readState();
  if (!state) return state.error();
  const auto kept = replaceFile(statePath(), formatState(*state), Durability::durable, kPrivate);
  if (!kept) return kept.error();
  if (state->members.empty()) {
    for (const auto& [path, text] :
         {std::pair(options_.topoFile, ""), {options_.countFile, "0\n"}}) {
      if (const auto written = writeOutputFile(path, text, kPublic); !written) {
        log::error("{}", written.error().message);
      }
    }
  }
  opened_ = *state;
  Registry::Options options;
  options.firstPort = options_.firstPort;
  options.maxLinks = options_.maxLinks;
  options.placement = *topo::parseRule(options_.placement);
  options.joinWord = options_.joinWord;
  options.network = state->network;
  options.nextOrder = state->nextOrder;
  options.before = std::move(state->members);
  if (!options.before.empty()) {
    log::info("waiting for {} of before", counted(options.before.size(), "peer"));
  }
  Effects fx;
  registry_.with([&](auto& registry) {
    registry = std::make_unique<Registry>(std::move(options), Clock::now(), fx);
    deadline_ = registry->deadline();
  });
  writer_ = std::make_unique<FilesWriter>(
      FilesWriter::Paths{options_.topoFile, options_.countFile, statePath()},
      [this](std::uint64_t newerThan) { return snapshot(newerThan); });
  if (auto started = writer_->start(); !started) return started;
  carryOut(fx);
  loop_.setTick(
      [this] { return deadline_; },
      [this](TimePoint) { step([](Registry& r, TimePoint now, Effects& f) { r.tick(now, f); }); });
  return {};
}

void Server::restoreState() {
  // Until then the writer has nothing to write.
  const bool unchanged = registry_.with(
      [](auto& registry) { return registry->awaiting() || registry->version() == 0; });
  if (!unchanged) return writer_->writeAgain();
  const auto kept = replaceFile(statePath(), formatState(opened_), Durability::durable, kPrivate);
  if (!kept) log::error("{}", kept.error().message);
}

std::optional<Snapshot> Server::snapshot(std::uint64_t newerThan) {
  return follower_.with([&](RegistryFollower& follower) -> std::optional<Snapshot> {
    const auto now = follower.catchUp(registry_);
    if (now.awaiting || now.version <= newerThan) return std::nullopt;
    auto lost = registry_.with([](auto& registry) { return registry->lostLately(kLostWritten); });
    return Snapshot{now.version,
                    follower.copy().lines(),
                    {now.network, now.nextOrder, follower.copy().remembered(std::move(lost))}};
  });
}

template <typename Event>
void Server::step(Event&& event) {
  Effects fx;
  std::uint64_t before = 0;
  std::uint64_t after = 0;
  registry_.with([&](auto& registry) {
    before = registry->version();
    event(*registry, Clock::now(), fx);
    after = registry->version();
    deadline_ = registry->deadline();
  });
  carryOut(fx);
  if (after != before) writer_->wake();
}

void Server::carryOut(Effects& fx) {
  for (auto& send : fx.sends) {
    auto* connection = loop_.find(send.to);
    if (connection == nullptr) continue;
    dialBack_.remarkOn(*connection, send.reply);
    connection->send(wire::encode(send.reply));
  }
  for (const auto id : fx.closes) {
    if (auto* connection = loop_.find(id)) {
      connection->closeAfterFlush({ErrorCode::unavailable, "it is no member any more"});
    }
  }
  for (auto& probe : fx.probes) {
    // When very many are lost at once, the first answers would come too late to matter.
    if (probe.optional && toProbe_.size() >= kProbesAtOnce) continue;
    toProbe_.push_back(std::move(probe));
  }
  if (!toProbe_.empty()) probeMore();
  for (const auto& notice : fx.notices) log::info("{}", notice);
}

// --- connections ---

std::optional<net::Admission> Server::onAccept(const net::Address&) {
  const ConnectionId id{++connections_ * 2};
  return net::Admission{id, &greeter_};
}

void Server::Greeter::onOpened(net::FramedConnection& connection) {
  connection.closeAt(Clock::now() + limits::kHelloTimeout, {ErrorCode::timeout, "it said nothing"});
}

void Server::Greeter::onFrame(net::FramedConnection& connection, std::string_view payload) {
  const auto hello = wire::decodeHello(payload);
  const bool welcome = hello && hello->purpose == wire::Purpose::registry;
  if (!welcome) {
    const Error why =
        hello ? Error{ErrorCode::protocol, "this is a metaserver, not a peer"} : hello.error();
    connection.send(wire::encode(wire::Failure{why.code, why.message}));
    connection.closeAfterFlush(why);
    return;
  }
  connection.send(wire::encode(wire::welcomeFor(*hello)));
  connection.closeAt(Clock::now() + kSessionSilence, {ErrorCode::timeout, "it has fallen silent"});
  connection.setHandler(server_.sessions_);
  server_.registry_.with([&](auto& registry) {
    registry->opened(connection.id(), withoutScope(connection.remoteAddress().host), Clock::now());
  });
}

void Server::Sessions::onFrame(net::FramedConnection& connection, std::string_view payload) {
  const auto request = wire::decodeRegistryRequest(payload);
  if (!request) {
    log::warning("{} sent what is no request: {}", connection.remote().text(),
                 request.error().message);
    connection.send(wire::encode(
        wire::RegistryReply(wire::Failure{request.error().code, request.error().message})));
    connection.closeAfterFlush(request.error());
    return;
  }
  connection.closeAt(Clock::now() + kSessionSilence, {ErrorCode::timeout, "it has fallen silent"});
  server_.step([&](Registry& registry, TimePoint now, Effects& fx) {
    registry.received(connection.id(), *request, now, fx);
  });
  if (std::holds_alternative<wire::RegistryHeartbeat>(*request)) {
    server_.dialBack_.heartbeat(connection);
  }
}

void Server::Sessions::onClosed(net::FramedConnection& connection, const Error&) {
  server_.dialBack_.closed(connection.id());
  server_.step([&](Registry& registry, TimePoint now, Effects& fx) {
    registry.closed(connection.id(), now, fx);
  });
}

// --- peers of before ---

void Server::probeMore() {
  while (!toProbe_.empty() && probing_.size() < kProbesAtOnce) {
    const Probe probe = std::move(toProbe_.front());
    toProbe_.pop_front();
    const ConnectionId id{++connections_ * 2 + 1};
    // A host name cannot be looked up here; its peer has the full time to come back.
    if (loop_.dial(id, probe.endpoint, prober_, limits::kProbeTimeout))
      probing_.emplace(id, probe.id);
  }
}

void Server::Prober::onOpened(net::FramedConnection& connection) {
  server_.probed(connection.id(), true);
  connection.close({ErrorCode::failed, "it listens, that was all"});
}

void Server::Prober::onClosed(net::FramedConnection& connection, const Error& why) {
  server_.probed(connection.id(), why.code == ErrorCode::timeout);
}

void Server::probed(ConnectionId connection, bool listening) {
  const auto probe = probing_.find(connection);
  if (probe == probing_.end()) return;
  const PeerId id = probe->second;
  probing_.erase(probe);
  step([&](Registry& registry, TimePoint now, Effects& fx) {
    registry.probed(id, listening, now, fx);
  });
  probeMore();
}

// --- commands ---

Result<command::Topology> Server::topology(std::stop_token) {
  return follower_.with([&](RegistryFollower& follower) {
    follower.catchUp(registry_);
    return topologyOf(follower.copy());
  });
}

Result<std::string> Server::topologyDot(std::stop_token) {
  const auto lines = follower_.with([&](RegistryFollower& follower) {
    follower.catchUp(registry_);
    return follower.copy().lines();
  });
  return topo::toDot(lines);
}

Result<command::KillPlan> Server::whatIfKilled(const PeerId& id, std::stop_token) {
  const auto tree = follower_.with([&](RegistryFollower& follower) {
    follower.catchUp(registry_);
    return follower.copy().tree(options_.maxLinks);
  });
  return whatif::killPlan(tree, id);
}

Result<Status> Server::status() {
  Status status;
  registry_.with([&](auto& registry) {
    status.members = registry->size();
    status.reserved = registry->reservedCount();
    status.awaited = registry->awaitedCount();
    status.refused = registry->refusedCount();
  });
  status.endpoint = address();
  status.maxLinks = options_.maxLinks;
  status.placement = options_.placement;
  status.topoFile = options_.topoFile;
  status.uptime = Clock::now() - started_;
  return status;
}

}  // namespace espalier::metaserver::shell
