#include "tests/simulation/world.h"

#include <algorithm>
#include <cstdio>

#include "common/base/limits.h"
#include "tests/simulation/world_parts.h"

namespace espalier::simulation {

constexpr std::uint64_t kMostAtOnce = 100'000;  // events at one time

World::World(std::uint64_t seed, Settings settings) : settings_(settings), random_(seed) {
  disk_.network = randomFrom<wire::NetworkId>(random_);
  if (settings_.metaservers > 0) {
    startCluster();
    return;
  }
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
    // The queue returns const references only. The action is moved out, and the key stays.
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

NodeId World::startPeer(const std::string& id, Conduct conduct) {
  auto fresh = std::make_unique<Node>();
  fresh->number = nodes_.size();
  fresh->id = id;
  kindsOfLies_.insert(conduct.lies.begin(), conduct.lies.end());
  fresh->conduct = std::move(conduct);
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
  options.metaservers = metaservers();
  options.generation = static_cast<std::uint32_t>(node.life) * 100'000;
  if (cluster_) {  // one or more of them
    for (std::size_t i = options.metaservers.size(); i > 1; --i) {
      std::swap(options.metaservers[i - 1], options.metaservers[below(i)]);
    }
    options.metaservers.resize(1 + below(options.metaservers.size()));
  }
  if (moves() && node.number % 2 == 0) options.metaservers = {{"127.0.0.1", registryPort_}};
  node.peer.reset();
  node.budget = std::make_unique<Budget>();
  node.peer = std::make_unique<peer::Peer>(options, *node.random, *node.budget, now_);
  node.peer->acceptPushes(node.conduct.accepts);
  node.host = std::make_unique<Host>(Host{*this, node});
  node.executor = std::make_unique<peer::Executor<Host>>(*node.peer, *node.host);
  node.desk = std::make_unique<Desk>(*this, node.number);
  if (!node.conduct.lies.empty()) {
    node.liar = std::make_unique<Liar>(*this, node.number);
    node.liar->begin();
  }
  const auto id = PeerId::parse(node.id);
  step(node, [&](peer::Effects& fx) { node.peer->join(*id, node.key, "P2P", now_, fx); });
}

std::vector<Endpoint> World::metaservers() const {
  std::vector<Endpoint> all;
  if (cluster_) {
    for (std::size_t i = 0; i < cluster_->size(); ++i) all.push_back(cluster_->addressOf(i));
    return all;
  }
  for (const auto port : settings_.metaserverPorts) all.push_back({"127.0.0.1", port});
  return all;
}

void World::crash(NodeId number) {
  Node& dead = node(number);
  if (!dead.alive) return;
  log(dead.id + " dies");
  dead.alive = false;
  dead.stopped = false;
  dead.inbox.clear();
  dead.searches.clear();
  dead.desk.reset();
  dead.liar.reset();
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
  resumed.executor->tick(now_);
  step(resumed, [&](peer::Effects& fx) { resumed.peer->tick(now_, fx); });
}

std::vector<metaserver::Remembered> World::remembered() {
  for (bool more = true; more;) {
    auto changes = registry_->takeChanges(limits::kMembers);
    more = changes.more;
    registryCopy_.apply(std::move(changes));
  }
  return registryCopy_.remembered(registry_->lostLately(limits::kMembers));
}

void World::crashMetaserver() {
  if (!registry_) return;
  log("metaserver dies");
  if (disk_.isOld) {
    disk_.nextOrder = registry_->nextOrder();
    disk_.network = registry_->network();
    if (!registry_->awaiting()) disk_.members = remembered();
  }
  registry_.reset();
  ++registryLife_;
  registryTick_ = kNever;
  endPipes(kMetaserver);
}

void World::restartMetaserver() {
  if (registry_ || cluster_) return;
  const auto& ports = settings_.metaserverPorts;
  registryPort_ = ports[moves() ? below(ports.size()) : 0];
  log(fmt::format("metaserver starts at {}", registryPort_));
  metaserver::Registry::Options options;
  options.maxLinks = settings_.maxLinks;
  options.placement = settings_.placement;
  options.network = disk_.network;
  options.nextOrder = disk_.nextOrder;
  options.before = disk_.members;
  disk_.isDurable = disk_.isOld = false;
  metaserver::Effects fx;
  registryBudget_ = std::make_unique<Budget>();
  registry_ = std::make_unique<metaserver::Registry>(options, *registryBudget_, now_, fx);
  carryOut(fx);
  scheduleRegistryTick();
  lieToRegistry();
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
  const Node& node = *nodes_[number];
  const bool isRenamed = node.peer && !node.peer->membership().id().empty();
  return isRenamed ? node.peer->membership().id().text() : node.id;
}

std::optional<NodeId> World::named(const std::string& id) const {
  for (const auto& node : nodes_) {
    if (node->id == id) return node->number;
  }
  return std::nullopt;
}
const Conduct& World::conduct(NodeId number) const {
  return nodes_[number]->conduct;
}
const Disk& World::disk(NodeId number) const {
  return nodes_[number]->disk;
}
std::uint64_t World::life(NodeId number) const {
  return nodes_[number]->life;
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
  step(asker, [&](peer::Effects& fx) {
    const auto query = asker.peer->searches()->ask(
        PatternKind::substring, "file", asker.peer->membership().countMembers(), now_, fx);
    if (!query) return fail("find: " + query.error().message);
    asker.searches[*query] = std::move(ended);
  });
}

PushId World::push(NodeId number, std::uint64_t chunks) {
  Node& sender = node(number);
  Stored file;
  std::vector<ChunkHash> list;
  for (std::uint64_t i = 0; i < chunks; ++i) {
    file.add(i, random_());
    list.push_back(hashOf(*file.chunks.back()));
  }
  const FileRoot root = rootOf(list);
  file.list = std::make_shared<const std::vector<ChunkHash>>(std::move(list));
  log(fmt::format("{} pushes {} chunks", sender.id, chunks));
  witness_.sent({{}, number, sender.life, root, file.chunks});
  sender.disk[root] = std::move(file);
  PushId id;
  step(sender, [&](peer::Effects& fx) {
    const auto started = sender.peer->pushes()->start(
        {{"pushed", chunks * limits::kPushChunkBytes, root}}, {}, now_, fx);
    if (!started) return fail("push: " + started.error().message);
    id = witness_.named(*started);
    sender.desk->send(id, root);
    log(fmt::format("{} calls it {}", sender.id, toHex(id.view()).substr(0, 4)));
  });
  return id;
}

void World::cancel(const SentPush& push) {
  Node& sender = node(push.sender);
  if (!sender.alive || sender.life != push.senderLife || sender.stopped) return;
  log(sender.id + " cancels its push");
  witness_.cancelled(push.id);
  step(sender, [&](peer::Effects& fx) {
    sender.peer->pushes()->finish(push.id, wire::PushEnd::cancelled, now_, fx);
  });
}

}  // namespace espalier::simulation
