// What `whatif kill ID` shows is what happens: in a network at rest each peer in turn is killed,
// with the metaserver alive and, where the tree is a line, also without it. What the network looks
// like a moment later is compared with the plan that was made just before, from the metaserver's
// picture and from what it tells peers.
#pragma once

#include "tests/simulation/schedule.h"

namespace espalier::simulation {

Outcome killEach(const Schedule& schedule);

}  // namespace espalier::simulation
