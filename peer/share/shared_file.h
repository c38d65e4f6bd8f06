// One file that a peer shares, and how its bytes are reached: no symbolic link is followed below
// the folder that the user shared, and what is opened is the very file that was hashed.
//
// All values and free functions; any thread. Opening costs a system call a folder on the way.
#pragma once

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "common/base/file_descriptor.h"
#include "common/base/fs.h"
#include "common/base/ids.h"
#include "common/base/result.h"

namespace espalier::share {

// What tells one version of a file from the next without reading it. The ctime is the kernel's own:
// whoever changes the content and puts the mtime back changes it all the same. So do a rename, a
// chmod and a new hard link, after which the file is hashed again.
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

// A value. `path` is `folder` / `relative`; what lies above `folder` is the user's and trusted.
struct SharedFile {
  std::string name;  // relative to the share, '/' between its components, UTF-8
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

// Opens a file if it is still the version that was hashed. An error of code `failed` says that the
// file changed or is gone, so that the caller looks for another holder; `io` that it cannot be
// read.
Result<OpenedFile> openForServing(const SharedFile& file);
// To ask again after the bytes were read: nobody may get half of the old and half of the new.
bool unchanged(int descriptor, const SharedFile& file);

// Opens `relative` (components of a valid name, share_name.h; "" for the folder itself) below an
// open folder, with O_NOFOLLOW at each step. -1 and errno, as openat(2). ENOENT also where a folder
// on the way, the first and the last included, is a state folder of any peer or metaserver.
FileDescriptor openBelow(int folder, std::string_view relative, int flags);
// The same below a path of the user's, whose own links are followed.
FileDescriptor openBelow(const fs::path& folder, std::string_view relative, int flags);

// What an errno of an open says: there is no such file (any more), or something else is there.
bool isGone(int error);
// Descriptors or memory are used up, which says nothing of the file.
bool isShortage(int error);

// Reads `buffer.size()` bytes at that offset. The bytes that are there: fewer at the end of the
// file; -1 and errno for a failure.
ssize_t readAt(int descriptor, std::span<std::byte> buffer, std::uint64_t offset);

}  // namespace espalier::share
