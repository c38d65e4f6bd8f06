// A file that a peer shares, and how it is opened and read.
//
// Opening follows no symbolic link below the folder that the user shared, enters no state folder,
// and yields the version that was hashed or an error.
//
// Values and free functions; any thread. They block on the disk; opening costs a system call or two
// for each folder on the way. Called by the indexer's parts, ShareIndex and the transfers.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/file_descriptor.h"
#include "common/base/fs.h"
#include "common/base/ids.h"
#include "common/base/result.h"

namespace espalier::share {

// Tells one version of a file from the next without reading it. The kernel sets the ctime, so a
// program that changes the content cannot put it back, as it can the mtime. A rename, a chmod and a
// new hard link change it, too: then the file is hashed again.
struct FileStat {
  std::uint64_t sizeBytes = 0;
  std::int64_t mtimeNanos = 0;
  std::uint64_t inode = 0;
  std::int64_t ctimeNanos = 0;
  std::uint64_t device = 0;

  auto operator<=>(const FileStat&) const = default;
};
FileStat fileStat(const struct stat& status);

// Names a file or folder while it exists. Device numbers hold for one boot.
struct FileId {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;

  bool operator==(const FileId&) const = default;
};

// `path` is `folder` / `relative`. Links in `folder` are the user's own, and trusted.
struct SharedFile {
  std::string name;  // the share name (share_name.h)
  std::uint64_t sizeBytes = 0;
  FileStat stat;
  FileRoot root;
  fs::path path;
  fs::path folder;
  std::string relative;
};

struct OpenedFile {
  FileDescriptor descriptor;  // for reading
  std::uint64_t sizeBytes = 0;
};

// Opens a file if it is still the version that was hashed. Errors: `failed` if it changed or is
// gone, so that the asker turns to another holder; `io` if it cannot be read.
Result<OpenedFile> openForServing(const SharedFile& file);
// Whether the open file is that version. Called again after its bytes were read, so that no reader
// gets a mixture of two versions.
bool unchanged(int descriptor, const SharedFile& file);

// Opens `relative` below an open folder, with O_NOFOLLOW at each step. `relative` has components of
// a valid name (share_name.h); "" is the folder itself. No descriptor and errno for a failure, as
// openat(2); also ENOENT if a folder on the way, the first and the last included, is a state folder
// of any peer or metaserver.
FileDescriptor openBelow(int folder, std::string_view relative, int flags);
// The same below a path of the user, whose own links are followed.
FileDescriptor openBelow(const fs::path& folder, std::string_view relative, int flags);

// What an errno of an open says: there is no such file (any more), or something else is there.
bool isGone(int error);
// Descriptors or memory are used up, which says nothing of the file.
bool isShortage(int error);

}  // namespace espalier::share
