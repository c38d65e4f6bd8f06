// What others may know of an instance key: a part of its SHA-256. The key is 16 random bytes, so
// nobody finds it from the hash; and whoever says that an instance is its own shows the metaserver
// the key. A pure function.
#pragma once

#include "common/base/ids.h"

namespace espalier::crypto {

InstanceHash instanceOf(const InstanceKey& key);

}  // namespace espalier::crypto
