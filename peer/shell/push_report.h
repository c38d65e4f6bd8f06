// The state of a push for its user: the ledger joined with the members of the network. Pure
// functions.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "common/wire/registry.h"
#include "peer/core/push.h"
#include "peer/shell/push_service.h"

namespace espalier::peer::shell {

// Of each peer the neighbour that leads to it in the tree, as the metaserver knows the tree.
using PushWays = std::map<PeerId, PeerId>;
PushWays pushWays(const std::vector<wire::TopologyEntry>& topology, const PeerId& self);

// `members`: the members in order of joining, from the metaserver; none if it is out of reach. The
// report has the peers that the push is meant for, without the sender: members in order of joining,
// then other peers of the ledger in theirs, then other targets by id. A peer that has neither
// verified, declined nor failed is out of reach if it is not a member (without the metaserver: if
// its link was lost).
//
// Where two links tell differently of a peer (PushTellers), the link counts that leads to it by
// `ways`. If only other links told of it, or that link is not known, the peer is doubted: it is
// reported as one that still receives, or is out of reach. It may have moved in the tree since, so
// the caller names the members that are `believed` all the same: then the latest of what was told
// counts, but if that link is not known, a peer of which links tell differently has failed.
PushReport pushReport(const Pushes::View& view, const std::optional<std::vector<PeerId>>& members,
                      const PushWays& ways, const std::set<PeerId>& believed = {});

// Whether no peer is waiting or receiving. With `wait` also no peer is out of reach, and there is
// at least one peer.
bool isComplete(const PushReport& report, bool wait);

}  // namespace espalier::peer::shell
