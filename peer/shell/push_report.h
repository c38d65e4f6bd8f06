// The state of a push for its user: the ledger joined with the members of the network. Pure
// functions.
#pragma once

#include <optional>
#include <vector>

#include "peer/core/push.h"
#include "peer/shell/push_service.h"

namespace espalier::peer::shell {

// `members`: the members in order of joining, from the metaserver; none if it is out of reach. The
// report has the peers that the push is meant for, without the sender: members in order of joining,
// then other peers of the ledger in theirs, then other targets by id. A peer that has neither
// verified, declined nor failed is out of reach if it is not a member (without the metaserver: if
// its link was lost).
PushReport pushReport(const Pushes::View& view, const std::optional<std::vector<PeerId>>& members);

// Whether no peer is waiting or receiving. With `wait` also no peer is out of reach, and there is
// at least one peer.
bool isComplete(const PushReport& report, bool wait);

}  // namespace espalier::peer::shell
