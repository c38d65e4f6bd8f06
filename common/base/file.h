// Small files: read and replaced as a whole, because another program may be reading them.
//
// Thread-safe as long as no two threads replace the same path. Errors have the code `io` unless
// stated otherwise. All functions block on the disk, so the event loop's thread must not call them.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace espalier {

// Whether a file that was just replaced survives a power failure. It survives a crash of the
// program in both cases.
enum class Durability {
  soft,     // after a power failure the old file, or an empty one. For files that are soon written
            // again or can be made again: a sync on a busy disk may take seconds
  durable,  // bytes and name are on the disk before replaceFile() returns
};

inline constexpr mode_t kPublic = 0644;   // a file that everybody may read
inline constexpr mode_t kPrivate = 0600;  // only its owner

// Replaces `path` by a file with these bytes. A reader sees the old bytes or the new ones, never a
// mix. Writes `path`.new, then renames it; a `path`.new that a crash has left is replaced. For a
// program's own folders: a symbolic link at either path is replaced, not followed. Any other file
// that is not a regular one is left alone, with an error. After an error the old file is unchanged
// and `path`.new is gone. (If only the last step of a durable replacement failed, the new file is
// there.)
Result<void> replaceFile(const std::string& path, std::string_view bytes, Durability durability,
                         mode_t mode);

// The same for a path that a user named. A symbolic link is followed, and its file is replaced. A
// character device, a pipe and an open file (/dev/stdout) are written into. A pipe without a reader
// is an error, and so is one that takes nothing for limits::kDeviceWait.
Result<void> writeOutputFile(const std::string& path, std::string_view bytes, mode_t mode);
// An error of the code `configuration` if writeOutputFile() can never replace what is at `path`,
// such as a folder. Changes nothing.
Result<void> checkOutputFile(const std::string& path);

// What a file that is not a regular one is called: "a folder", "a named pipe".
const char* kindOfFile(mode_t mode);

// Writes everything. Waits for at most `patience` each time that a pipe or a terminal takes
// nothing. Returns 0 or the errno of the failure: ETIMEDOUT when the patience is over.
int writeAll(int descriptor, std::string_view bytes, std::chrono::milliseconds patience);

// The content of a regular file of at most `mostBytes`. An error of code `failed` if there is no
// such file.
Result<std::string> readFile(const std::string& path, std::size_t mostBytes);

// Reads `buffer.size()` bytes of a file at that offset. Returns how many are there: fewer at the
// end of the file; -1 and errno for a failure. Any thread, also on a descriptor that others read.
ssize_t readAt(int descriptor, std::span<std::byte> buffer, std::uint64_t offset);

}  // namespace espalier
