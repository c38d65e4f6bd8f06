// The part of World that calls the cores, and checks their invariants after each call.
#include <algorithm>
#include <optional>
#include <utility>

#include "metaserver/core/executor.h"
#include "tests/simulation/world_parts.h"

namespace espalier::simulation {

using namespace std::chrono_literals;

// --- steps ---

void World::enqueue(NodeId to, std::function<void()> event) {
  if (node(to).stopped) {
    node(to).inbox.push_back(std::move(event));
  } else {
    event();
  }
}

void World::later(Node& node, TimePoint when, std::function<void()> action) {
  at(when, [this, &node, life = node.life, action = std::move(action)]() mutable {
    enqueue(node.number, [&node, life, action = std::move(action)] {
      if (node.alive && node.life == life) action();
    });
  });
}

void World::step(Node& node, const std::function<void(peer::Effects&)>& event) {
  if (failure_) return;
  peer::Effects fx;
  event(fx);
  node.executor->carryOut(fx, now_);
  checkStep(node);
  scheduleTick(node);
}

void World::scheduleTick(Node& node) {
  if (!node.alive) return;
  const TimePoint due = std::min(node.peer->deadline(), node.executor->deadline());
  if (due == kNever || (node.tick <= due && node.tick > now_)) return;
  node.tick = std::max(due, now_);
  at(node.tick, [this, &node, when = node.tick, life = node.life] {
    if (!node.alive || node.life != life || node.tick != when || node.stopped) return;
    node.tick = kNever;
    node.executor->tick(now_);
    step(node, [&](peer::Effects& fx) { node.peer->tick(now_, fx); });
  });
}

void World::stepRegistry(const std::function<void(metaserver::Effects&)>& event) {
  if (!registry_ || failure_) return;
  metaserver::Effects fx;
  event(fx);
  carryOut(fx);
  if (settings_.watch) {
    const auto sound = registry_->checkInvariants();
    if (!sound) fail("the registry: " + sound.error().message);
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

// Connects again after a second, like a user who presses Enter at the prompt, or who starts the
// peer with another address.
void World::tryAgain(Node& node, bool startsAgain) {
  later(node, now_ + 1s, [this, &node, startsAgain] {
    if (!moves() && !startsAgain)
      return step(node, [&](peer::Effects& fx) { node.peer->connect(now_, fx); });
    crash(node.number);
    start(node);
  });
}

// What the effects of the registry do in a World.
struct World::RegistryHost {
  World& world;

  Result<void> persist(const metaserver::Persist& persist) {
    const bool isBefore = persist.durability == metaserver::Persist::Durability::beforeSends;
    (isBefore ? world.disk_.isDurable : world.disk_.isOld) = true;
    return {};
  }
  void send(metaserver::Send& send) {
    if (auto* admitted = std::get_if<wire::Admitted>(&send.reply)) {
      if (!world.disk_.isDurable) world.fail("a member was admitted before the state was durable");
      world.checkPort(send.to, admitted->self);
      if (world.moves()) admitted->metaservers = world.metaservers();
    }
    world.transmit(kMetaserver, send.to, std::move(send.reply));
  }
  void reading(const metaserver::Reading&) {}  // what arrives waits in the registry
  void close(ConnectionId connection) { world.closeEnd(kMetaserver, connection); }
  void probe(const metaserver::Probe& probe) {
    world.at(world.arrival(), [&world = world, probe, life = world.registryLife_] {
      if (world.registryLife_ != life) return;
      const bool listening = world.listeners_.contains(probe.endpoint.port);
      world.stepRegistry([&](metaserver::Effects& fx) {
        world.registry_->probed(probe.id, listening, world.now_, fx);
      });
    });
  }
  void notice(const metaserver::Notice& notice) { world.log("metaserver: " + notice.text); }
};

void World::carryOut(metaserver::Effects& fx) {
  RegistryHost host{*this};
  if (const auto done = metaserver::carryOutEffects(fx, host); !done) fail(done.error().message);
}

void World::matchLocally(Node& node, const peer::MatchJob& job) {
  later(node, now_ + 1ms, [this, &node, job] {
    step(node, [&](peer::Effects& fx) {
      FileRoot root;
      root.bytes.fill(1);
      // Every peer also reports a file that does not match the search.
      std::vector<peer::LocalHit> hits{{fileOf(id(node.number)), 1, root}, {kUnasked, 1, root}};
      node.peer->searches()->matched(job.id, std::move(hits), 0, false, now_, fx);
    });
  });
}

// --- what must hold at every moment ---

// It lost its id to a peer that has it, or had it until it died. A state file may be of before a
// merge: then both may be renamed.
void World::checkRenamed(const Node& renamed) {
  if (cluster_ && cluster_->begunByFileAt() + 30s > now_) return;
  bool hadOwner = false;
  for (const auto& other : nodes_) {
    if (other->number == renamed.number || other->id != renamed.id) continue;
    hadOwner = hadOwner || !other->alive || id(other->number) == renamed.id;
  }
  if (!hadOwner)
    fail(fmt::format("{} is {} now, but nobody else is {}", renamed.id, id(renamed.number),
                     renamed.id));
}

void World::checkStep(Node& node) {
  if (!node.alive) return;
  const auto* tree = node.peer->tree();
  if (tree == nullptr) return;
  if (tree->links() > settings_.maxLinks) {
    return fail(
        fmt::format("{} has {} links; {} are allowed", node.id, tree->links(), settings_.maxLinks));
  }
  if (hasLiars()) {
    std::set<PeerId> linked{tree->self().id};
    for (const auto& neighbour : tree->neighbours()) {
      const auto& id = neighbour.contact.id;
      if (!linked.insert(id).second) return fail(node.id + " has two links to " + id.text());
    }
  }
  // Only a new parent can close a cycle.
  const auto& parentNow = tree->parent();
  const std::pair following(node.life,
                            parentNow ? std::optional(parentNow->connection) : std::nullopt);
  if (std::exchange(node.followed, following) == following) return;
  NodeId above = node.number;
  for (std::size_t steps = 0; steps <= nodes_.size(); ++steps) {
    const auto next = parent(above);
    if (!next) return;
    if (*next == node.number) {
      // A liar's false labels may make a cycle for a while (liar_schedule.h).
      if (!kindsOfLies_.contains(Lie::labels)) fail(node.id + " hangs below itself");
      return;
    }
    above = *next;
  }
  if (!kindsOfLies_.contains(Lie::labels)) fail("there is a cycle above " + node.id);
}

// Checks that no port is assigned that a member has. A peer that comes back keeps its port. If that
// port was assigned to another peer meanwhile, the other peer finds it taken. A liar names any port
// as its own.
void World::checkPort(ConnectionId connection, const wire::Contact& admitted) {
  if (!settings_.watch) return;
  const auto pipe = pipes_.find({kMetaserver, connection});
  if (pipe != pipes_.end() && (pipe->second->comesBack || pipe->second->lie)) return;
  const auto& snapshot = registry_->tree();
  for (const auto node : snapshot.membersByOrder()) {
    const auto& member = snapshot.member(node);
    if (member.id != admitted.id && member.endpoint == admitted.endpoint) {
      return fail(fmt::format("{} was given {}, which {} has", admitted.id.text(),
                              admitted.endpoint.text(), member.id.text()));
    }
  }
}

}  // namespace espalier::simulation
