// The hashes of files, kept over a restart in `index` in the state folder. What identifies a
// version of a file is its inode, size and time of modification, not its name: a file that was
// renamed or moved is not hashed again either.
//
//   "ESPINDX1" | count, u64 | count x (inode u64, size u64, mtime in ns i64, root 32 bytes) |
//   SHA-256 of all before it                                              (integers little-endian)
//
// Written to a temporary file and renamed. Rejected alternatives: a log that is appended to
// (needs compaction and a rule for torn ends; 100,000 files are 5.6 MB, written in milliseconds)
// and SQLite (a dependency for what is one list read at start).
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

// Writes `bytes` beside `file` and renames: a reader sees the old or the new, whole; after a crash
// of the machine too, if it is synced. What has a checksum and can be made again need not be: a
// sync may take seconds while a disk is busy with something else.
enum class Sync { no, yes };
Result<void> replaceFile(const fs::path& file, std::string_view bytes, Sync sync);
// The whole of a file of at most `limitBytes`; of code `failed` when there is none.
Result<std::string> readWhole(const fs::path& file, std::size_t limitBytes);

}  // namespace espalier::share
