// The key that proves that this peer is the one that joined under its id before.
//
// STATE/instance.key: 32 hexadecimal digits and a line feed, mode 0600, made and synced to disk at
// the first start. This is version 1; version 2 would begin with "espalier-key 2".
#pragma once

#include <string>

#include "common/base/ids.h"
#include "common/base/result.h"

namespace espalier::peer::shell {

// Reads the key, or makes one. Blocks on the disk. A damaged file, or one of a newer version, is an
// error of code `configuration`; the file is not changed.
Result<InstanceKey> loadInstanceKey(const std::string& stateFolder);
// Puts the key back if the file is gone.
Result<void> restoreInstanceKey(const std::string& stateFolder, const InstanceKey& key);

}  // namespace espalier::peer::shell
