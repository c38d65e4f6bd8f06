// Checks the answers of other peers, and adds what is believed to the search.
//
//   a hit that can be a file, matches the query, and has room (hit_shares.h)     kept
//   a hit for which the branch has no room, or the link no steps                 counted
//   a hit that cannot be a file, or does not match the query                     ignored, warned of
//   a claim about this peer, or over one link about the neighbour of another     ignored
//   that more peers have answered than are behind the link                       waits, or ignored
//
// A comparison costs steps, and each link has a bucket of steps: two peers that collude can choose
// a glob and names that are slow to match.
//
// Called by Searches. Does no I/O. Each misbehaviour is warned of once a link. A hit costs O(log n)
// and its steps.
#pragma once

#include "common/base/clock.h"
#include "common/wire/search.h"
#include "peer/core/effects.h"
#include "peer/core/open_search.h"
#include "peer/core/search_link.h"

namespace espalier::peer {

// Adds the answer of a branch to what the search knows.
void learnAnswer(const SearchScene& scene, OpenSearch& search, ConnectionId id, SearchLink& link,
                 SearchBranch& branch, const wire::Answer& answer, TimePoint now, Effects& fx);

}  // namespace espalier::peer
