#include "peer/transfer/disk.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "common/base/limits.h"

#include "common/base/file.h"
#include "common/base/text.h"

namespace espalier::transfer {
namespace {

constexpr std::size_t kSparsePageBytes = 4096;
constexpr std::size_t kHoleBytes = limits::kBlockBytes;  // less saves nothing worth a call
static_assert(kHoleBytes % kSparsePageBytes == 0);

bool isZero(std::span<const std::byte> page) {
  return page.front() == std::byte{0} &&
         std::memcmp(page.data(), page.data() + 1, page.size() - 1) == 0;
}

// How many bytes from `begin` on are of pages that are all zero, or that are not.
std::size_t runOf(std::span<const std::byte> data, std::size_t begin, bool zeros) {
  std::size_t end = begin;
  while (end < data.size()) {
    const std::size_t size = std::min(kSparsePageBytes, data.size() - end);
    if (isZero(data.subspan(end, size)) != zeros) break;
    end += size;
  }
  return end - begin;
}

}  // namespace

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

// A check before a rename does not suffice: another program may create the file in between.
int renameNew(int from, const char* name, int target, const char* leaf) {
  if (::syscall(SYS_renameat2, from, name, target, leaf, RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return -1;
  if (::linkat(from, name, target, leaf, 0) != 0) return -1;
  return ::unlinkat(from, name, 0);
}

Result<void> writeAt(int file, std::uint64_t offset, std::span<const std::byte> data) {
  while (!data.empty()) {
    const auto written = ::pwrite(file, data.data(), data.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return diskError("cannot write what was received", errno);
    data = data.subspan(static_cast<std::size_t>(written));
    offset += static_cast<std::uint64_t>(written);
  }
  return {};
}

Result<void> writeSparse(int file, std::uint64_t offset, std::span<const std::byte> data,
                         const Hole& hole) {
  std::size_t begin = 0;  // of what is to be written
  std::size_t at = 0;
  while (at < data.size()) {
    at += runOf(data, at, false);
    const std::size_t zeros = runOf(data, at, true);
    if (zeros >= kHoleBytes) {
      auto written = writeAt(file, offset + begin, data.subspan(begin, at - begin));
      if (!written) return written;
      if (auto left = hole(offset + at, data.subspan(at, zeros)); !left) return left;
      begin = at + zeros;
    }
    at += zeros;
  }
  return writeAt(file, offset + begin, data.subspan(begin));
}

bool punchHole(int file, std::uint64_t offset, std::uint64_t bytes) {
  return ::fallocate(file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, static_cast<off_t>(offset),
                     static_cast<off_t>(bytes)) == 0;
}

}  // namespace espalier::transfer
