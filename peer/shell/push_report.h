// A push as its sender sees it: the ledger, held against who is in the network. Pure functions.
#pragma once

#include <optional>
#include <vector>

#include "peer/core/push.h"
#include "peer/shell/push_service.h"

namespace espalier::peer::shell {

// `members`: who is in the network, in order of joining, as the metaserver says; nothing when it is
// out of reach. Who takes part, holds it or has said no is told by the ledger; who is in neither
// state and not in the network (or, without the metaserver, lost its link) is out of reach. Without
// the sender; only those that the push is meant for, in order of joining, then the others by id.
PushReport pushReport(const Pushes::View& view, const std::optional<std::vector<PeerId>>& members);

// Whether there is nothing more to be waited for: nobody is on the way. With `wait` nobody is out
// of reach either, and there is somebody.
bool isComplete(const PushReport& report, bool wait);

}  // namespace espalier::peer::shell
