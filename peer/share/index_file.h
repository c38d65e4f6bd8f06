// The hashes of files, kept over a restart in `index` in the state folder. What identifies a
// version of a file is its inode, size and time of modification, not its name: a file that was
// renamed or moved is not hashed again either.
//
//   "ESPINDX1" | count, u64 | count x (inode u64, size u64, mtime in ns i64, root 32 bytes) |
//   SHA-256 of all before it                                              (integers little-endian)
//
// Replaced as a whole, not durably: it has a checksum and can be made again. Rejected alternatives:
// a log that is appended to (needs compaction and a rule for torn ends; 100,000 files are 5.6 MB,
// written in milliseconds) and SQLite (a dependency for what is one list read at start).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "peer/share/shared_file.h"

namespace espalier::share {

struct Remembered {
  FileStat stat;
  FileRoot root;

  auto operator<=>(const Remembered&) const = default;
};

// At most 2 * kSharedFiles; what is more is left out.
Result<void> saveIndex(const fs::path& file, std::span<const Remembered> files);
// A missing file is an empty index. An error says what is wrong with a damaged one.
Result<std::vector<Remembered>> loadIndex(const fs::path& file);

}  // namespace espalier::share
