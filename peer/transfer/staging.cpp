#include "peer/transfer/staging.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <string_view>
#include <utility>

#include "common/base/limits.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "common/crypto/file_tree.h"
#include "peer/transfer/disk.h"
#include "peer/transfer/journal.h"

namespace espalier::transfer {
namespace {

constexpr std::size_t kPageBytes = 4096;
constexpr std::uint64_t kSliceBytes = 4 << 20;
constexpr auto kSliceTime = std::chrono::microseconds(500);

bool readAt(int file, std::uint64_t offset, std::span<std::byte> out) {
  while (!out.empty()) {
    const auto got = ::pread(file, out.data(), out.size(), static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    out = out.subspan(static_cast<std::size_t>(got));
    offset += static_cast<std::uint64_t>(got);
  }
  return true;
}

std::span<const std::byte> asBytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

Error noRoom(std::uint64_t size, int error) {
  return diskError(fmt::format("no room for {}", formatSize(size)), error);
}

}  // namespace

std::optional<ChunkPlan> ChunkPlan::ofSmall(const FileRoot& root, std::uint64_t size) {
  const std::uint64_t chunkBytes = crypto::chunkBytesFor(size);
  if (size > chunkBytes) return std::nullopt;
  ChunkPlan plan{root, size, chunkBytes, {}};
  if (size > 0) plan.hashes.push_back(root);
  return plan;
}

bool ChunkPlan::matches() const {
  return crypto::chunkListMatches(root, size, chunkBytes, hashes);
}

std::uint64_t ChunkPlan::bytesOf(std::uint64_t chunk) const {
  return std::min(chunkBytes, size - offset(chunk));
}

bool ChunkPlan::isRight(std::uint64_t chunk, std::span<const std::byte> data) const {
  return data.size() == bytesOf(chunk) &&
         crypto::chunkHash(data, chunkBytes, size) == hashes[chunk];
}

void ChunkBuffer::Free::operator()(std::byte* data) const {
  std::free(data);
}

void ChunkBuffer::reserve(std::size_t bytes) {
  if (bytes <= bytes_) return;
  const std::size_t whole = (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
  data_.reset(static_cast<std::byte*>(std::aligned_alloc(kPageBytes, whole)));
  if (!data_) throw std::bad_alloc();
  bytes_ = whole;
}

Result<Staging> Staging::open(StagingFolder folder, const FileRoot& root, std::uint64_t size) {
  Staging staging(std::move(folder), toHex(root.view()));
  if (auto opened = staging.openPart(); !opened) return opened.error();
  struct stat status {};
  staging.hadData_ = ::fstat(staging.part_.get(), &status) == 0 && status.st_blocks > 0;
  // Before the part is touched: one of a newer version stays as it is.
  if (auto read = staging.readJournal(root, size); !read) return read.error();
  return staging;
}

Result<void> Staging::openPart() {
  // Whoever finished it meanwhile has renamed it: then the file that we locked is no longer ours.
  for (int attempt = 0; attempt < 8; ++attempt) {
    part_ = FileDescriptor(::openat(folder_.get(), partName().c_str(),
                                    O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666));
    if (!part_) return diskError("cannot open the folder for incoming files", errno);
    if (::flock(part_.get(), LOCK_EX | LOCK_NB) != 0) break;
    struct stat opened {};
    struct stat named {};
    if (::fstat(part_.get(), &opened) == 0 &&
        ::fstatat(folder_.get(), partName().c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
        opened.st_ino == named.st_ino && opened.st_dev == named.st_dev) {
      return {};
    }
  }
  return Error{ErrorCode::failed, "the same file is being fetched already"};
}

Result<void> Staging::readJournal(const FileRoot& root, std::uint64_t size) {
  const std::string path = path_ + "/" + journalName();
  const FileDescriptor file(
      ::openat(folder_.get(), journalName().c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) return {};
  const auto bytes = std::min(static_cast<std::uint64_t>(status.st_size), Journal::kMostBytes + 1);
  std::string raw(bytes, '\0');
  if (!readAt(file.get(), 0, std::as_writable_bytes(std::span(raw)))) raw.clear();
  if (auto known = Journal::checkVersion(path, raw); !known) return known;
  if (auto journal = Journal::parse(raw, root, size)) {
    marks_ = std::move(journal->marks);
    earlierPlan_ = std::move(journal->plan);
    return {};
  }
  log::warning("{} is damaged: what was fetched before is read and verified instead",
               escaped(path));
  return {};
}

Result<void> Staging::begin(const ChunkPlan& plan, const std::function<void(std::uint64_t)>& held,
                            std::stop_token stop) {
  if (auto made = makeRoom(plan.size); !made) return made;
  if (plan.hashes.size() == 1 && wasWhole_ && holdsAll(plan)) held(0);
  if (plan.hashes.size() <= 1) return {};
  const bool goesOn = earlierPlan_ && earlierPlan_->chunkBytes == plan.chunkBytes;
  if (!goesOn) markData(plan);
  if (auto verified = verifyWritten(plan, held, stop); !verified) return verified;
  return writeJournal(plan);
}

// Without a journal of this plan: wherever an earlier run wrote anything may be a chunk.
void Staging::markData(const ChunkPlan& plan) {
  marks_.assign(plan.hashes.size(), 0);
  if (!hadData_) return;
  for (off_t at = 0; (at = ::lseek(part_.get(), at, SEEK_DATA)) >= 0;) {
    const off_t end = ::lseek(part_.get(), at, SEEK_HOLE);
    if (end <= at) break;
    const auto first = static_cast<std::uint64_t>(at) / plan.chunkBytes;
    const auto last = static_cast<std::uint64_t>(end - 1) / plan.chunkBytes;
    for (auto chunk = first; chunk <= last && chunk < marks_.size(); ++chunk) marks_[chunk] = 1;
    at = end;
  }
}

Result<void> Staging::roomFor(std::uint64_t size) const {
  // Rather than the signal that ftruncate(2) would raise.
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_FSIZE, &limit) == 0 && size > limit.rlim_cur) return noRoom(size, EFBIG);
  if (size <= kSliceBytes) return {};  // writing it shows soon enough
  struct stat status {};
  struct statvfs disk {};
  if (::fstat(part_.get(), &status) != 0 || ::fstatvfs(part_.get(), &disk) != 0) {
    return noRoom(size, errno);
  }
  const std::uint64_t there = static_cast<std::uint64_t>(status.st_blocks) * 512;
  if (size > there && (size - there) / disk.f_frsize >= disk.f_bavail) return noRoom(size, ENOSPC);
  return {};
}

Result<void> Staging::makeRoom(std::uint64_t size) {
  size_ = size;
  struct stat status {};
  if (::fstat(part_.get(), &status) != 0) return noRoom(size, errno);
  wasWhole_ = static_cast<std::uint64_t>(status.st_size) == size;
  wasEmpty_ = status.st_size == 0 && status.st_blocks == 0;
  if (auto room = roomFor(size); !room) return room;
  // Exactly: an earlier run may have believed in another size of the last chunk.
  if (::ftruncate(part_.get(), static_cast<off_t>(size)) != 0) return noRoom(size, errno);
  if (size > kSliceBytes && !isInMemory(part_.get())) room_->slice = kSliceBytes;
  return {};
}

Result<bool> Staging::reserveMore() {
  const std::lock_guard lock(room_->mutex);
  auto& [mutex, reserved, slice] = *room_;
  if (slice == 0 || reserved == size_) return false;
  const std::uint64_t bytes = std::min(slice, size_ - reserved);
  const auto started = std::chrono::steady_clock::now();
  if (::fallocate(part_.get(), 0, static_cast<off_t>(reserved), static_cast<off_t>(bytes)) != 0) {
    if (errno == EINTR) return true;
    if (errno != EOPNOTSUPP && errno != ENOSYS) return noRoom(size_, errno);
    slice = 0;
    return false;
  }
  reserved += bytes;
  // Writers wait meanwhile, so slices are short; where reserving costs nothing they soon are all.
  if (std::chrono::steady_clock::now() - started < kSliceTime) slice *= 2;
  return reserved < size_;
}

// A file of one chunk has no journal.
bool Staging::holdsAll(const ChunkPlan& plan) {
  ChunkBuffer buffer;
  buffer.reserve(plan.size);
  const auto data = buffer.first(plan.size);
  return readAt(part_.get(), 0, data) && plan.isRight(0, data);
}

Result<void> Staging::verifyWritten(const ChunkPlan& plan,
                                    const std::function<void(std::uint64_t)>& held,
                                    std::stop_token stop) {
  ChunkBuffer buffer;
  buffer.reserve(plan.chunkBytes);
  for (std::uint64_t chunk = 0; chunk < marks_.size(); ++chunk) {
    if (stop.stop_requested()) return Error{ErrorCode::interrupted, "interrupted"};
    if (marks_[chunk] == 0) continue;
    const auto data = buffer.first(plan.bytesOf(chunk));
    if (readAt(part_.get(), plan.offset(chunk), data) && plan.isRight(chunk, data)) {
      held(chunk);
    } else {
      marks_[chunk] = 0;
    }
  }
  return {};
}

Result<void> Staging::writeJournal(const ChunkPlan& plan) {
  journal_ = FileDescriptor(::openat(folder_.get(), journalName().c_str(),
                                     O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666));
  if (!journal_) return diskError("cannot keep a journal of what was fetched", errno);
  const std::string raw = Journal::format(plan, marks_);
  marksAt_ = raw.size() - marks_.size();
  if (auto written = writeAt(journal_.get(), 0, asBytes(raw)); !written) return written;
  if (::ftruncate(journal_.get(), static_cast<off_t>(raw.size())) != 0) {
    return diskError("cannot keep a journal of what was fetched", errno);
  }
  return {};
}

Result<void> Staging::write(const ChunkPlan& plan, std::uint64_t chunk,
                            std::span<const std::byte> data) {
  const auto hole = [this](std::uint64_t offset, std::span<const std::byte> zeros) {
    return leaveHole(offset, zeros);
  };
  if (auto written = writeSparse(part_.get(), plan.offset(chunk), data, hole); !written) {
    return written;
  }
  if (!journal_) return {};
  const std::byte mark{1};
  return writeAt(journal_.get(), marksAt_ + chunk, std::span(&mark, 1));
}

// What was never written is a hole already. From the first one on no space is reserved: it would
// fill the holes to come.
Result<void> Staging::leaveHole(std::uint64_t offset, std::span<const std::byte> zeros) {
  const std::lock_guard lock(room_->mutex);
  room_->slice = 0;
  if (wasEmpty_ && offset >= room_->reserved) return {};
  if (punchHole(part_.get(), offset, zeros.size())) return {};
  return writeAt(part_.get(), offset, zeros);
}

Result<void> Staging::sync() {
  if (::fsync(part_.get()) != 0) return diskError("cannot sync the file to the disk", errno);
  return {};
}

Result<bool> Staging::publish(int target, const std::string& leaf, bool replace) {
  const std::string part = partName();
  // It was looked at before the transfer, which may have taken hours.
  if (replace) {
    if (const auto may = mayReplace(target, leaf, leaf); !may) return may.error();
  }
  const int renamed = replace ? ::renameat(folder_.get(), part.c_str(), target, leaf.c_str())
                              : renameNew(folder_.get(), part.c_str(), target, leaf.c_str());
  if (renamed != 0 && errno == EEXIST && !replace) return false;
  if (renamed != 0) {
    return diskError(fmt::format("cannot save as {}", escaped(leaf)), errno);
  }
  // The file is there; a name that a crash of the machine takes back is fetched again.
  (void)::fsync(target);
  if (journal_ || earlierPlan_) ::unlinkat(folder_.get(), journalName().c_str(), 0);
  return true;
}

}  // namespace espalier::transfer
