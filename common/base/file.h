// Small files that somebody else may be reading: replaced whole or not at all, read whole.
// Thread-safe as far as no two replace the same path. Errors have the code `io` unless said
// otherwise. All of it blocks on the disk: not for the event loop.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace espalier {

// What a power failure may do to a file that was just replaced. A crash of the program does
// nothing to either.
enum class Durability {
  soft,     // take it back, or leave it empty: for what is soon written again, or can be made again
            // from something else, because a busy disk may take seconds for a sync
  durable,  // nothing: bytes and name are on the disk before replaceFile() returns
};

inline constexpr mode_t kPublic = 0644;   // a file that everybody may read
inline constexpr mode_t kPrivate = 0600;  // only its owner

// Replaces `path` by a file of these bytes: a reader sees the old ones or the new, never half.
// Written to `path`.new first and renamed; what was left there by a crash is replaced, and a
// symbolic link, there or at `path`, is replaced rather than followed: for a program's own folders.
// Whatever else is no regular file is left alone, with an error. After an error the old file is as
// it was (unless only the last step of a durable one failed) and `path`.new is gone.
Result<void> replaceFile(const std::string& path, std::string_view bytes, Durability durability,
                         mode_t mode);

// The same for a path that a user named: a symbolic link is followed to the file that it stands
// for, which is replaced; a character device, a pipe and what is open already (/dev/stdout) are
// written into. A pipe that nobody reads, or that takes no more within limits::kDeviceWait, is an
// error.
Result<void> writeOutputFile(const std::string& path, std::string_view bytes, mode_t mode);
// What is there that writeOutputFile() would refuse for good, such as a folder: an error of the
// code `configuration`. Touches nothing.
Result<void> checkOutputFile(const std::string& path);

// What is no regular file as a person calls it: "a folder", "a named pipe".
const char* kindOfFile(mode_t mode);

// Writes everything; waits `patience` at most each time that a pipe or a terminal takes nothing.
// Returns the errno of a failure, ETIMEDOUT for that one; else 0.
int writeAll(int descriptor, std::string_view bytes, std::chrono::milliseconds patience);

// All of a regular file of at most `mostBytes`. An error of code `failed` when there is none.
Result<std::string> readFile(const std::string& path, std::size_t mostBytes);

}  // namespace espalier
