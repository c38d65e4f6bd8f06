// Masters by etcd while messages are lost and late, processes stand still, and clocks differ.
#include <doctest/doctest.h>

#include "tests/unit/etcd_world.h"

using namespace espalier;
using namespace espalier::metaserver::cluster;
using namespace std::chrono_literals;

namespace {

struct Sum {
  unsigned masterships = 0;
  unsigned kept = 0;
  unsigned unknown = 0;
  unsigned late = 0;
  unsigned wrong = 0;
};

void disturb(EtcdWorld& world) {
  const std::size_t index = world.below(world.nodes.size());
  auto& node = world.nodes[index];
  const bool isAwake = node.core && node.stalledUntil <= world.now;
  switch (world.below(12)) {
    case 0:
      return node.core ? world.stop(index) : world.start(index);
    case 1:
      return world.start(index);
    case 2:
      node.isCut = !node.isCut;
      return;
    case 3:
      return world.breakWatch(index);
    case 4:
      node.isWatchDead = true;
      return;
    case 5:
      return world.electEtcd(world.upTo(3s));
    case 6:
      if (!isAwake) return;
      return world.step(index, [&](Mastership& core, TimePoint at, EtcdEffects& fx) {
        core.handOver(world.below(2) == 0 ? std::nullopt : std::optional(candidate(0).name), at,
                      fx);
      });
    case 7:
      if (!isAwake) return;
      return world.step(index, [&](Mastership& core, TimePoint at, EtcdEffects& fx) {
        core.setPeers(3, world.below(3) == 0, at, fx);
      });
    case 8:
      world.mostDelay = 1ms + world.upTo(world.below(3) == 0 ? 1500ms : 100ms);
      return;
    case 9:
      world.lossPercent = world.below(2) == 0 ? 0 : static_cast<unsigned>(world.below(40));
      world.latePercent = world.below(2) == 0 ? 0 : static_cast<unsigned>(world.below(60));
      return;
    default:
      // Of masters above all.
      if (auto* master = world.master(); master && world.below(2) == 0) {
        master->stalledUntil = world.now + world.upTo(8s);
      } else {
        node.stalledUntil = world.now + world.upTo(8s);
      }
  }
}

void promiseAnything(EtcdWorld& world) {
  for (std::size_t index = 0; index < world.nodes.size(); ++index) {
    const auto& node = world.nodes[index];
    if (node.core && node.core->epoch() && node.stalledUntil <= world.now) world.promise(index);
  }
}

void calmDown(EtcdWorld& world) {
  world.lossPercent = 0;
  world.latePercent = 0;
  world.mostDelay = 20ms;
  for (std::size_t index = 0; index < world.nodes.size(); ++index) {
    auto& node = world.nodes[index];
    node.isCut = false;
    node.stalledUntil = {};
    if (!node.core) world.start(index);
    world.step(index, [&](Mastership& core, TimePoint at, EtcdEffects& fx) {
      core.setPeers(0, false, at, fx);
    });
  }
  world.run(20s);
}

Sum runSchedule(std::uint64_t seed, EtcdWorld::Fault fault = EtcdWorld::Fault::none,
                bool breaksLeases = false) {
  EtcdWorld world(seed, 1 + seed % 5, fault);
  world.mayBelieveTogether = breaksLeases;
  for (int round = 0; round < 60; ++round) {
    if (world.below(3) == 0) disturb(world);
    if (breaksLeases && world.below(10) == 0) world.etcd.endLeases();
    promiseAnything(world);
    world.run(world.upTo(1500ms));
  }
  if (fault == EtcdWorld::Fault::none) {
    calmDown(world);
    auto* master = world.master();
    if (!master) {
      world.wrong.push_back("no master at rest");
    } else {
      const unsigned before = world.kept;
      promiseAnything(world);
      world.run(1s);
      if (world.kept != before + 1) world.wrong.push_back("a promise is not kept at rest");
      for (const auto& node : world.nodes) {
        const auto& seen = node.core->master();
        if (!seen || !master->core->master() || seen->name != master->core->master()->name) {
          world.wrong.push_back("somebody sees another master at rest");
        }
      }
    }
    CAPTURE(seed);
    for (const auto& what : world.wrong) FAIL_CHECK(what);
  }
  return {world.masterships, world.kept, world.unknown, world.late,
          static_cast<unsigned>(world.wrong.size())};
}

}  // namespace

TEST_CASE("no two metaservers are master at one moment, and no older one writes after a newer") {
  Sum sum;
  for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
    const Sum one = runSchedule(seed);
    sum.masterships += one.masterships;
    sum.kept += one.kept;
    sum.unknown += one.unknown;
    sum.late += one.late;
  }
  MESSAGE(sum.masterships, " masterships, ", sum.kept, " kept, ", sum.unknown, " unknown, ",
          sum.late, " late");
  CHECK(sum.masterships > 4000);
  CHECK(sum.kept > 4000);
  CHECK(sum.unknown > 250);
  CHECK(sum.late > 2500);
}

TEST_CASE("while etcd ends living leases no older master writes after a newer one") {
  for (std::uint64_t seed = 1000; seed <= 1100; ++seed) {
    runSchedule(seed, EtcdWorld::Fault::none, true);
  }
}

TEST_CASE("these schedules find transactions that do not compare the master's key") {
  unsigned found = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    found += runSchedule(seed, EtcdWorld::Fault::comparesNothing).wrong > 0 ? 1 : 0;
  }
  CHECK(found > 5);
}

TEST_CASE("these schedules find transactions that are repeated late") {
  unsigned found = 0;
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    found += runSchedule(seed, EtcdWorld::Fault::repeatsLate).wrong > 0 ? 1 : 0;
  }
  CHECK(found > 5);
}
