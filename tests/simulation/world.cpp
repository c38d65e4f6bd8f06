#include "tests/simulation/world.h"

#include <algorithm>
#include <cstdio>
#include <deque>
#include <unordered_map>

namespace espalier::simulation {

using namespace std::chrono_literals;

constexpr std::uint64_t kMostAtOnce = 100'000;  // events of one moment

struct World::Pipe {
  struct End {
    NodeId node = 0;
    ConnectionId connection{};
    std::uint64_t life = 0;  // of the process that holds it
    TimePoint lastArrival{};
    bool open = true;
    // What is on its way here, in order; nothing: the end. Each arrival takes the first, so order
    // is kept whatever a partition does to the arrivals.
    std::deque<std::optional<Payload>> coming;
  };
  End ends[2];  // the dialler's, the listener's
  bool connected = false;
  std::vector<Payload> early;  // sent before it was open
};

struct World::Node {
  NodeId number = 0;
  std::string id;
  InstanceKey key;
  std::uint64_t life = 0;  // counts the starts
  bool alive = false;
  bool stopped = false;
  std::unique_ptr<Random> random;
  std::unique_ptr<peer::Peer> peer;
  std::uint16_t port = 0;
  TimePoint tick = kNever;
  std::deque<std::function<void()>> inbox;  // what came while it stood still
  std::map<QueryId, std::function<void(const peer::SearchResult&)>> searches;
};

World::World(std::uint64_t seed, Settings settings) : settings_(settings), random_(seed) {
  disk_.network = randomFrom<wire::NetworkId>(random_);
  nodes_.push_back(std::make_unique<Node>());
  nodes_[0]->id = "metaserver";
  restartMetaserver();
}

World::~World() = default;

void World::log(const std::string& line) {
  if (!trace_) return;
  const auto millis =
      std::chrono::duration_cast<std::chrono::milliseconds>(now_.time_since_epoch());
  std::printf("%10.3f %s\n", static_cast<double>(millis.count()) / 1000 - 1000, line.c_str());
}

void World::fail(std::string what) {
  if (failure_) return;
  log("FAILURE " + what);
  const auto since = std::chrono::duration<double>(now_.time_since_epoch()).count() - 1000;
  failure_ = fmt::format("at {:.3f} s: {}", since, what);
}

void World::at(TimePoint when, std::function<void()> action) {
  events_.push({std::max(when, now_), ++sequence_, std::move(action)});
}

TimePoint World::arrival() {
  const auto spread = settings_.mostDelay - settings_.leastDelay;
  return now_ + settings_.leastDelay +
         std::chrono::microseconds(below(static_cast<std::uint64_t>(spread.count()) + 1));
}

void World::runUntil(TimePoint when) {
  while (!failure_ && !events_.empty() && events_.top().at <= when) {
    // The queue hands out const references only; the action is moved, never the key.
    auto action = std::move(const_cast<Event&>(events_.top()).action);
    atOnce_ = events_.top().at == now_ ? atOnce_ + 1 : 0;
    if (atOnce_ > kMostAtOnce) return fail("time stands still: a core is due without end");
    now_ = events_.top().at;
    events_.pop();
    action();
  }
  now_ = std::max(now_, when);
}

// --- processes ---

NodeId World::startPeer(const std::string& id) {
  auto fresh = std::make_unique<Node>();
  fresh->number = nodes_.size();
  fresh->id = id;
  fresh->key = randomFrom<InstanceKey>(random_);
  nodes_.push_back(std::move(fresh));
  start(*nodes_.back());
  return nodes_.size() - 1;
}

void World::start(Node& node) {
  log(node.id + " starts");
  ++node.life;
  node.alive = true;
  node.stopped = false;
  node.random = std::make_unique<Random>(random_());
  peer::Membership::Options options;
  options.metaserver = {"127.0.0.1", 5000};
  node.peer = std::make_unique<peer::Peer>(options, *node.random, now_);
  const auto id = PeerId::parse(node.id);
  step(node, [&](peer::Effects& fx) { node.peer->join(*id, node.key, "P2P", now_, fx); });
}

void World::crash(NodeId number) {
  Node& dead = node(number);
  if (!dead.alive) return;
  log(dead.id + " dies");
  dead.alive = false;
  dead.stopped = false;
  dead.inbox.clear();
  dead.searches.clear();
  if (dead.port != 0) listeners_.erase(dead.port);
  dead.port = 0;
  dead.tick = kNever;
  endPipes(number);
}

void World::leave(NodeId number) {
  Node& leaver = node(number);
  if (!leaver.alive || leaver.stopped) return;
  log(leaver.id + " leaves");
  step(leaver, [&](peer::Effects& fx) { leaver.peer->leave(now_, fx); });
  crash(number);
}

void World::revive(NodeId number) {
  if (!node(number).alive) start(node(number));
}

void World::stop(NodeId number) {
  log(node(number).id + " stands still");
  node(number).stopped = true;
}

void World::resume(NodeId number) {
  Node& resumed = node(number);
  if (!resumed.stopped) return;
  log(resumed.id + " goes on");
  resumed.stopped = false;
  std::deque<std::function<void()>> inbox;
  inbox.swap(resumed.inbox);
  for (auto& event : inbox) event();
  if (!resumed.alive) return;
  step(resumed, [&](peer::Effects& fx) { resumed.peer->tick(now_, fx); });
}

void World::crashMetaserver() {
  if (!registry_) return;
  log("metaserver dies");
  disk_.nextOrder = registry_->options().nextOrder;
  disk_.network = registry_->options().network;
  if (!registry_->awaiting()) disk_.members = registry_->remembered();
  registry_.reset();
  ++registryLife_;
  registryTick_ = kNever;
  endPipes(kMetaserver);
}

void World::restartMetaserver() {
  if (registry_) return;
  log("metaserver starts");
  metaserver::Registry::Options options;
  options.maxLinks = settings_.maxLinks;
  options.placement = settings_.placement;
  options.network = disk_.network;
  options.nextOrder = disk_.nextOrder;
  options.before = disk_.members;
  metaserver::Effects fx;
  registry_ = std::make_unique<metaserver::Registry>(options, now_, fx);
  carryOut(fx);
  scheduleRegistryTick();
}

void World::partition(std::set<NodeId> side) {
  std::string names;
  for (const auto number : side) names += " " + node(number).id;
  log("partition:" + names);
  side_ = std::move(side);
}

void World::heal() {
  if (side_.empty()) return;
  log("partition heals");
  side_.clear();
  auto held = std::move(heldBack_);
  heldBack_.clear();
  for (auto& event : held) event();
}

bool World::separated(NodeId a, NodeId b) const {
  return !side_.empty() && side_.contains(a) != side_.contains(b);
}

// --- looking ---

std::vector<NodeId> World::living() const {
  std::vector<NodeId> living;
  for (const auto& node : nodes_) {
    if (node->alive) living.push_back(node->number);
  }
  return living;
}

std::vector<NodeId> World::awake() const {
  auto awake = living();
  std::erase_if(awake, [this](NodeId number) { return stopped(number); });
  return awake;
}

bool World::stopped(NodeId number) const {
  return nodes_[number]->stopped;
}
const peer::Peer& World::peer(NodeId number) const {
  return *nodes_[number]->peer;
}
const std::string& World::id(NodeId number) const {
  return nodes_[number]->id;
}

std::optional<NodeId> World::parent(NodeId number) const {
  const auto* tree = nodes_[number]->peer->tree();
  if (tree == nullptr || !tree->parent()) return std::nullopt;
  const auto pipe = pipes_.find({number, tree->parent()->connection});
  if (pipe == pipes_.end()) return std::nullopt;
  const auto& end = pipe->second->ends[1];
  const Node& above = *nodes_[end.node];
  if (!above.alive || above.life != end.life || above.peer->tree() == nullptr) return std::nullopt;
  for (const auto& child : above.peer->tree()->children()) {
    if (child.connection == end.connection) return end.node;
  }
  return std::nullopt;
}

void World::find(NodeId number, std::function<void(const peer::SearchResult&)> ended) {
  Node& asker = node(number);
  // What the metaserver would answer when asked for it just before.
  std::optional<wire::Members> members;
  if (registry_ && asker.peer->membership().greeted()) members = registry_->members();
  step(asker, [&](peer::Effects& fx) {
    const auto query = asker.peer->find(PatternKind::substring, "file", members, now_, fx);
    if (!query) return fail("find: " + query.error().message);
    asker.searches[*query] = std::move(ended);
  });
}

// --- steps ---

void World::enqueue(NodeId to, std::function<void()> event) {
  if (node(to).stopped) {
    node(to).inbox.push_back(std::move(event));
  } else {
    event();
  }
}

void World::step(Node& node, const std::function<void(peer::Effects&)>& event) {
  if (failure_) return;
  peer::Effects fx;
  event(fx);
  carryOut(node, fx);
  checkStep(node);
  scheduleTick(node);
}

void World::scheduleTick(Node& node) {
  if (!node.alive) return;
  const TimePoint due = node.peer->deadline();
  if (due == kNever || (node.tick <= due && node.tick > now_)) return;
  node.tick = std::max(due, now_);
  at(node.tick, [this, &node, when = node.tick, life = node.life] {
    if (!node.alive || node.life != life || node.tick != when || node.stopped) return;
    node.tick = kNever;
    step(node, [&](peer::Effects& fx) { node.peer->tick(now_, fx); });
  });
}

void World::stepRegistry(const std::function<void(metaserver::Effects&)>& event) {
  if (!registry_ || failure_) return;
  metaserver::Effects fx;
  event(fx);
  carryOut(fx);
  if (const auto sound = registry_->picture().checkInvariants(); !sound) {
    fail("the metaserver's picture: " + sound.error().message);
  }
  scheduleRegistryTick();
}

void World::scheduleRegistryTick() {
  const TimePoint due = std::max(registry_->deadline(), now_);
  if (registryTick_ <= due && registryTick_ > now_) return;
  registryTick_ = due;
  at(due, [this, due, life = registryLife_] {
    if (!registry_ || registryLife_ != life || registryTick_ != due) return;
    registryTick_ = kNever;
    stepRegistry([&](metaserver::Effects& fx) { registry_->tick(now_, fx); });
  });
}

void World::carryOut(Node& node, peer::Effects& fx) {
  for (const auto& listen : fx.listens) {
    const auto port = listen.at.port;
    at(now_, [this, &node, port, life = node.life, endpoint = listen.at] {
      if (!node.alive || node.life != life) return;
      const bool taken = listeners_.contains(port);
      if (!taken) {
        listeners_[port] = node.number;
        node.port = port;
      }
      step(node, [&](peer::Effects& next) {
        if (taken) {
          node.peer->listenFailed({ErrorCode::unavailable, "the port is taken"}, now_, next);
        } else {
          node.peer->listening(endpoint, now_, next);
        }
      });
    });
  }
  for (const auto& wanted : fx.dials) dial(node, wanted);
  for (auto& send : fx.sends) {
    std::visit([&](auto& message) { transmit(node.number, send.to, std::move(message)); },
               send.message);
  }
  for (const auto& close : fx.closes) closeEnd(node.number, close.connection);
  for (const auto& job : fx.jobs) matchLocally(node, job);
  for (const auto& update : fx.searchUpdates) {
    if (!update.result) continue;
    const auto search = node.searches.find(update.id);
    if (search == node.searches.end()) continue;
    auto ended = std::move(search->second);
    node.searches.erase(search);
    ended(*update.result);
  }
  for (const auto& notice : fx.notices) {
    if (notice.kind == peer::Notice::Kind::metaserverLost && node.peer->tree() == nullptr) {
      tryAgain(node);
    }
    if (trace_) {
      log(fmt::format("{} notice {} {}", node.id, static_cast<int>(notice.kind), notice.text));
    }
  }
}

// A newcomer's user presses Enter.
void World::tryAgain(Node& node) {
  at(now_ + 1s, [this, &node, life = node.life] {
    enqueue(node.number, [this, &node, life] {
      if (!node.alive || node.life != life) return;
      step(node, [&](peer::Effects& fx) { node.peer->connect(now_, fx); });
    });
  });
}

void World::carryOut(metaserver::Effects& fx) {
  for (auto& send : fx.sends) {
    if (const auto* admitted = std::get_if<wire::Admitted>(&send.reply)) checkPort(admitted->self);
    transmit(kMetaserver, send.to, std::move(send.reply));
  }
  for (const auto connection : fx.closes) closeEnd(kMetaserver, connection);
  for (const auto& probe : fx.probes) {
    at(arrival(), [this, probe, life = registryLife_] {
      if (registryLife_ != life) return;
      const bool listening = listeners_.contains(probe.endpoint.port);
      stepRegistry(
          [&](metaserver::Effects& next) { registry_->probed(probe.id, listening, now_, next); });
    });
  }
  for (const auto& notice : fx.notices) log("metaserver: " + notice);
}

void World::matchLocally(Node& node, const peer::MatchJob& job) {
  at(now_ + 1ms, [this, &node, job, life = node.life] {
    enqueue(node.number, [this, &node, job, life] {
      if (!node.alive || node.life != life) return;
      step(node, [&](peer::Effects& fx) {
        std::vector<peer::LocalHit> hits{{fileOf(node.id), 1, {}}};
        node.peer->matched(job.id, std::move(hits), 0, false, now_, fx);
      });
    });
  });
}

// --- connections ---

void World::dial(Node& from, const peer::Dial& dial) {
  log(fmt::format("{} dials {}", from.id, dial.to.text()));
  auto pipe = std::make_shared<Pipe>();
  pipe->ends[0] = {from.number, dial.connection, from.life, now_, true, {}};
  pipes_[{from.number, dial.connection}] = pipe;
  const auto refused = [this, &from, connection = dial.connection, life = from.life] {
    enqueue(from.number, [this, &from, connection, life] {
      if (!from.alive || from.life != life) return;
      if (pipes_.erase({from.number, connection}) == 0) return;  // closed meanwhile
      step(from, [&](peer::Effects& fx) {
        from.peer->failed(connection, {ErrorCode::unavailable, "refused"}, now_, fx);
      });
    });
  };
  at(arrival(), [this, &from, dial, pipe, refused] {
    if (!pipe->ends[0].open) return;
    const bool registry = dial.purpose == wire::Purpose::registry;
    const auto listener = listeners_.find(dial.to.port);
    const NodeId to = registry                       ? kMetaserver
                      : listener == listeners_.end() ? from.number
                                                     : listener->second;
    if (separated(from.number, to)) return at(now_ + limits::kAttachTimeout, refused);
    const bool up = registry ? registry_ != nullptr : listener != listeners_.end();
    if (!up) return at(arrival(), refused);
    dialled(from, dial.connection, to, dial.purpose);
  });
}

void World::dialled(Node& from, ConnectionId connection, NodeId to, wire::Purpose purpose) {
  const auto pipe = pipes_[{from.number, connection}];
  const ConnectionId accepted{++accepted_ * 2};
  const bool registry = purpose == wire::Purpose::registry;
  pipe->ends[1] = {to, accepted, registry ? registryLife_ : node(to).life, now_, true, {}};
  pipe->connected = true;
  pipes_[{to, accepted}] = pipe;
  if (registry) {
    stepRegistry([&](metaserver::Effects&) { registry_->opened(accepted, "127.0.0.1", now_); });
  }
  at(arrival(), [this, &from, pipe] {
    enqueue(from.number, [this, &from, pipe] {
      if (!from.alive || from.life != pipe->ends[0].life || !pipe->ends[0].open) return;
      step(from, [&](peer::Effects& fx) {
        from.peer->opened(pipe->ends[0].connection, "127.0.0.1", now_, fx);
      });
    });
  });
  auto early = std::move(pipe->early);
  for (auto& payload : early) deliver(pipe, 1, std::move(payload));
}

void World::transmit(NodeId from, ConnectionId connection, Payload payload) {
  const auto found = pipes_.find({from, connection});
  if (found == pipes_.end()) return;
  const auto pipe = found->second;
  const int end = pipe->ends[0].node == from && pipe->ends[0].connection == connection ? 0 : 1;
  if (!pipe->ends[end].open) return;
  if (!pipe->connected) {
    pipe->early.push_back(std::move(payload));
  } else {
    deliver(pipe, 1 - end, std::move(payload));
  }
}

void World::deliver(const std::shared_ptr<Pipe>& pipe, int toEnd, std::optional<Payload> payload) {
  pipe->ends[toEnd].coming.push_back(std::move(payload));
  scheduleArrival(pipe, toEnd);
}

void World::scheduleArrival(const std::shared_ptr<Pipe>& pipe, int toEnd) {
  auto& end = pipe->ends[toEnd];
  end.lastArrival = std::max(arrival(), end.lastArrival);
  at(end.lastArrival, [this, pipe, toEnd] {
    if (separated(pipe->ends[0].node, pipe->ends[1].node)) {
      heldBack_.push_back([this, pipe, toEnd] { scheduleArrival(pipe, toEnd); });
      return;
    }
    enqueue(pipe->ends[toEnd].node, [this, pipe, toEnd] { arrived(pipe, toEnd); });
  });
}

// A message, or the other side's end of the connection.
void World::arrived(const std::shared_ptr<Pipe>& pipe, int toEnd) {
  auto& end = pipe->ends[toEnd];
  const auto payload = std::move(end.coming.front());
  end.coming.pop_front();
  if (!end.open) return;
  if (!payload) {
    end.open = false;
    pipes_.erase({end.node, end.connection});
  }
  if (end.node == kMetaserver) {
    if (!registry_ || registryLife_ != end.life) return;
    return stepRegistry([&](metaserver::Effects& fx) {
      if (!payload) return registry_->closed(end.connection, now_, fx);
      registry_->received(end.connection, std::get<wire::RegistryRequest>(*payload), now_, fx);
    });
  }
  Node& receiver = node(end.node);
  if (!receiver.alive || receiver.life != end.life) return;
  step(receiver, [&](peer::Effects& fx) {
    if (!payload) return receiver.peer->closed(end.connection, now_, fx);
    if (const auto* reply = std::get_if<wire::RegistryReply>(&*payload)) {
      receiver.peer->received(end.connection, *reply, now_, fx);
    } else {
      receiver.peer->received(end.connection, std::get<wire::LinkMessage>(*payload), now_, fx);
    }
  });
}

void World::closeEnd(NodeId number, ConnectionId connection) {
  const auto found = pipes_.find({number, connection});
  if (found == pipes_.end()) return;
  const auto pipe = found->second;
  const int end = pipe->ends[0].node == number && pipe->ends[0].connection == connection ? 0 : 1;
  pipe->ends[end].open = false;
  pipes_.erase(found);
  if (pipe->connected) deliver(pipe, 1 - end, std::nullopt);
}

void World::endPipes(NodeId number) {
  std::vector<ConnectionId> connections;
  for (auto pipe = pipes_.lower_bound({number, ConnectionId{0}});
       pipe != pipes_.end() && pipe->first.first == number; ++pipe) {
    connections.push_back(pipe->first.second);
  }
  for (const auto connection : connections) closeEnd(number, connection);
}

// --- what must hold at every moment ---

void World::checkStep(Node& node) {
  if (!node.alive) return;
  const auto* tree = node.peer->tree();
  if (tree == nullptr) return;
  if (tree->links() > settings_.maxLinks) {
    return fail(
        fmt::format("{} has {} links; {} are allowed", node.id, tree->links(), settings_.maxLinks));
  }
  NodeId above = node.number;
  for (std::size_t steps = 0; steps <= nodes_.size(); ++steps) {
    const auto next = parent(above);
    if (!next) return;
    if (*next == node.number) return fail(node.id + " hangs below itself");
    above = *next;
  }
  fail("there is a cycle above " + node.id);
}

// No port is assigned that a member has. (One that comes back has its own, whoever else was given
// it meanwhile: that one will find it taken.)
void World::checkPort(const wire::Contact& admitted) {
  const bool comesBack = std::any_of(nodes_.begin(), nodes_.end(), [&](const auto& node) {
    // One that has died since it asked had a port, too.
    return node->id == admitted.id.text() && (!node->alive || node->port != 0);
  });
  if (comesBack) return;
  for (const auto& member : registry_->remembered()) {
    if (member.id != admitted.id && member.endpoint == admitted.endpoint) {
      return fail(fmt::format("{} was given {}, which {} has", admitted.id.text(),
                              admitted.endpoint.text(), member.id.text()));
    }
  }
}

}  // namespace espalier::simulation
