#include "tests/simulation/kill_each.h"
#include "topo/plan.h"

#include <algorithm>

namespace espalier::simulation {
namespace {

using namespace std::chrono_literals;

using Parents = std::map<std::string, std::string>;  // the parent of each peer; empty for a root

Parents parentsOf(const topo::Forest& tree) {
  Parents parents;
  for (const auto node : tree.membersByOrder()) {
    const auto parent = tree.parent(node);
    parents[tree.member(node).id.text()] = parent ? tree.member(*parent).id.text() : "";
  }
  return parents;
}

Parents parentsOf(const World& world) {
  Parents parents;
  for (const NodeId peer : world.living()) {
    const auto parent = world.parent(peer);
    parents[world.id(peer)] = parent ? world.id(*parent) : "";
  }
  return parents;
}

Parents planned(const topo::Forest& tree, const std::string& victim) {
  const topo::NodeIndex dead[] = {*tree.find(*PeerId::parse(victim))};
  return parentsOf(topo::apply(tree, topo::planFailure(tree, dead), dead));
}

// The tree in the topology that the metaserver sends to a peer.
topo::Forest toldTree(const metaserver::Registry& registry) {
  bool more = false;
  const auto entries = registry.entries(kNoOrder, SIZE_MAX, more);
  topo::Forest tree(registry.maxLinks());
  for (const auto& entry : entries) {
    tree.add({entry.member.id, entry.member.order, entry.member.endpoint});
  }
  for (const auto& entry : entries) {
    const auto parent = tree.find(entry.member.id);
    for (const auto& neighbour : entry.neighbours) {
      const auto child = std::find_if(entries.begin(), entries.end(), [&](const auto& other) {
        return other.member.id == neighbour && other.parent == entry.member.id;
      });
      if (child != entries.end()) static_cast<void>(tree.link(*tree.find(neighbour), *parent));
    }
  }
  return tree;
}

std::string difference(const Parents& planned, const Parents& real) {
  std::string text;
  for (const auto& [peer, parent] : planned) {
    const auto found = real.find(peer);
    if (found != real.end() && found->second == parent) continue;
    text += fmt::format("{}{} below \"{}\" instead of \"{}\"", text.empty() ? "" : ", ", peer,
                        found == real.end() ? "?" : found->second, parent);
  }
  return text;
}

class Killing {
 public:
  Killing(World& world, const Settings& settings) : world_(world), settings_(settings) {}

  std::optional<std::string> kill(NodeId victim, bool withMetaserver) {
    const std::string& id = world_.id(victim);
    const auto& registry = *world_.registry();
    const Parents plan = planned(registry.tree(), id);
    const std::string told = difference(plan, planned(toldTree(registry), id));
    if (!told.empty()) return fmt::format("the plans for the death of {} differ: {}", id, told);

    if (!withMetaserver) {
      world_.crashMetaserver();
      world_.runUntil(world_.now() + 1s);
    }
    world_.crash(victim);
    // Healing takes some messages and a retry or two. An orphan asks its contacts only later.
    const auto bound = (withMetaserver ? 1s : 3s) + 40 * settings_.mostDelay;
    if (auto failure = rest(world_, bound, 100ms)) {
      return fmt::format("the death of {}{}: {}", id, withMetaserver ? "" : " (no metaserver)",
                         *failure);
    }
    // Without a metaserver and with several free slots, the slot that an orphan gets depends on
    // which peers have noticed the death. Then the promise is only that there is one tree again.
    const bool follows = withMetaserver || settings_.maxLinks == 2;
    const std::string otherwise = difference(plan, parentsOf(world_));
    if (follows && !otherwise.empty()) {
      return fmt::format("the death of {}{} was planned otherwise: {}", id,
                         withMetaserver ? "" : " (no metaserver)", otherwise);
    }
    world_.restartMetaserver();
    if (auto failure = rest(world_, 60s, 100ms)) return *failure;
    world_.revive(victim);
    return rest(world_, 60s, 100ms);
  }

 private:
  World& world_;
  const Settings& settings_;
};

}  // namespace

Outcome killEach(const Schedule& schedule) {
  Random random(schedule.seed);
  const Settings settings = settingsFor(random);
  Outcome outcome;
  outcome.peers = schedule.leastPeers + random() % (schedule.mostPeers - schedule.leastPeers + 1);
  outcome.settings = describe(settings, outcome.peers);
  World world(random(), settings);
  world.trace(schedule.trace);
  const std::uint64_t joining = random() % 2 == 0 ? 100 : 10'000;
  for (std::size_t i = 1; i <= outcome.peers; ++i) {
    world.at(world.now() + std::chrono::milliseconds(world.below(joining)),
             [&world, i] { world.startPeer(fmt::format("s{}", i)); });
  }
  world.runUntil(world.now() + 10s);
  Killing killing(world, settings);
  outcome.failure = rest(world, 60s, 100ms);
  for (const NodeId victim : world.living()) {
    if (outcome.failure) break;
    outcome.failure = killing.kill(victim, world.below(2) == 0);
  }
  return outcome;
}

}  // namespace espalier::simulation
