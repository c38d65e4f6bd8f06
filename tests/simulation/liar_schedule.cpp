#include "tests/simulation/liar_schedule.h"

#include <algorithm>

#include "tests/simulation/honest.h"
#include "tests/simulation/liar.h"
#include "tests/simulation/push_schedule.h"
#include "tests/simulation/troublemaker.h"

namespace espalier::simulation {
namespace {

using namespace std::chrono_literals;

constexpr auto kJoined = 10s;
constexpr auto kTroubled = 40s;
constexpr std::uint64_t kPeersForALiar = 8;
constexpr std::size_t kHonestPushes = 2;
constexpr std::uint64_t kFailures = 3;

// The lies against which honest peers are safe. --lies tries any others. Mutes are a kind of their
// own, because less can be demanded beside them.
constexpr Lie kWithstood[] = {Lie::hits,     Lie::coverage, Lie::ledger,
                              Lie::attaches, Lie::gossip,   Lie::registry};

std::set<Lie> someLies(Random& random, const std::set<Lie>& only) {
  if (!only.empty()) return only;
  if (random() % 12 == 0) return {Lie::mute};
  std::set<Lie> lies;
  while (lies.empty() || random() % 2 == 0) {
    lies.insert(kWithstood[random() % std::size(kWithstood)]);
  }
  return lies;
}

class Cast {
 public:
  Cast(World& world, const std::set<Lie>& only) : world_(world), only_(only) {}

  Conduct next() {
    Conduct conduct = someConduct(world_.random());
    conduct.spoils = conduct.hoards = false;  // of liars alone
    if (world_.below(kPeersForALiar) == 0) makeLiar(conduct);
    return conduct;
  }
  void makeLiar(Conduct& conduct) {
    conduct.lies = someLies(world_.random(), only_);
    conduct.spoils = world_.below(2) == 0;
  }

 private:
  World& world_;
  const std::set<Lie>& only_;
};

void push(World& world) {
  constexpr std::uint64_t kChunks[] = {1, 5, 40};
  auto senders = world.awake();
  std::erase_if(senders, [&](NodeId peer) {
    return !world.isHonest(peer) || world.peer(peer).pushes() == nullptr;
  });
  if (senders.empty() || world.pushes().size() == kHonestPushes) return;
  world.push(senders[world.below(senders.size())], kChunks[world.below(std::size(kChunks))]);
}

void trouble(World& world, Troublemaker& troublemaker) {
  const TimePoint calm = world.now() + kTroubled;
  while (world.now() < calm && !world.failure()) {
    world.runUntil(world.now() + std::chrono::milliseconds(world.below(3000)));
    if (world.living().size() < 3) continue;
    if (world.below(6) == 0) {
      push(world);
    } else if (world.below(kFailures) == 0) {
      troublemaker.once();
    }
  }
  world.runUntil(world.now() + 21s);
  world.heal();
  for (const NodeId peer : world.living()) world.resume(peer);
  world.restartMetaserver();
}

std::optional<std::string> restHonest(World& world, Duration patience) {
  const TimePoint latest = world.now() + patience;
  std::optional<std::string> wrong;
  do {
    world.runUntil(world.now() + 3s);
    wrong = judgeHonest(world);
  } while (wrong && !world.failure() && world.now() < latest);
  return wrong;
}

}  // namespace

Outcome runLiars(const Schedule& schedule) {
  Random random(schedule.seed);
  Settings settings = settingsFor(random);
  settings.mostDelay = std::min<std::chrono::microseconds>(settings.mostDelay, 50ms);
  Outcome outcome;
  outcome.peers = schedule.leastPeers + random() % (schedule.mostPeers - schedule.leastPeers + 1);
  World world(random(), settings);
  world.trace(schedule.trace);
  Cast cast(world, schedule.only);
  const std::uint64_t joining = random() % 2 == 0 ? 100 : 5000;
  const auto liar = 1 + world.below(outcome.peers);
  std::set<Lie> lies;
  for (std::size_t i = 1; i <= outcome.peers; ++i) {
    Conduct conduct = cast.next();
    if (i == liar && conduct.lies.empty()) cast.makeLiar(conduct);
    lies.insert(conduct.lies.begin(), conduct.lies.end());
    world.at(world.now() + std::chrono::milliseconds(world.below(joining)),
             [&world, i, conduct] { world.startPeer(fmt::format("s{}", i), conduct); });
  }
  outcome.settings = describe(settings, outcome.peers) + ", lies of " + describe(lies);
  world.runUntil(world.now() + kJoined);
  Troublemaker troublemaker(world, outcome.peers, [&cast] { return cast.next(); });
  push(world);
  trouble(world, troublemaker);

  const auto patience = 60s + 40 * static_cast<long>(outcome.peers) * settings.mostDelay;
  const auto check = [&](auto&& one) {
    if (!outcome.failure) outcome.failure = one();
  };
  check([&] { return restHonest(world, patience); });
  check([&] { return searchHonest(world); });
  world.letLie(false);
  check([&] { return restHonest(world, patience); });
  check([&] { return searchHonest(world); });
  check([&] { return restPushes(world); });
  return outcome;
}

}  // namespace espalier::simulation
