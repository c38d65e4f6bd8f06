// One seeded run: peers join; then for a while they crash, leave, stand still, come back, the
// network is cut, the metaserver dies; then all is calm, and the network must come to rest as one
// tree.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "tests/simulation/world.h"

namespace espalier::simulation {

struct Schedule {
  std::uint64_t seed = 1;
  std::size_t leastPeers = 3;
  std::size_t mostPeers = 40;
  bool trace = false;
};

struct Outcome {
  std::optional<std::string> failure;
  std::size_t peers = 0;
  std::string settings;  // for the report
  // At the end: more than one where there was no metaserver and nobody knew anybody of another
  // tree. Then one is started, and they must become one tree.
  std::size_t trees = 1;
};

Outcome run(const Schedule& schedule);

// Runs until the judge is content, looking every `step`; what is wrong if it never was.
std::optional<std::string> rest(World& world, Duration patience, Duration step);

// Links, placement and delays of a run, from its seed; and as text for the report.
Settings settingsFor(Random& random);
std::string describe(const Settings& settings, std::size_t peers);

// What must hold of all that are awake once all is calm: one tree, both ends of each link agree,
// and, if there is a metaserver, it sees that same tree and topo.txt says so. The first thing that
// does not.
std::optional<std::string> judge(const World& world);

}  // namespace espalier::simulation
