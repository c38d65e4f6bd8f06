// What of an answer is believed.
//
// A hit counts only if it matches the query as a holder would match it, and within the share of its
// branch (hit_shares.h); others are counted, not kept. Comparing costs steps, of which each link
// has a bucket: a glob, and names for it, can be made to be slow by two peers that work together.
// What this peer shares it says itself: claims about it are ignored.
//
// Each misbehaviour is told once a link. No I/O. A hit costs O(log n), and steps of its link.
#pragma once

#include "common/base/clock.h"
#include "common/wire/search.h"
#include "peer/core/effects.h"
#include "peer/core/open_search.h"
#include "peer/core/search_link.h"

namespace espalier::peer {

// Adds what the answer of that branch brings to what the search knows.
void learnAnswer(const PeerId& self, OpenSearch& search, SearchLink& link, SearchBranch& branch,
                 const wire::Answer& answer, TimePoint now, Effects& fx);

}  // namespace espalier::peer
