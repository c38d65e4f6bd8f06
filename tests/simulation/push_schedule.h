// One seeded run with pushes: peers join, of whom some decline, lie, give nothing or have a bad
// disk. Pushes begin; then for a while all that a schedule knows happens, connections break,
// senders go as soon as another one has everything, pushes are cancelled. Once all is calm, each
// push must come to rest as push_witness.h says.
#pragma once

#include "tests/simulation/schedule.h"

namespace espalier::simulation {

Outcome runPushes(const Schedule& schedule);

}  // namespace espalier::simulation
