#include "peer/transfer/part_file.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "common/base/file.h"
#include "common/base/log.h"
#include "common/base/text.h"
#include "peer/transfer/chunk_buffer.h"
#include "peer/transfer/disk.h"
#include "peer/transfer/journal.h"

namespace espalier::transfer {
namespace {

constexpr int kOpenAttempts = 8;

bool readAll(int file, std::uint64_t offset, std::span<std::byte> out) {
  return readAt(file, out, offset) == static_cast<ssize_t>(out.size());
}

bool isRegular(int file) {
  struct stat status {};
  return ::fstat(file, &status) == 0 && S_ISREG(status.st_mode);
}

std::span<const std::byte> asBytes(std::string_view text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

}  // namespace

std::set<std::string> namesIn(int folder) {
  std::set<std::string> names;
  // Opened again: a duplicate would share the reading position of `folder`.
  const int own = ::openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (own < 0) return names;
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(own), ::closedir);
  if (!stream) {
    ::close(own);
    return names;
  }
  while (const dirent* entry = ::readdir(stream.get())) names.insert(entry->d_name);
  return names;
}

// --- opening ---

std::string PartFile::nameOf(const FileRoot& root) {
  return toHex(root.view()) + std::string(kPartEnding);
}

Result<PartFile> PartFile::open(std::shared_ptr<const PartFolder> folder, const FileRoot& root,
                                std::uint64_t sizeBytes) {
  PartFile file(std::move(folder), root);
  if (auto opened = file.openPart(); !opened) return opened.error();
  struct stat status {};
  file.hadData_ = ::fstat(file.part_.get(), &status) == 0 && status.st_blocks > 0;
  // Before the part is changed: one of a newer version stays as it is.
  if (auto read = file.readJournal(root, sizeBytes); !read) return read.error();
  return file;
}

Result<std::optional<PartFile>> PartFile::create(std::shared_ptr<const PartFolder> folder,
                                                 const FileRoot& root) {
  PartFile file(std::move(folder), root);
  file.part_ = FileDescriptor(::openat(file.folder(), file.partName().c_str(),
                                       O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
  if (!file.part_ && errno == EEXIST) return std::optional<PartFile>();
  if (!file.part_) return diskError("cannot open the folder for incoming files", errno);
  // Another fetch may have opened and locked it in between.
  if (::flock(file.part_.get(), LOCK_EX | LOCK_NB) != 0) return std::optional<PartFile>();
  return std::optional<PartFile>(std::move(file));
}

Result<void> PartFile::openPart() {
  // Another fetch may have published it between our open and our lock: then the file that we locked
  // has another name now, and a new part is opened.
  for (int attempt = 0; attempt < kOpenAttempts; ++attempt) {
    // Does not wait, also where somebody put a pipe or a device.
    part_ = FileDescriptor(::openat(folder(), partName().c_str(),
                                    O_RDWR | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC, 0666));
    if (!part_) return diskError("cannot open the folder for incoming files", errno);
    if (!isRegular(part_.get())) {
      return Error{ErrorCode::io, fmt::format("{} is no file: remove it", escaped(path()))};
    }
    if (::flock(part_.get(), LOCK_EX | LOCK_NB) != 0) break;
    struct stat opened {};
    struct stat named {};
    if (::fstat(part_.get(), &opened) == 0 &&
        ::fstatat(folder(), partName().c_str(), &named, AT_SYMLINK_NOFOLLOW) == 0 &&
        opened.st_ino == named.st_ino && opened.st_dev == named.st_dev) {
      return {};
    }
  }
  return Error{ErrorCode::failed, "the same file is being fetched already"};
}

Result<void> PartFile::readJournal(const FileRoot& root, std::uint64_t sizeBytes) {
  const std::string path = folder_->path + "/" + journalName();
  const FileDescriptor file(
      ::openat(folder(), journalName().c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) return {};
  if (!S_ISREG(status.st_mode)) {
    return Error{ErrorCode::io, fmt::format("{} is no file: remove it", escaped(path))};
  }
  const auto bytes = std::min(static_cast<std::uint64_t>(status.st_size), Journal::kMostBytes + 1);
  std::string raw(bytes, '\0');
  if (!readAll(file.get(), 0, std::as_writable_bytes(std::span(raw)))) raw.clear();
  if (auto known = Journal::checkVersion(path, raw); !known) return known;
  if (auto journal = Journal::parse(raw, root, sizeBytes)) {
    marks_ = std::move(journal->marks);
    earlierPlan_ = std::move(journal->plan);
    return {};
  }
  log::warning("{} is damaged: what was fetched before is read and verified instead",
               escaped(path));
  return {};
}

// --- beginning ---

Result<std::vector<std::uint64_t>> PartFile::begin(ChunkPlan plan, std::stop_token stop) {
  plan_ = std::move(plan);
  struct stat before {};
  const bool wasWhole = ::fstat(part_.get(), &before) == 0 &&
                        static_cast<std::uint64_t>(before.st_size) == plan_.sizeBytes;
  // To exactly that size: an earlier run may have been told another one.
  auto space = PartSpace::begin(part_.get(), plan_.sizeBytes);
  if (!space) return space.error();
  space_ = std::move(*space);
  if (plan_.hashes.size() <= 1) {
    std::vector<std::uint64_t> held;
    if (plan_.hashes.size() == 1 && wasWhole) {
      ChunkBuffer buffer;
      buffer.reserve(plan_.sizeBytes);
      if (isRightOnDisk(0, buffer.first(plan_.sizeBytes))) held.push_back(0);
    }
    return held;
  }
  const bool resumes = earlierPlan_ && earlierPlan_->chunkBytes == plan_.chunkBytes;
  if (!resumes) markData();
  auto held = verifyMarked(std::move(stop));
  if (!held) return held;
  if (auto written = writeJournal(); !written) return written.error();
  return held;
}

// Marks every chunk in which an earlier run wrote anything: there is no journal of this plan.
void PartFile::markData() {
  marks_.assign(plan_.hashes.size(), 0);
  if (!hadData_) return;
  for (off_t at = 0; (at = ::lseek(part_.get(), at, SEEK_DATA)) >= 0;) {
    const off_t end = ::lseek(part_.get(), at, SEEK_HOLE);
    if (end <= at) break;
    const auto first = static_cast<std::uint64_t>(at) / plan_.chunkBytes;
    const auto last = static_cast<std::uint64_t>(end - 1) / plan_.chunkBytes;
    for (auto chunk = first; chunk <= last && chunk < marks_.size(); ++chunk) marks_[chunk] = 1;
    at = end;
  }
}

bool PartFile::isRightOnDisk(std::uint64_t chunk, std::span<std::byte> buffer) const {
  return readAll(part_.get(), plan_.offset(chunk), buffer) && plan_.isRight(chunk, buffer);
}

Result<std::vector<std::uint64_t>> PartFile::verifyMarked(std::stop_token stop) {
  std::vector<std::uint64_t> held;
  ChunkBuffer buffer;
  buffer.reserve(plan_.chunkBytes);
  for (std::uint64_t chunk = 0; chunk < marks_.size(); ++chunk) {
    if (stop.stop_requested()) return Error{ErrorCode::interrupted, "interrupted"};
    if (marks_[chunk] == 0) continue;
    if (isRightOnDisk(chunk, buffer.first(plan_.bytesOf(chunk)))) {
      held.push_back(chunk);
    } else {
      marks_[chunk] = 0;
    }
  }
  return held;
}

Result<void> PartFile::writeJournal() {
  journal_ = FileDescriptor(
      ::openat(folder(), journalName().c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666));
  if (!journal_) return diskError("cannot keep a journal of what was fetched", errno);
  const std::string raw = Journal::format(plan_, marks_);
  marksAt_ = raw.size() - marks_.size();
  if (auto written = writeAt(journal_.get(), 0, asBytes(raw)); !written) return written;
  if (::ftruncate(journal_.get(), static_cast<off_t>(raw.size())) != 0) {
    return diskError("cannot keep a journal of what was fetched", errno);
  }
  return {};
}

Result<void> PartFile::reportTo(std::shared_ptr<PartialFile> partial,
                                std::span<const std::uint64_t> held) {
  FileDescriptor file(::openat(folder(), partName().c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  if (!file) return systemError("cannot read what is received", errno);
  partial_ = std::move(partial);
  partial_->begin(plan_, std::move(file));
  for (const auto chunk : held) partial_->add(chunk);
  return {};
}

// --- filling ---

Result<void> PartFile::write(std::uint64_t chunk, std::span<const std::byte> data) {
  const auto hole = [this](std::uint64_t offset, std::span<const std::byte> zeros) {
    return space_->leaveHole(offset, zeros);
  };
  if (auto written = writeSparse(part_.get(), plan_.offset(chunk), data, hole); !written) {
    return written;
  }
  if (journal_) {
    const std::byte mark{1};
    auto marked = writeAt(journal_.get(), marksAt_ + chunk, std::span(&mark, 1));
    if (!marked) return marked;
  }
  if (partial_) partial_->add(chunk);
  return {};
}

// --- publishing ---

Result<void> PartFile::sync() {
  if (::fsync(part_.get()) != 0) return diskError("cannot sync the file to the disk", errno);
  return {};
}

Result<bool> PartFile::rename(int target, const std::string& leaf, bool replace) {
  const std::string part = partName();
  // Checked before the transfer, too, which may have taken hours.
  if (replace) {
    if (const auto may = mayReplace(target, leaf, leaf); !may) return may.error();
  }
  const int renamed = replace ? ::renameat(folder(), part.c_str(), target, leaf.c_str())
                              : renameNew(folder(), part.c_str(), target, leaf.c_str());
  if (renamed != 0 && errno == EEXIST && !replace) return false;
  if (renamed != 0) return diskError(fmt::format("cannot save as {}", escaped(leaf)), errno);
  return true;
}

Result<bool> PartFile::publish(int target, const std::string& leaf, bool replace) {
  const auto renamed = rename(target, leaf, replace);
  if (!renamed || !*renamed) return renamed;
  // Its error is ignored: the file is there, and is fetched again if a crash of the machine takes
  // the name back.
  (void)::fsync(target);
  if (journal_ || earlierPlan_) ::unlinkat(folder(), journalName().c_str(), 0);
  if (partial_) partial_->finish();
  return true;
}

void PartFile::discard() {
  ::unlinkat(folder(), partName().c_str(), 0);
}

}  // namespace espalier::transfer
