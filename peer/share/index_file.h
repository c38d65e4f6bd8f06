// The hashes of files, kept over a restart in `index` of the state folder.
//
// A version of a file is known by its device, inode, size, mtime and ctime, and not by its name: a
// file is not hashed again when a folder above it is renamed or moved. Renaming the file itself
// changes its ctime, and so do chmod and a new hard link. Then the file is hashed again, because
// nothing tells such a change from one of the content.
//
//   "ESPINDX2" | boot, 32 bytes | count, u64 | count x (device u64, inode u64, size u64, mtime in
//   ns i64, ctime in ns i64, root 32 bytes) | SHA-256 of all before it      (integers
//   little-endian)
//
// `boot` is the SHA-256 of the kernel's boot id. Device numbers hold for one boot only: those of
// another boot are read as 0, which stands for an unknown device. A ctime of 0 is an unknown one.
// Version 1 had neither boot, device nor ctime; it is still read.
//
// The file is replaced as a whole, and not synced: it has a checksum, and can be made again.
// Rejected alternatives: a log that is appended to (needs compaction, and a rule for torn ends;
// 100,000 files are 7.2 MB, written in milliseconds); SQLite (a dependency for a list that is read
// once, at the start).
//
// Both functions block on the disk. Called by IndexSaver on the indexer's thread, and by
// ShareIndex::checkState() before the peer starts.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "peer/share/shared_file.h"

namespace espalier::share {

// A version of a file, and its root.
struct KnownVersion {
  FileStat stat;
  FileRoot root;
  // A download that was just verified, and is about to be renamed: its ctime may be later by up to
  // limits::kRenameWithin. Not kept over a restart.
  bool renamedSoon = false;

  auto operator<=>(const KnownVersion&) const = default;
};

inline fs::path indexIn(const fs::path& stateFolder) {
  return stateFolder / "index";
}

// The first 2 * kSharedFiles.
Result<void> saveIndex(const fs::path& file, std::span<const KnownVersion> files);
// A missing file is an empty index. Errors: `io` for a damaged file, with what is wrong;
// `configuration` for one of a newer version.
Result<std::vector<KnownVersion>> loadIndex(const fs::path& file);

}  // namespace espalier::share
