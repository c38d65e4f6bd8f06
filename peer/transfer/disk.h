// System calls of writing files, with errors in words for the user. Used by PartFile, PartBatch and
// Target. Stateless; any thread. Blocks on the disk.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace espalier::transfer {

// An error of code `io`. A full disk is called that.
Error diskError(std::string_view what, int error);

// Whether a file may take the place of `leaf`. A folder, a symbolic link, a device and a pipe are
// never replaced, whatever the user asked for: that is an error. `path` is used in its message.
Result<void> mayReplace(int folder, const std::string& leaf, const std::string& path);

// As renameat(2), but fails with EEXIST when something has the name.
int renameNew(int from, const char* name, int target, const char* leaf);

// Whether the file system has no extents (tmpfs). Reserving space there clears every page, which is
// then written a second time, while writers wait for the same lock.
bool isInMemory(int file);

// Writes `data`, except for runs of zeros of 16 KiB and more, aligned to pages: for those `hole` is
// called, so that a sparse file stays sparse. `offset` is at the start of a page.
using Hole = std::function<Result<void>(std::uint64_t offset, std::span<const std::byte> zeros)>;
Result<void> writeSparse(int file, std::uint64_t offset, std::span<const std::byte> data,
                         const Hole& hole);
// Writes all of `data`.
Result<void> writeAt(int file, std::uint64_t offset, std::span<const std::byte> data);
// Frees the space of a part of the file, which then reads as zeros. False when the file system does
// not support it.
bool punchHole(int file, std::uint64_t offset, std::uint64_t bytes);

}  // namespace espalier::transfer
