// Checks the invariants of forest.h: works everything out again from the links. For tests and the
// simulation.
#pragma once

#include "common/base/result.h"
#include "topo/forest.h"

namespace espalier::topo {

// O(n log n). The message says at which peer what is wrong.
Result<void> checkInvariants(const Forest& tree);

}  // namespace espalier::topo
