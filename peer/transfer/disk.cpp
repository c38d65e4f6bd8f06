#include "peer/transfer/disk.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "common/base/file.h"
#include "common/base/text.h"

namespace espalier::transfer {

Error diskError(std::string_view what, int error) {
  if (error == ENOSPC || error == EDQUOT) {
    return {ErrorCode::io, fmt::format("{}: the disk is full", what)};
  }
  if (error == EFBIG) return {ErrorCode::io, fmt::format("{}: larger than a file may be", what)};
  return systemError(what, error);
}

bool isInMemory(int file) {
  struct statfs system {};
  return ::fstatfs(file, &system) == 0 &&
         (system.f_type == TMPFS_MAGIC || system.f_type == RAMFS_MAGIC);
}

Result<void> mayReplace(int folder, const std::string& leaf, const std::string& path) {
  struct stat status {};
  if (::fstatat(folder, leaf.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return {};
    return systemError(fmt::format("cannot look at {}", escaped(path)), errno);
  }
  if (S_ISREG(status.st_mode)) return {};
  return Error{ErrorCode::failed, fmt::format("{} is {}: -o PATH saves elsewhere", escaped(path),
                                              kindOfFile(status.st_mode))};
}

// Not replacing needs a call of its own: between a check and a rename somebody else may come.
int renameNew(int from, const char* name, int target, const char* leaf) {
  if (::syscall(SYS_renameat2, from, name, target, leaf, RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return -1;
  if (::linkat(from, name, target, leaf, 0) != 0) return -1;
  return ::unlinkat(from, name, 0);
}

}  // namespace espalier::transfer
