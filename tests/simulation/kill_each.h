// What `whatif kill ID` shows is what happens: in a network at rest each peer in turn is killed,
// with the metaserver or without it. The network a moment later is compared with the plan that was
// made just before, from the metaserver's snapshot and from what it tells peers. (Without the
// metaserver only where the tree is a line; else it need only be one tree again.)
#pragma once

#include "tests/simulation/schedule.h"

namespace espalier::simulation {

Outcome killEach(const Schedule& schedule);

}  // namespace espalier::simulation
