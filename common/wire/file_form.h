// The rule for size and root of a file in every message: hits, lists and offers. Used by the
// codecs.
#pragma once

#include <cstdint>

#include "common/base/ids.h"
#include "common/base/limits.h"

namespace espalier::wire {

// At most limits::kFileBytes; an empty file, and no other, has a root of zeros (BEP 52).
inline bool isPossibleFile(const FileRoot& root, std::uint64_t sizeBytes) {
  return sizeBytes <= limits::kFileBytes && root.isZero() == (sizeBytes == 0);
}

}  // namespace espalier::wire
