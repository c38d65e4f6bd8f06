// The key that proves a peer to be the one that joined under its id before. STATE/instance.key, 32
// hexadecimal digits and a line feed, mode 0600; made, and synced to disk, the first time. That is
// version 1; a later one would begin with "espalier-key 2".
#pragma once

#include <string>

#include "common/base/ids.h"
#include "common/base/result.h"

namespace espalier::peer::shell {

// Blocks on the disk. A damaged file, or one of a newer version, is an error of code
// `configuration`; it stays as it is.
Result<InstanceKey> loadInstanceKey(const std::string& stateFolder);
// Puts the key back if the file is gone.
Result<void> restoreInstanceKey(const std::string& stateFolder, const InstanceKey& key);

}  // namespace espalier::peer::shell
