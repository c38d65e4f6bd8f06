// What a user pushes: paths of this machine, else names as `list` shows them.
#pragma once

#include <string>
#include <vector>

#include "common/base/result.h"
#include "peer/share/snapshot.h"
#include "peer/transfer/push_files.h"

namespace espalier::peer::shell {

// `names`: each of the paths as it was typed. Where no file has the path, it is a file's name in
// the share, a folder's, or a glob of files' names, in this order; as with a path, a file goes by
// its last component, and what lies below a folder by that and what follows. An error says which of
// them is nothing.
Result<std::vector<transfer::PushPath>> pushPaths(const std::vector<std::string>& paths,
                                                  const std::vector<std::string>& names,
                                                  const share::Snapshot& snapshot);

}  // namespace espalier::peer::shell
