// Small files that somebody else may be reading: replaced whole or not at all, read whole.
// Thread-safe as far as no two replace the same path. Errors have the code `io` unless said
// otherwise. All of it blocks on the disk: not for the event loop.
#pragma once

#include <sys/types.h>

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
// symbolic link, there or at `path`, is replaced rather than followed. After an error the old file
// is as it was (unless only the last step of a durable one failed) and `path`.new is gone.
Result<void> replaceFile(const std::string& path, std::string_view bytes, Durability durability,
                         mode_t mode);

// All of a regular file of at most `mostBytes`. An error of code `failed` when there is none.
Result<std::string> readFile(const std::string& path, std::size_t mostBytes);

}  // namespace espalier
