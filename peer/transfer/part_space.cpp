#include "peer/transfer/part_space.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

#include "common/base/clock.h"
#include "common/base/text.h"
#include "peer/transfer/disk.h"

namespace espalier::transfer {
namespace {

constexpr std::uint64_t kSliceBytes = 4 << 20;
constexpr auto kSliceTime = std::chrono::microseconds(500);

Error noRoom(std::uint64_t sizeBytes, int error) {
  return diskError(fmt::format("no room for {}", formatSize(sizeBytes)), error);
}

}  // namespace

Result<void> PartSpace::roomFor(int part, std::uint64_t sizeBytes) {
  // ftruncate(2) beyond this limit would raise a signal.
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && sizeBytes > limit.rlim_cur) {
    return noRoom(sizeBytes, EFBIG);
  }
  if (sizeBytes <= kSliceBytes) return {};  // writing it shows soon enough
  struct stat status {};
  struct statvfs disk {};
  if (::fstat(part, &status) != 0 || ::fstatvfs(part, &disk) != 0) {
    return noRoom(sizeBytes, errno);
  }
  const std::uint64_t there = static_cast<std::uint64_t>(status.st_blocks) * 512;
  if (sizeBytes > there && (sizeBytes - there) / disk.f_frsize >= disk.f_bavail) {
    return noRoom(sizeBytes, ENOSPC);
  }
  return {};
}

Result<std::unique_ptr<PartSpace>> PartSpace::begin(int part, std::uint64_t sizeBytes) {
  struct stat status {};
  if (::fstat(part, &status) != 0) return noRoom(sizeBytes, errno);
  if (auto room = roomFor(part, sizeBytes); !room) return room.error();
  if (::ftruncate(part, static_cast<off_t>(sizeBytes)) != 0) return noRoom(sizeBytes, errno);
  const bool wasEmpty = status.st_size == 0 && status.st_blocks == 0;
  std::unique_ptr<PartSpace> space(new PartSpace(part, sizeBytes, wasEmpty));
  if (sizeBytes > kSliceBytes && !isInMemory(part)) space->slice_ = kSliceBytes;
  return space;
}

Result<bool> PartSpace::reserveMore() {
  const std::lock_guard lock(mutex_);
  if (slice_ == 0 || reserved_ == sizeBytes_) return false;
  const std::uint64_t bytes = std::min(slice_, sizeBytes_ - reserved_);
  const TimePoint started = Clock::now();
  if (::fallocate(part_, 0, static_cast<off_t>(reserved_), static_cast<off_t>(bytes)) != 0) {
    if (errno == EINTR) return true;
    if (errno != EOPNOTSUPP && errno != ENOSYS) return noRoom(sizeBytes_, errno);
    slice_ = 0;
    return false;
  }
  reserved_ += bytes;
  // Writers wait for the file's lock while a slice is reserved, so slices are short. Where
  // reserving is fast they double.
  if (Clock::now() - started < kSliceTime) slice_ *= 2;
  return reserved_ < sizeBytes_;
}

Result<void> PartSpace::leaveHole(std::uint64_t offset, std::span<const std::byte> zeros) {
  const std::lock_guard lock(mutex_);
  slice_ = 0;
  // What was never written is a hole already.
  if (wasEmpty_ && offset >= reserved_) return {};
  if (punchHole(part_, offset, zeros.size())) return {};
  return writeAt(part_, offset, zeros);
}

}  // namespace espalier::transfer
