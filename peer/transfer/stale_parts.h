// Incomplete files that nobody went on with: a fetch that was given up would else keep its space
// for ever.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace espalier::transfer {

struct StaleParts {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;  // of the disk
};

// Removes from `folder` (an `incoming`, see staging.h; there need not be one) each part that has
// not grown for limits::kPartKept, with its journal, and says what is gone. A part that any process
// has open for a fetch stays, and so does whatever has another name. Blocks on the disk.
StaleParts removeStaleParts(const std::string& folder, std::chrono::system_clock::time_point now);

}  // namespace espalier::transfer
