// The key that proves a peer to be the one that joined under its id before. STATE/instance.key, 32
// hexadecimal digits and a line feed, mode 0600; made, and synced to disk, the first time.
#pragma once

#include <string>

#include "common/base/ids.h"
#include "common/base/result.h"

namespace espalier::peer::shell {

// Blocks on the disk. Makes the folder (0700) if need be. A damaged file is an error of code
// `configuration`.
Result<InstanceKey> loadInstanceKey(const std::string& stateFolder);

}  // namespace espalier::peer::shell
