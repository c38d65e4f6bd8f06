// Small files, which are read whole, and replaced whole or not at all, because another program may
// be reading them.
//
// Thread-safe as long as no two threads replace the same path. Errors have the code `io` unless
// said otherwise. Everything here blocks on the disk: not for the event loop.
#pragma once

#include <sys/types.h>

#include <chrono>
#include <string>
#include <string_view>

#include "common/base/result.h"

namespace espalier {

// Whether a file that was just replaced survives a power failure. It survives a crash of the
// program in both cases.
enum class Durability {
  soft,     // it may be the old one again, or empty. For what is soon written again or can be made
            // again: a busy disk may take seconds for a sync
  durable,  // bytes and name are on the disk before replaceFile() returns
};

inline constexpr mode_t kPublic = 0644;   // a file that everybody may read
inline constexpr mode_t kPrivate = 0600;  // only its owner

// Replaces `path` by a file of these bytes: a reader sees the old bytes or the new, never a mix.
// Written to `path`.new first and renamed; what was left there by a crash is replaced, and a
// symbolic link, there or at `path`, is replaced rather than followed: for a program's own folders.
// Anything else that is no regular file is left alone, with an error. After an error the old file
// is as it was (unless only the last step of a durable one failed) and `path`.new is gone.
Result<void> replaceFile(const std::string& path, std::string_view bytes, Durability durability,
                         mode_t mode);

// The same for a path that a user named. A symbolic link is followed to its file, which is
// replaced. A character device, a pipe and what is open already (/dev/stdout) are written into. A
// pipe without a reader, or that takes no more within limits::kDeviceWait, is an error.
Result<void> writeOutputFile(const std::string& path, std::string_view bytes, mode_t mode);
// An error of the code `configuration` if something is there that writeOutputFile() can never
// replace, such as a folder. Changes nothing.
Result<void> checkOutputFile(const std::string& path);

// The words for a file that is no regular one: "a folder", "a named pipe".
const char* kindOfFile(mode_t mode);

// Writes everything; waits `patience` at most each time that a pipe or a terminal takes nothing.
// Returns the errno of a failure, ETIMEDOUT for that one; else 0.
int writeAll(int descriptor, std::string_view bytes, std::chrono::milliseconds patience);

// All of a regular file of at most `mostBytes`. An error of code `failed` when there is none.
Result<std::string> readFile(const std::string& path, std::size_t mostBytes);

}  // namespace espalier
