// Injects the faults of a schedule into a World: peers crash, leave, stop, come back and join, the
// network is partitioned, the metaserver dies. It draws from the World's generator, so a seed
// repeats exactly. Used by schedule.cpp and push_schedule.cpp.
#pragma once

#include <functional>
#include <vector>

#include "tests/simulation/world.h"

namespace espalier::simulation {

class Troublemaker {
 public:
  // s1 to sN exist, with N = `peers`. New peers get the ids that follow.
  Troublemaker(World& world, std::size_t peers, std::function<Conduct()> conduct = {})
      : world_(world), next_(peers), conduct_(std::move(conduct)) {}

  // Injects one random fault.
  void once();

  NodeId anybody();  // a random living peer

 private:
  void crashSome(std::size_t count);
  void reviveSome();
  void restartSome();
  void standStill();
  void cut();
  void metaserver();
  void findSomething();

  World& world_;
  std::size_t next_;
  std::function<Conduct()> conduct_;  // of new peers
  std::vector<NodeId> dead_;
};

}  // namespace espalier::simulation
