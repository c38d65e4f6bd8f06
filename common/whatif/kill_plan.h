// The outcome of `whatif kill ID`, which both programs have: the plan by which the network heals
// (topo/plan.h), and the network after it.
//
// Apart from topo/, because a core knows nothing of commands, and from common/command/, because
// that knows nothing of trees. Pure function; called by the services of both programs.
#pragma once

#include "common/command/network_commands.h"
#include "topo/forest.h"

namespace espalier::whatif {

// An error of code `failed` if that peer is not in the tree. O(size).
Result<command::KillPlan> killPlan(const topo::Forest& tree, const PeerId& victim);

}  // namespace espalier::whatif
