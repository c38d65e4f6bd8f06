// The outcome of `share PATH`: how many files below it are shared, and which are not, and why.
#pragma once

#include <stop_token>
#include <string>

#include "common/base/fs.h"
#include "peer/share/snapshot.h"
#include "peer/shell/share_service.h"

namespace espalier::peer::shell {

// Walks `path` (a path of this machine, or a share name) and compares it with `snapshot`.
// `published`: the snapshot is complete, so a file that it lacks cannot be shared. An error says
// why nothing below the path can be shared. Blocks on the disk: about a second for 10^5 files.
Result<ShareChange> shareChange(const std::string& path, const share::Snapshot& snapshot,
                                bool published, const std::stop_token& stop);

}  // namespace espalier::peer::shell
