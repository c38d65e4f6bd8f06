// What writing a file comes to, in words of this program's own. Stateless.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace espalier::transfer {

// Of the code `io`; a full disk is called that.
Error diskError(std::string_view what, int error);

// Whether a file may take the place of `leaf`: an error where that is a folder, a symbolic link, a
// device or a pipe, which are never replaced, whatever the user asked for. `path`: as the user
// reads it.
Result<void> mayReplace(int folder, const std::string& leaf, const std::string& path);

// As renameat(2), but fails with EEXIST where something has the name.
int renameNew(int from, const char* name, int target, const char* leaf);

// On a file system without extents (tmpfs): to reserve space there is to clear every page, which is
// then written a second time, while whoever writes waits for the same lock.
bool isInMemory(int file);

// Writes `data`, but for runs of zeros of 16 KiB and more, aligned to pages: those are left to
// `hole`, so that a sparse file arrives as one. Data begins at a page of the file.
using Hole = std::function<Result<void>(std::uint64_t offset, std::span<const std::byte> zeros)>;
Result<void> writeSparse(int file, std::uint64_t offset, std::span<const std::byte> data,
                         const Hole& hole);
// All of it.
Result<void> writeAt(int file, std::uint64_t offset, std::span<const std::byte> data);
// Gives the space of a part of the file back; that reads as zeros then. False where the file system
// cannot.
bool punchHole(int file, std::uint64_t offset, std::uint64_t bytes);

}  // namespace espalier::transfer
