// Checks that `whatif kill ID` predicts what happens. In a network at rest it kills each peer in
// turn, with or without a metaserver, and compares the network a moment later with the plan.
//
// The plan is made just before the death, twice: from the metaserver's snapshot, and from the
// topology that the metaserver sends to peers. Without a metaserver the plan is binding only if the
// tree is a chain. Otherwise the network only has to become one tree again.
#pragma once

#include "tests/simulation/schedule.h"

namespace espalier::simulation {

Outcome killEach(const Schedule& schedule);

}  // namespace espalier::simulation
