// The disk space of a part (part_file.h). Checks that there is room for the whole file, reserves
// space in slices while chunks arrive, and leaves runs of zeros out as holes.
//
// A sparse file needs the space of its data only, but where its holes are is not known before its
// chunks arrive. Therefore reserving ends at the first hole: it would fill the holes to come.
//
// Owned by PartFile. reserveMore() is called by one thread, leaveHole() by several. Blocks on the
// disk. Errors have the code `io`.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <span>

#include "common/base/result.h"

namespace espalier::transfer {

class PartSpace {
 public:
  // Whether the disk has room for a file of that size now. What `part` takes already counts.
  static Result<void> roomFor(int part, std::uint64_t sizeBytes);
  // Gives the part exactly that size. `part` outlives the result.
  static Result<std::unique_ptr<PartSpace>> begin(int part, std::uint64_t sizeBytes);

  // Reserves the next slice. False once all of the file is reserved, or where reserving gains
  // nothing (tmpfs).
  Result<bool> reserveMore();
  // Makes that range of zeros a hole, or writes the zeros where the file system has no holes.
  Result<void> leaveHole(std::uint64_t offset, std::span<const std::byte> zeros);

 private:
  PartSpace(int part, std::uint64_t sizeBytes, bool wasEmpty)
      : part_(part), sizeBytes_(sizeBytes), wasEmpty_(wasEmpty) {}

  const int part_;
  const std::uint64_t sizeBytes_;
  const bool wasEmpty_;  // nothing was written to the part before

  std::mutex mutex_;            // guards what follows
  std::uint64_t reserved_ = 0;  // bytes from the beginning
  std::uint64_t slice_ = 0;     // bytes to reserve next; 0: no more
};

}  // namespace espalier::transfer
