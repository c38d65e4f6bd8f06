#include "tests/simulation/cluster_schedule.h"

#include <algorithm>

#include "tests/simulation/troublemaker.h"
#include "tests/support/coverage_text.h"

namespace espalier::simulation {
namespace {

using namespace std::chrono_literals;
using metaserver::cluster::ElectionRule;

constexpr auto kClusterJoining = 15s;
constexpr auto kClusterTrouble = 60s;
constexpr std::uint64_t kFaultMost = 20'000;
// Where peers have no troubles, metaservers fail one after the other, so that all peers stay
// members: each fault is over when the next one comes.
constexpr std::uint64_t kGentleMost = 8'000;
constexpr auto kGentlePause = 25s;
constexpr auto kQuiet = 10s;  // at rest, while somebody searches

std::size_t anyOf(World& world, std::size_t count) {
  return static_cast<std::size_t>(world.below(count));
}

std::chrono::milliseconds millis(World& world, std::uint64_t most) {
  return std::chrono::milliseconds(world.below(most));
}

// What happens to metaservers.
class ClusterTrouble {
 public:
  // `most`: how long a fault lasts, in milliseconds.
  ClusterTrouble(World& world, std::uint64_t most, bool isByEtcd)
      : world_(world), cluster_(*world.cluster()), most_(most), isByEtcd_(isByEtcd) {}

  void once() {
    const std::size_t one = anyOf(world_, cluster_.size());
    const std::size_t other = anyOf(world_, cluster_.size());
    if (isByEtcd_ && world_.below(6) == 0) {
      cluster_.cutEtcd(one);
      return healLater();
    }
    switch (world_.below(17)) {
      case 0:
        return kill(one, world_.below(4) == 0);
      case 1:
        cluster_.killSoon(one);
        return startLater(one, most_);
      case 2:
        kill(one, false);
        return cluster_.start(one, wrongClock());  // at once
      case 3:
        return startAll();
      case 4:
      case 5:
        return cluster_.stall(one, 100ms + millis(world_, most_ / 2));
      case 6:
        return isolate(one);
      case 7:
        cluster_.cut(one, other);
        return healLater();
      case 8:
        cluster_.cutBoth(one, other);
        return healLater();
      case 9:
        return cluster_.breakOne();
      case 10:
        if (cluster_.runs(one)) (void)cluster_.appoint(one, other);
        return;
      case 11:
        return cluster_.move(one);
      case 12:
        return cluster_.moveBack(one);
      case 13:
        return cluster_.jumpClock(one, millis(world_, most_));
      case 14:
        return loseMachine(one);
      case 15:
        return most_ < kFaultMost ? cluster_.breakOne() : startTwins();
      default:
        if (world_.below(3) != 0) return cluster_.healAll();
        cluster_.drain(one);
        return startLater(one, most_ + 5000);
    }
  }
  // At their first addresses.
  void startAll() {
    for (std::size_t i = 0; i < cluster_.size(); ++i) {
      cluster_.moveBack(i);
      cluster_.start(i, wrongClock());
    }
  }

 private:
  // Two peers of one new id: the second one is refused, unless they are on different sides of a
  // cut.
  void startTwins() {
    const std::string id = fmt::format("t{}", ++twins_);
    for (int i = 0; i < 2; ++i) {
      world_.at(world_.now() + 1s + millis(world_, 4000), [this, id] { world_.startPeer(id); });
    }
  }
  std::chrono::milliseconds wrongClock() {
    return world_.below(3) == 0 ? millis(world_, 1'200'000) - 600s : 0ms;
  }
  void kill(std::size_t i, bool silently) {
    cluster_.kill(i, silently);
    if (world_.below(5) != 0 || most_ < kFaultMost) startLater(i, most_);
  }
  void startLater(std::size_t i, std::uint64_t within) {
    world_.at(world_.now() + millis(world_, within),
              [this, i] { cluster_.start(i, wrongClock()); });
  }
  // Peers that run beside a metaserver are gone with it.
  void loseMachine(std::size_t i) {
    if (most_ == kFaultMost) {
      for (const NodeId peer : world_.living()) {
        if (world_.homeOf(peer) == i && world_.living().size() > 2 && world_.below(2) == 0) {
          world_.crash(peer);
        }
      }
    }
    kill(i, true);
  }
  // One side of a cut is a random set that has this one.
  void isolate(std::size_t one) {
    std::set<std::size_t> side{one};
    for (std::size_t i = 0; i < cluster_.size(); ++i) {
      if (world_.below(3) == 0) side.insert(i);
    }
    for (const std::size_t here : side) {
      for (std::size_t there = 0; there < cluster_.size(); ++there) {
        if (!side.contains(there)) cluster_.cutBoth(here, there);
      }
    }
    if (most_ == kFaultMost) startTwins();
    healLater();
  }
  void healLater() {
    const bool dies = most_ == kFaultMost && world_.below(3) == 0;
    world_.at(world_.now() + 200ms + millis(world_, most_), [this, dies] {
      if (dies) killDecider();
      cluster_.healAll();
    });
  }
  // As its side meets the other one: its followers know a later epoch than who is left.
  void killDecider() {
    std::vector<std::size_t> deciding;
    for (std::size_t i = 0; i < cluster_.size(); ++i) {
      if (cluster_.runs(i) && cluster_.core(i).registry() != nullptr) deciding.push_back(i);
    }
    if (deciding.size() > 1) kill(deciding[anyOf(world_, deciding.size())], false);
  }

  World& world_;
  test::ClusterNetwork& cluster_;
  const std::uint64_t most_;
  const bool isByEtcd_;
  unsigned twins_ = 0;
};

// Whether one of those that the peer knows is there.
bool knowsMetaserver(const World& world, NodeId peer) {
  const auto& known = world.peer(peer).membership().session().metaservers().all();
  return std::any_of(known.begin(), known.end(), [&](const auto& address) {
    const auto there = world.cluster()->at(address.at);
    return there && world.cluster()->runs(*there);
  });
}

// What a peer must keep while only metaservers have troubles.
struct Place {
  JoinOrder order = kNoOrder;
  Endpoint endpoint;
  std::optional<PeerId> parent;
  std::vector<PeerId> neighbours;

  bool operator==(const Place&) const = default;
};

Place placeOf(const World& world, NodeId peer) {
  Place place;
  const auto* tree = world.peer(peer).tree();
  if (tree == nullptr) return place;
  place.order = tree->self().order;
  place.endpoint = tree->self().endpoint;
  if (tree->parent()) place.parent = tree->parent()->contact.id;
  for (const auto& neighbour : tree->neighbours()) place.neighbours.push_back(neighbour.contact.id);
  return place;
}

// The directory, which all metaservers have, against the peers.
std::optional<std::string> judgeDirectory(const World& world) {
  const auto& cluster = *world.cluster();
  for (std::size_t i = 0; i < cluster.size(); ++i) {
    if (!cluster.runs(i)) continue;
    const auto& copy = cluster.core(i).directory().copy();
    const auto living = world.awake();
    if (copy.rows().size() != living.size()) {
      return fmt::format("the directory of m{} has {} peers; there are {}", 5000 + i,
                         copy.rows().size(), living.size());
    }
    for (const NodeId peer : living) {
      const auto* row = copy.find(*PeerId::parse(world.id(peer)));
      if (row == nullptr) return "the directory lacks " + world.id(peer);
      const auto& self = world.peer(peer).tree()->self();
      if (row->contact != self) {
        return fmt::format("{} has the order {} on {}, in the directory {} on {}", world.id(peer),
                           number(self.order), self.endpoint.text(), number(row->contact.order),
                           row->contact.endpoint.text());
      }
      const auto home = world.homeOf(peer);
      if (!home) return world.id(peer) + " has no home";
      if (row->home != cluster.numberOf(*home)) {
        return fmt::format("the home of {} is m{}, in the directory number {}", world.id(peer),
                           5000 + *home, number(row->home));
      }
    }
  }
  return std::nullopt;
}

std::optional<std::string> judgeAll(World& world) {
  if (auto wrong = world.cluster()->judge()) return wrong;
  if (auto wrong = judge(world)) return wrong;
  return judgeDirectory(world);
}

std::optional<std::string> restAll(World& world, Duration patience) {
  const TimePoint latest = world.now() + patience;
  std::optional<std::string> failure;
  do {
    world.runUntil(std::min(world.now() + 2s, latest));
    failure = world.failure() ? world.failure() : judgeAll(world);
  } while (failure && !world.failure() && world.now() < latest);
  return failure;
}

// Cuts the metaservers into two sides, and waits until each side has removed the other's peers.
// The peers' own links do not meet the cut: a search finds all, and says who counts.
std::optional<std::string> searchWhileCut(World& world, Duration patience) {
  auto& cluster = *world.cluster();
  std::vector<bool> isHere(cluster.size());
  for (std::size_t i = 0; i < cluster.size(); ++i) isHere[i] = world.below(2) == 0;
  for (std::size_t a = 0; a < cluster.size(); ++a) {
    for (std::size_t b = 0; b < cluster.size(); ++b) {
      if (isHere[a] && !isHere[b]) cluster.cutBoth(a, b);
    }
  }
  world.runUntil(world.now() + 60s);
  const auto living = world.living();
  const NodeId asker = living[anyOf(world, living.size())];
  const auto home = world.homeOf(asker);
  if (!home) return world.id(asker) + " has lost its home in a cut among metaservers";
  const auto known = cluster.core(*home).directory().count();
  const auto ours =
      static_cast<std::size_t>(std::count_if(living.begin(), living.end(), [&](NodeId peer) {
        const auto at = world.homeOf(peer);
        return at && isHere[*at] == isHere[*home];
      }));
  std::optional<peer::SearchResult> result;
  world.find(asker, [&](const peer::SearchResult& found) { result = found; });
  world.runUntil(world.now() + 90s);
  if (world.failure()) return world.failure();
  if (!result) return "a search during a cut did not end";
  if (known != ours || result->searched != ours || result->members != ours ||
      result->beyond != living.size() - ours) {
    return fmt::format("during a cut {} finds that {}; its side has {} of {} peers, and knows {}",
                       world.id(asker), coverageText(*result), ours, living.size(), known);
  }
  cluster.healAll();
  return restAll(world, patience);
}

void joinAll(World& world, std::size_t peers) {
  const bool storm = world.below(4) == 0;
  for (std::size_t i = 1; i <= peers; ++i) {
    const auto when = millis(world, storm ? 100 : 12'000);
    world.at(world.now() + when, [&world, i] { world.startPeer(fmt::format("s{}", i)); });
  }
}

void startCluster(World& world, std::size_t count) {
  auto& cluster = *world.cluster();
  const bool together = world.below(2) == 0;
  for (std::size_t i = 0; i < count; ++i) {
    std::set<std::size_t> named{i == 0 ? anyOf(world, count) : anyOf(world, i)};
    if (world.below(2) == 0) named.insert(anyOf(world, count));
    cluster.add(std::move(named));
  }
  for (std::size_t i = 0; i < count; ++i) {
    world.at(world.now() + millis(world, together ? 20 : 1900),
             [&cluster, i] { cluster.start(i); });
  }
}

}  // namespace

Outcome runCluster(const Schedule& schedule) {
  constexpr ElectionRule kRules[] = {ElectionRule::oldest, ElectionRule::oldest,
                                     ElectionRule::address, ElectionRule::priority,
                                     ElectionRule::mostPeers};
  Random random(schedule.seed);
  Settings settings = settingsFor(random);
  settings.mostDelay = std::min<std::chrono::microseconds>(settings.mostDelay, 50ms);
  settings.metaservers = 1 + random() % 7;
  const bool peersRest = random() % 3 == 0;
  if (peersRest) settings.metaservers = std::max<std::size_t>(settings.metaservers, 2);
  settings.cluster.rule = kRules[random() % std::size(kRules)];
  settings.cluster.maxLinks = settings.maxLinks;
  settings.cluster.placement = settings.placement;
  settings.cluster.leastDelay = settings.leastDelay;
  settings.cluster.mostDelay = settings.mostDelay;
  settings.cluster.clockError = random() % 2 == 0 ? 0.1 : 0;
  settings.cluster.isByEtcd = random() % 4 == 0 || schedule.byEtcd;
  const std::size_t peers =
      schedule.leastPeers + random() % (schedule.mostPeers - schedule.leastPeers + 1);
  Outcome outcome;
  outcome.peers = peers;
  outcome.settings =
      fmt::format("{} metaservers, {}{}{}", settings.metaservers, describe(settings, peers),
                  peersRest ? ", resting" : "", settings.cluster.isByEtcd ? ", by etcd" : "");

  World world(random(), settings);
  world.trace(schedule.trace);
  startCluster(world, settings.metaservers);
  // Metaservers that let peers in before they have found each other found networks of their own,
  // which never become one.
  for (int i = 0; i < 10 && (i == 0 || world.cluster()->judge()); ++i)
    world.runUntil(world.now() + 2s);
  joinAll(world, peers);
  world.runUntil(world.now() + kClusterJoining);
  const auto patience = 90s + 40 * static_cast<long>(peers) * settings.mostDelay;
  std::map<NodeId, Place> places;
  if (peersRest) {
    outcome.failure = restAll(world, patience);
    for (const NodeId peer : world.living()) places[peer] = placeOf(world, peer);
  }

  ClusterTrouble clusterTrouble(world, peersRest ? kGentleMost : kFaultMost,
                                settings.cluster.isByEtcd);
  Troublemaker peerTrouble(world, peers);
  const TimePoint calm = world.now() + (peersRest ? 3 : 1) * kClusterTrouble;
  while (!outcome.failure && world.now() < calm && !world.failure()) {
    world.runUntil(world.now() + millis(world, 4000));
    if (peersRest) world.runUntil(world.now() + kGentlePause);
    if (peersRest || world.below(2) == 0) {
      clusterTrouble.once();
    } else if (world.living().size() > 1) {
      peerTrouble.once();
    }
  }
  // The faults end.
  if (!outcome.failure) world.runUntil(world.now() + 31s);
  auto& cluster = *world.cluster();
  cluster.healAll();
  cluster.spareAll();
  world.heal();
  for (const NodeId peer : world.living()) world.resume(peer);
  // Who knows only metaservers that are dead, or have moved, waits until one of them is back.
  const auto living = world.living();
  const bool someWait = std::any_of(living.begin(), living.end(), [&](NodeId peer) {
    return world.peer(peer).tree() == nullptr || !knowsMetaserver(world, peer);
  });
  if (!world.metaserverUp() || someWait || world.below(2) == 0) clusterTrouble.startAll();
  for (const NodeId peer : living) {
    if (knowsMetaserver(world, peer)) continue;
    world.crash(peer);  // its user gives it other addresses
    world.revive(peer);
  }
  if (!outcome.failure) outcome.failure = restAll(world, patience);
  for (const auto& [peer, place] : places) {
    if (outcome.failure) break;
    if (placeOf(world, peer) == place) continue;
    outcome.failure = fmt::format(
        "{} has another place in the tree, although only metaservers failed", world.id(peer));
  }
  if (!outcome.failure && !world.living().empty()) outcome.failure = searchAll(world, kQuiet);
  const bool isOneTree = std::count_if(living.begin(), living.end(), [&](NodeId peer) {
                           const auto* tree = world.peer(peer).tree();
                           return tree != nullptr && tree->isRoot();
                         }) == 1;
  // With etcd only one side decides, and the other one keeps its copy.
  if (!outcome.failure && isOneTree && !settings.cluster.isByEtcd && world.below(2) == 0) {
    outcome.failure = searchWhileCut(world, patience);
  }
  if (!outcome.failure) outcome.failure = world.failure();
  if (!outcome.failure) outcome.failure = judgeAll(world);
  if (schedule.trace && outcome.failure) {
    print(world);
    fmt::print("{}", cluster.describe());
  }
  return outcome;
}

}  // namespace espalier::simulation
