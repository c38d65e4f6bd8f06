// What must hold of the honest peers of a World with liars (liar_schedule.h). Each check returns
// what is wrong; nothing: all is well. The World is read only, but for searchHonest(), which
// searches.
#pragma once

#include <optional>
#include <string>

#include "tests/simulation/world.h"

namespace espalier::simulation {

// The tree, the metaserver's view of it, and the size of tables. At rest.
std::optional<std::string> judgeHonest(const World& world);

// Searches from an honest peer.
std::optional<std::string> searchHonest(World& world);

}  // namespace espalier::simulation
