// Which files a `push` names: paths of this machine, else names as `list` shows them.
#pragma once

#include <string>
#include <vector>

#include "common/base/result.h"
#include "peer/share/snapshot.h"
#include "peer/transfer/push_files.h"

namespace espalier::peer::shell {

// `names[i]` is `paths[i]` as it was typed. If nothing has the path, the name is tried as a file of
// the share, as a folder of it, and as a glob of file names, in this order. A file is pushed under
// its last component, a file below a folder under the folder's last component and what follows.
// An error names the first that stands for nothing.
Result<std::vector<transfer::PushPath>> pushPaths(const std::vector<std::string>& paths,
                                                  const std::vector<std::string>& names,
                                                  const share::Snapshot& snapshot);

}  // namespace espalier::peer::shell
