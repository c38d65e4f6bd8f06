// Finds out which size a root has when holders, or peers that speak for them, claim different ones.
// At most one is right, and only the whole file proves which. Therefore each endpoint is asked
// itself, once, whatever ids are said to be there: what other peers claimed about it no longer
// counts, and a liar has only one size an endpoint. Called by Downloader.
#pragma once

#include <cstdint>
#include <stop_token>
#include <vector>

#include "common/base/ids.h"
#include "peer/transfer/downloader.h"

namespace espalier::transfer {

// The sizes to try, in order: first those that endpoints confirmed, the one with the most of them
// first, then those of endpoints that are busy or may be dialled only later. If there are none, the
// claimed ones. Blocks for one dial and one answer for each limits::kFetchSources endpoints; asks
// limits::kFetchHolders at most.
std::vector<SizeClaim> askSizes(const FileRoot& root, std::vector<SizeClaim> claims,
                                DialTargets& dials, const Timeouts& timeouts, std::stop_token stop);

}  // namespace espalier::transfer
