// The hashes of files, kept over a restart in `index` in the state folder. What identifies a
// version of a file is its device, inode, size, mtime and ctime, not its name: a file whose folder
// was renamed or moved is not hashed again. (A rename of the file itself changes its ctime, and so
// do chmod and new hard links: then it is hashed again, because nothing else tells such a change
// from one of the content.)
//
//   "ESPINDX2" | boot, 32 bytes | count, u64 | count x (device u64, inode u64, size u64, mtime in
//   ns i64, ctime in ns i64, root 32 bytes) | SHA-256 of all before it      (integers
//   little-endian)
//
// `boot` is the SHA-256 of the kernel's boot id. Numbers of devices hold for one boot only, so
// those of another one are left out when they are read: 0 stands for a device that is not known,
// and a ctime of 0 for one that is not known. Version 1 had no boot, device and ctime; it is read,
// too.
//
// Replaced as a whole, not durably: it has a checksum and can be made again. Rejected alternatives:
// a log that is appended to (needs compaction and a rule for torn ends; 100,000 files are 7.2 MB,
// written in milliseconds) and SQLite (a dependency for what is one list read at start).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "peer/share/shared_file.h"

namespace espalier::share {

struct KnownVersion {
  FileStat stat;
  FileRoot root;
  // A download that was just verified, and is about to be renamed: its ctime will be later, by
  // limits::kRenameWithin at most. Not kept over a restart.
  bool renamedSoon = false;

  auto operator<=>(const KnownVersion&) const = default;
};

inline fs::path indexIn(const fs::path& stateFolder) {
  return stateFolder / "index";
}

// At most 2 * kSharedFiles; what is more is left out.
Result<void> saveIndex(const fs::path& file, std::span<const KnownVersion> files);
// A missing file is an empty index. An error says what is wrong with a damaged one; `configuration`
// with one of a newer version.
Result<std::vector<KnownVersion>> loadIndex(const fs::path& file);

}  // namespace espalier::share
