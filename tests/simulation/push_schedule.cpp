#include "tests/simulation/push_schedule.h"

#include <algorithm>

#include "tests/simulation/troublemaker.h"

namespace espalier::simulation {
namespace {

using namespace std::chrono_literals;
using peer::PushPolicy;

constexpr auto kPushJoining = 8s;
constexpr auto kPushTrouble = 30s;
constexpr auto kPatience = 3h;  // for slow hosts, and for sources that serve nothing
constexpr std::size_t kPushesInAll = 4;

}  // namespace

Conduct someConduct(Random& random) {
  Conduct conduct;
  conduct.accepts = {PushPolicy::From::all, {}, 1'000'000'000};
  switch (random() % 16) {
    case 0:
      conduct.accepts.from = PushPolicy::From::none;
      break;
    case 1:
      conduct.accepts.from = PushPolicy::From::some;
      conduct.accepts.senders = {*PeerId::parse("s1"), *PeerId::parse("s2")};
      break;
    case 2:
      conduct.accepts.limitBytes = 4 * limits::kPushChunkBytes;
      break;
    case 3:
      conduct.spoils = true;
      break;
    case 4:
      conduct.hoards = true;
      break;
    case 5:
      conduct.diskFails = random() % 2 == 0;
      break;
    default:
      break;
  }
  return conduct;
}

namespace {

class Pusher {
 public:
  Pusher(World& world, std::size_t peers)
      : world_(world), trouble_(world, peers, [&world] { return someConduct(world.random()); }) {}

  void push() {
    // A slow host needs more than limits::kPushKept for the largest push.
    constexpr std::uint64_t kChunks[] = {1, 4, 5, 30, 200, 2500};
    const NodeId sender = trouble_.anybody();
    if (world_.pushes().size() == kPushesInAll || world_.stopped(sender) ||
        world_.peer(sender).pushes() == nullptr) {
      return;
    }
    world_.push(sender, kChunks[world_.below(std::size(kChunks))]);
  }

  void once() {
    switch (world_.below(10)) {
      case 0:
      case 1:
        return push();
      case 2:
      case 3:
      case 4:
        return world_.sever();
      case 5:
        return loseSender();
      case 6:
        if (world_.below(3) == 0) return cancel();
        return push();
      default:
        trouble_.once();
    }
  }

 private:
  // The sender leaves for good, once another peer has everything.
  void loseSender() {
    for (const auto& push : world_.pushes()) {
      const auto awake = world_.awake();
      const bool another = std::any_of(awake.begin(), awake.end(), [&](NodeId node) {
        return node != push.sender && !world_.conduct(node).spoils &&
               world_.witness().hasAll(node, push);
      });
      if (another && awake.size() > 2) return world_.crash(push.sender);
    }
  }

  void cancel() {
    const auto& pushes = world_.pushes();
    if (!pushes.empty()) world_.cancel(pushes[world_.below(pushes.size())]);
  }

  World& world_;
  Troublemaker trouble_;
};

}  // namespace

std::optional<std::string> restPushes(World& world) {
  const TimePoint latest = world.now() + kPatience;
  std::optional<std::string> wrong;
  do {
    world.runUntil(world.now() + 2s);
    wrong = world.failure() ? world.failure() : world.witness().atRest();
  } while (wrong && !world.failure() && world.now() < latest);
  return wrong;
}

Outcome runPushes(const Schedule& schedule) {
  constexpr double kUploads[] = {400e3, 5e6, 50e6};
  Random random(schedule.seed);
  Settings settings = settingsFor(random);
  settings.uploadBytesPerSecond = kUploads[random() % std::size(kUploads)];
  Outcome outcome;
  outcome.peers = schedule.leastPeers + random() % (schedule.mostPeers - schedule.leastPeers + 1);
  outcome.settings = describe(settings, outcome.peers) +
                     fmt::format(", {:.0f} kB/s up", settings.uploadBytesPerSecond / 1e3);
  World world(random(), settings);
  world.trace(schedule.trace);
  const std::uint64_t joining = random() % 2 == 0 ? 100 : 5000;
  for (std::size_t i = 1; i <= outcome.peers; ++i) {
    world.at(world.now() + std::chrono::milliseconds(world.below(joining)),
             [&world, i] { world.startPeer(fmt::format("s{}", i), someConduct(world.random())); });
  }
  world.runUntil(world.now() + kPushJoining);

  Pusher pusher(world, outcome.peers);
  pusher.push();
  const TimePoint calm = world.now() + kPushTrouble;
  while (world.now() < calm && !world.failure()) {
    world.runUntil(world.now() + std::chrono::milliseconds(world.below(2000)));
    if (world.living().size() > 1) pusher.once();
  }
  world.runUntil(world.now() + 21s);
  world.heal();
  for (const NodeId peer : world.living()) world.resume(peer);
  world.restartMetaserver();
  const auto patience = 60s + 40 * static_cast<long>(outcome.peers) * settings.mostDelay;
  outcome.failure = rest(world, patience, 5s);
  if (!outcome.failure) outcome.failure = restPushes(world);
  return outcome;
}

}  // namespace espalier::simulation
