// Removes incomplete files that are not resumed: an abandoned fetch would otherwise keep its space.
// Called once, when the peer starts.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

namespace espalier::transfer {

struct StaleParts {
  std::uint64_t files = 0;
  std::uint64_t bytes = 0;  // of the disk
};

// Removes from `folder` (an `incoming`, see part_file.h; it need not exist) each part that has not
// grown for limits::kPartKept, with its journal. Returns what was removed. A part that any process
// has open for a fetch stays, and so does every file with another name. Blocks on the disk.
StaleParts removeStaleParts(const std::string& folder, std::chrono::system_clock::time_point now);

}  // namespace espalier::transfer
