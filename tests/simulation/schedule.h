// One seeded run:
//   1. Peers join.
//   2. For a while faults occur (troublemaker.h): peers crash, leave, stop and come back, the
//      network is partitioned, the metaserver dies.
//   3. The faults end. The network must come to rest as one tree, and a search must find all files.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "tests/simulation/world.h"

namespace espalier::simulation {

struct Schedule {
  std::uint64_t seed = 1;
  std::size_t leastPeers = 3;
  std::size_t mostPeers = 40;
  bool trace = false;
  bool moving = false;      // the metaserver starts at another port each time
  bool byEtcd = false;      // with a cluster: etcd says who decides in all runs
  std::set<Lie> only = {};  // with liars: they lie in these ways only; empty: in any
};

struct Outcome {
  std::optional<std::string> failure;
  std::size_t peers = 0;
  std::string settings;  // for the report
  // At the end. There may be several trees if there was no metaserver and no peer knew a member of
  // another tree. Then a metaserver is started, and the trees must become one.
  std::size_t trees = 1;
};

Outcome run(const Schedule& schedule);

// Runs until judge() finds nothing wrong. Calls it every `step`. Returns what is wrong in the end.
std::optional<std::string> rest(World& world, Duration patience, Duration step);

// The links, placement and delays of a run, drawn from its seed; and the text for the report.
Settings settingsFor(Random& random);
std::string describe(const Settings& settings, std::size_t peers);

// Checks the peers that are awake, at rest: they are one tree, and both ends of each link agree. A
// metaserver, if there is one, has the same tree in its snapshot and in topo.txt. Returns the first
// thing that is wrong.
std::optional<std::string> judge(const World& world);

// Searches from a random peer, at rest: every peer must have answered, and its file been found. A
// link with a full queue passes on counts of hits instead of hits. Then the result names the peer
// among those with more hits. Runs for `quiet` at least.
std::optional<std::string> searchAll(World& world, Duration quiet = std::chrono::seconds(90));

// Prints the tree, and the contacts of each peer.
void print(const World& world);

}  // namespace espalier::simulation
