// What `share PATH` came to: how many files of it are shared, and what of it is not, and why.
#pragma once

#include <stop_token>
#include <string>

#include "common/base/fs.h"
#include "peer/share/snapshot.h"
#include "peer/shell/share_service.h"

namespace espalier::peer::shell {

// Looks at what lies at `path` (a path of this machine, or a share name), and compares it with what
// `snapshot` shares. With `published` a file that is not in there is one that cannot be shared. An
// error says why nothing of it can be. Blocks on the disk: about a second for 10^5 files.
Result<ShareChange> shareChange(const std::string& path, const share::Snapshot& snapshot,
                                bool published, const std::stop_token& stop);

}  // namespace espalier::peer::shell
