#include "peer/transfer/small_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <utility>

#include "common/base/limits.h"
#include "peer/transfer/disk.h"

namespace espalier::transfer {
namespace {

// With its size first, so that it may end with a hole.
Result<void> writeAll(int file, std::span<const std::byte> data) {
  if (::ftruncate(file, static_cast<off_t>(data.size())) != 0) {
    return diskError("cannot write what was received", errno);
  }
  return writeSparse(file, 0, data, [](auto, auto) { return Result<void>(); });
}

}  // namespace

std::string partName(const FileRoot& root) {
  return toHex(root.view()) + ".part";
}

std::set<std::string> partsIn(int folder) {
  std::set<std::string> names;
  // A description of its own: a duplicate would share the place where reading is.
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

Result<int> SmallFiles::folderOf(const SafeName& name) {
  const auto parts = name.folders();
  std::vector<std::string> key(parts.begin(), parts.end());
  const auto found = folders_.find(key);
  if (found != folders_.end()) return found->second.get();
  if (folders_.size() == limits::kManyFolders) {
    syncFolders();
    // Parts still name some of them.
    if (parts_.empty()) folders_.clear();
  }
  auto folder = openFolderBeneath(base_, parts, true);
  if (!folder) return folder.error();
  return folders_.emplace(std::move(key), std::move(*folder)).first->second.get();
}

Result<bool> SmallFiles::write(std::size_t file, const FileRoot& root, const SafeName& name,
                               std::span<const std::byte> data) {
  const auto folder = folderOf(name);
  if (!folder) return folder.error();
  const std::string part = partName(root);
  FileDescriptor descriptor(::openat(incoming_.descriptor.get(), part.c_str(),
                                     O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0666));
  if (!descriptor && errno == EEXIST) return false;
  if (!descriptor) return diskError("cannot open the folder for incoming files", errno);
  // Whoever opened it in between has it now.
  if (::flock(descriptor.get(), LOCK_EX | LOCK_NB) != 0) return false;
  if (auto written = writeAll(descriptor.get(), data); !written) {
    ::unlinkat(incoming_.descriptor.get(), part.c_str(), 0);
    return written.error();
  }
  parts_.push_back({file, root, std::move(descriptor), *folder, name.leaf()});
  bytes_ += data.size();
  return true;
}

bool SmallFiles::full() const {
  return parts_.size() >= limits::kManyBatchFiles || bytes_ >= limits::kManyBatchBytes;
}

Result<void> SmallFiles::publish(const Before& before, const Done& done) {
  if (parts_.empty()) return {};
  // One file is synced for itself; for many, one pass over the file system is far cheaper.
  const int synced = parts_.size() == 1 ? ::fsync(parts_.front().descriptor.get())
                                        : ::syncfs(incoming_.descriptor.get());
  if (synced != 0) return diskError("cannot sync the files to the disk", errno);
  for (const auto& part : parts_) {
    const std::string name = partName(part.root);
    before(incoming_.path + "/" + name, part.root);
    const int renamed =
        renameNew(incoming_.descriptor.get(), name.c_str(), part.folder, part.leaf.c_str());
    if (renamed != 0 && errno != EEXIST) return diskError("cannot save a file", errno);
    done(part.file, renamed == 0);
  }
  parts_.clear();
  bytes_ = 0;
  return {};
}

void SmallFiles::syncFolders() {
  for (const auto& [parts, folder] : folders_) (void)::fsync(folder.get());
}

}  // namespace espalier::transfer
