// Checks the invariants of forest.h: computes everything again from the links. For tests and the
// simulation. Pure function.
#pragma once

#include "common/base/result.h"
#include "topo/forest.h"

namespace espalier::topo {

// O(n log n). The message says at which peer what is wrong.
Result<void> checkInvariants(const Forest& tree);

}  // namespace espalier::topo
