// What `whatif kill ID` shows, as the commands' outcome: the plan that healing follows, and the
// network after it.
#pragma once

#include "common/command/network_commands.h"
#include "topo/plan.h"

namespace espalier::topo {

// An error of code `failed` if that peer is not in the tree. O(size).
Result<command::KillPlan> killPlan(const Tree& tree, const PeerId& victim);

}  // namespace espalier::topo
