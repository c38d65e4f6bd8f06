// Checks that a tree keeps the invariants of tree.h: everything is worked out again from the links.
// For tests and the simulation.
#pragma once

#include "common/base/result.h"
#include "topo/tree.h"

namespace espalier::topo {

// O(n log n). The message says at which peer what is wrong.
Result<void> checkInvariants(const Tree& tree);

}  // namespace espalier::topo
