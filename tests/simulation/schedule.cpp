#include "tests/simulation/schedule.h"

#include <algorithm>

#include "tests/simulation/troublemaker.h"
#include "tests/support/coverage_text.h"

namespace espalier::simulation {
namespace {

using namespace std::chrono_literals;

constexpr auto kJoining = 20s;
constexpr auto kTrouble = 60s;

}  // namespace

Settings settingsFor(Random& random) {
  constexpr unsigned kLinks[] = {2, 2, 2, 3, 4, 8};
  constexpr topo::Rule kRules[] = {topo::Rule::shallowest, topo::Rule::classic,
                                   topo::Rule::nearest};
  constexpr std::pair<std::chrono::microseconds, std::chrono::microseconds> kDelays[] = {
      {50us, 500us}, {100us, 5ms}, {1ms, 50ms}, {100us, 200ms}};
  Settings settings;
  settings.maxLinks = kLinks[random() % std::size(kLinks)];
  settings.placement = kRules[random() % std::size(kRules)];
  const auto& delay = kDelays[random() % std::size(kDelays)];
  settings.leastDelay = delay.first;
  settings.mostDelay = delay.second;
  return settings;
}

std::string describe(const Settings& settings, std::size_t peers) {
  return fmt::format("{} peers, {} links, {}, delays {} to {} us", peers, settings.maxLinks,
                     topo::name(settings.placement), settings.leastDelay.count(),
                     settings.mostDelay.count());
}

namespace {

// Whether the trees can become one: through the metaserver, or a member that knows a member of
// another tree. Stopped peers do not count.
bool couldMeet(const World& world) {
  if (world.metaserverUp()) return true;
  const auto living = world.awake();
  const auto rootOf = [&](NodeId peer) {
    while (const auto above = world.parent(peer)) peer = *above;
    return peer;
  };
  for (const NodeId peer : living) {
    for (const auto& contact : world.peer(peer).membership().known()) {
      for (const NodeId other : living) {
        const auto* tree = world.peer(other).tree();
        if (tree != nullptr && tree->self() == contact && rootOf(other) != rootOf(peer))
          return true;
      }
    }
  }
  return false;
}

std::vector<NodeId> rootsOf(const World& world) {
  auto roots = world.living();
  std::erase_if(roots, [&](NodeId peer) {
    const auto* tree = world.peer(peer).tree();
    return tree == nullptr || tree->parent();
  });
  return roots;
}

}  // namespace

std::optional<std::string> searchAll(World& world, Duration quiet) {
  std::optional<peer::SearchResult> result;
  const auto living = world.living();
  if (rootsOf(world).size() > 1) return std::nullopt;  // judge() said that they could not meet
  const NodeId asker = living[world.below(living.size())];
  const auto congestions = world.congestions();
  world.find(asker, [&](const peer::SearchResult& r) { result = r; });
  const TimePoint latest = world.now() + 90s;
  const TimePoint least = world.now() + quiet;
  while (!world.failure() && world.now() < latest && (!result || world.now() < least)) {
    world.runUntil(world.now() + 1s);
  }
  if (world.failure()) return world.failure();
  if (!result) return "a search did not end";
  const auto isCounted = [&](NodeId peer) {
    return world.congestions() > congestions &&
           result->moreOf.contains(*PeerId::parse(world.id(peer)));
  };
  std::set<std::string> found;
  for (const auto& file : result->files) {
    found.insert(file.name);
    const auto& first = file.holders.front();
    if (file.name == World::kUnasked &&
        (file.holders.size() > 1 || first.id.text() != world.id(asker))) {
      return fmt::format("{} finds {} at {}, and did not ask for it", world.id(asker), file.name,
                         first.id.text());
    }
  }
  for (const NodeId peer : living) {
    if (!found.contains(World::fileOf(world.id(peer))) && !isCounted(peer)) {
      return fmt::format("{} did not find the file of {} ({})", world.id(asker), world.id(peer),
                         coverageText(*result));
    }
  }
  if (result->searched != living.size() || result->members != living.size()) {
    return fmt::format("{} finds that {}; there are {}", world.id(asker), coverageText(*result),
                       living.size());
  }
  return std::nullopt;
}

namespace {

// Kills one to three peers for good, sometimes while the metaserver is being restarted.
void putToSleep(World& world) {
  for (std::uint64_t count = 1 + world.below(3); count > 0; --count) {
    const auto awake = world.awake();
    if (awake.size() < 2) return;
    world.stop(awake[world.below(awake.size())]);
  }
  if (!world.metaserverUp() || world.below(2) == 0) return;
  world.crashMetaserver();
  world.runUntil(world.now() + std::chrono::milliseconds(world.below(8000)));
  world.restartMetaserver();
}

}  // namespace

std::optional<std::string> judge(const World& world) {
  if (world.failure()) return world.failure();
  const auto living = world.awake();
  std::vector<std::string> roots;
  for (const NodeId peer : living) {
    const auto* tree = world.peer(peer).tree();
    // Without a metaserver no new peer can join.
    if (tree == nullptr) return world.id(peer) + " is not in the network";
    if (!tree->parent()) {
      roots.push_back(world.id(peer));
    } else if (!world.parent(peer)) {
      return fmt::format("{} holds a link to {}, which does not", world.id(peer),
                         tree->parent()->contact.id.text());
    }
  }
  if (roots.size() != 1 && !living.empty() && couldMeet(world)) {
    return fmt::format("there are {} trees, with the roots {}", roots.size(),
                       fmt::join(roots, ", "));
  }
  const auto* registry = world.registry();
  if (registry == nullptr) return std::nullopt;
  if (registry->size() != living.size()) {
    return fmt::format("the metaserver knows {} peers; there are {}", registry->size(),
                       living.size());
  }
  if (const auto reserved = registry->reservedCount(); reserved != 0) {
    return fmt::format("{} places are still reserved", reserved);
  }
  std::map<std::string, std::vector<std::string>> lines;
  bool more = false;
  for (const auto& entry : registry->entries(kNoOrder, SIZE_MAX, more)) {
    for (const auto& neighbour : entry.neighbours) {
      lines[entry.member.id.text()].push_back(neighbour.text());
    }
  }
  const auto& snapshot = registry->tree();
  for (const NodeId peer : living) {
    const auto* tree = world.peer(peer).tree();
    std::vector<std::string> expected;
    for (const auto& neighbour : tree->neighbours()) {
      expected.push_back(neighbour.contact.id.text());
    }
    if (lines[world.id(peer)] != expected) {
      return fmt::format("topo.txt says {}: {}; it holds {}", world.id(peer),
                         fmt::join(lines[world.id(peer)], " "), fmt::join(expected, " "));
    }
    const auto node = snapshot.find(tree->self().id);
    const auto above = node ? snapshot.parent(*node) : std::nullopt;
    const std::string seen = above ? snapshot.member(*above).id.text() : "";
    const std::string real = tree->parent() ? tree->parent()->contact.id.text() : "";
    if (seen != real) {
      return fmt::format("the metaserver's snapshot has {} below \"{}\"; it is below \"{}\"",
                         world.id(peer), seen, real);
    }
  }
  return std::nullopt;
}

std::optional<std::string> rest(World& world, Duration patience, Duration step) {
  const TimePoint latest = world.now() + patience;
  std::optional<std::string> failure;
  do {
    world.runUntil(std::min(world.now() + step, latest));
    failure = judge(world);
  } while (failure && !world.failure() && world.now() < latest);
  return failure;
}

void print(const World& world) {
  for (const NodeId peer : world.living()) {
    const auto& membership = world.peer(peer).membership();
    const auto* tree = membership.tree();
    if (tree == nullptr) continue;
    std::vector<std::string> children;
    for (const auto& child : tree->children()) children.push_back(child.contact.id.text());
    std::vector<std::string> known;
    for (const auto& contact : membership.known()) {
      known.push_back(fmt::format("{}@{}", contact.id.text(), contact.endpoint.port));
    }
    fmt::print(
        "{}@{} order {} label {}.{} below \"{}\" settled {} members {}, children: {}; knows: {}\n",
        world.id(peer), tree->self().endpoint.port, number(tree->self().order),
        tree->label().sequence, tree->label().depth,
        tree->parent() ? tree->parent()->contact.id.text() : "", tree->isRoot(),
        membership.members(), fmt::join(children, " "), fmt::join(known, " "));
  }
}

Outcome run(const Schedule& schedule) {
  Random random(schedule.seed);
  Settings settings = settingsFor(random);
  const std::size_t peers =
      schedule.leastPeers + random() % (schedule.mostPeers - schedule.leastPeers + 1);
  // A search lasts at most a minute, so the delay at each hop must be small in a chain of 500.
  if (peers > 100)
    settings.mostDelay = std::min<std::chrono::microseconds>(settings.mostDelay, 50ms);
  if (schedule.seed % 2 == 1) settings.queuedMessages = 4;  // links congest often
  if (schedule.moving) settings.metaserverPorts = {5000, 4990, 4980};
  Outcome outcome;
  outcome.peers = peers;
  outcome.settings = describe(settings, peers);

  World world(random(), settings);
  world.trace(schedule.trace);
  const bool storm = random() % 2 == 0;
  const auto joining = storm ? std::chrono::milliseconds(100) : std::chrono::milliseconds(kJoining);
  for (std::size_t i = 1; i <= peers; ++i) {
    const auto when =
        std::chrono::milliseconds(world.below(static_cast<std::uint64_t>(joining.count())));
    world.at(world.now() + when, [&world, i] { world.startPeer(fmt::format("s{}", i)); });
  }
  world.runUntil(world.now() + kJoining);

  Troublemaker trouble(world, peers);
  const TimePoint calm = world.now() + kTrouble;
  while (world.now() < calm && !world.failure()) {
    world.runUntil(world.now() + std::chrono::milliseconds(world.below(4000)));
    if (world.living().size() > 1) trouble.once();
  }
  // The faults end: partitions heal, and stopped peers go on.
  world.runUntil(world.now() + 21s);
  world.heal();
  for (const NodeId peer : world.living()) world.resume(peer);
  // New peers need a metaserver. Without one only the former members have to become one tree.
  for (const NodeId peer : world.living()) {
    if (world.peer(peer).tree() == nullptr && !world.metaserverUp()) world.crash(peer);
  }
  const auto patience = 60s + 40 * static_cast<long>(peers) * settings.mostDelay;
  if (random() % 3 == 0) {
    // Some stopped peers never go on. The others must be one tree without them.
    putToSleep(world);
    outcome.failure = rest(world, patience, 5s);
    for (const NodeId peer : world.living()) world.resume(peer);
  }
  if (!outcome.failure) outcome.failure = rest(world, patience, 5s);
  // Without a metaserver the number of members spreads along the tree.
  if (!world.metaserverUp()) world.runUntil(world.now() + patience / 4);
  if (!outcome.failure && world.living().size() > 0) outcome.failure = searchAll(world);
  if (!outcome.failure) outcome.failure = judge(world);
  if (!outcome.failure) outcome.trees = rootsOf(world).size();
  if (!outcome.failure && outcome.trees > 1) {
    // The trees knew nothing of each other. A metaserver brings them together.
    world.restartMetaserver();
    outcome.failure = rest(world, patience, 5s);
    if (!outcome.failure) outcome.failure = searchAll(world);
  }
  if (schedule.trace && outcome.failure) print(world);
  return outcome;
}

}  // namespace espalier::simulation
