// One root of which holders, or those who speak for them, say different sizes: one at most is
// right, and which one shows for sure only when the whole file has arrived. So each endpoint is
// asked itself, once: what others said of a peer counts for nothing then, and who lies has one size
// an endpoint.
#pragma once

#include <cstdint>
#include <stop_token>
#include <vector>

#include "common/base/ids.h"
#include "peer/transfer/downloader.h"

namespace espalier::transfer {

// The sizes to try, in this order: those that endpoints stood by, the most ids first, then those of
// endpoints that have no time now. If there is neither, what was claimed. Blocks for the time of
// one dial and one answer, for each limits::kFetchSources endpoints; asks limits::kFetchHolders at
// most.
std::vector<SizeClaim> askSizes(const FileRoot& root, std::vector<SizeClaim> claims,
                                const Timeouts& timeouts, std::stop_token stop);

}  // namespace espalier::transfer
