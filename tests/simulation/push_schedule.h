// One seeded run with pushes:
//   1. Peers join. Some of them decline pushes, lie, serve nothing, or have a bad disk.
//   2. Pushes begin. For a while the faults of a schedule occur, and connections break. Senders
//      leave as soon as another peer has everything. Pushes are cancelled.
//   3. The faults end. Each push must come to rest as push_witness.h says.
#pragma once

#include "tests/simulation/schedule.h"

namespace espalier::simulation {

// How a new peer treats pushes.
Conduct someConduct(Random& random);

// Runs until every push is at rest. Returns what is wrong with one that did not come to rest.
std::optional<std::string> restPushes(World& world);

Outcome runPushes(const Schedule& schedule);

}  // namespace espalier::simulation
