#include "peer/transfer/part_batch.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "common/base/limits.h"
#include "peer/transfer/disk.h"

namespace espalier::transfer {

Result<int> PartBatch::folderOf(const SafeName& name) {
  const auto parts = name.folders();
  std::vector<std::string> key(parts.begin(), parts.end());
  const auto found = folders_.find(key);
  if (found != folders_.end()) return found->second.get();
  if (folders_.size() == limits::kManyFolders) {
    syncFolders();
    // Not while parts refer to some of them.
    if (parts_.empty()) folders_.clear();
  }
  auto folder = openFolderBeneath(base_, parts, true);
  if (!folder) return folder.error();
  return folders_.emplace(std::move(key), std::move(*folder)).first->second.get();
}

Result<bool> PartBatch::write(std::size_t file, const ChunkPlan& plan, const SafeName& name,
                              std::span<const std::byte> data) {
  const auto folder = folderOf(name);
  if (!folder) return folder.error();
  auto part = PartFile::create(incoming_, plan.root);
  if (!part) return part.error();
  if (!*part) return false;
  Result<void> written;
  if (const auto begun = (*part)->begin(plan, {}); !begun) {
    written = begun.error();
  } else {
    written = (*part)->write(0, data);
  }
  if (!written) {
    (*part)->discard();
    return written.error();
  }
  parts_.push_back({file, plan.root, std::move(**part), *folder, name.leaf()});
  bytes_ += data.size();
  return true;
}

bool PartBatch::full() const {
  return parts_.size() >= limits::kManyBatchFiles || bytes_ >= limits::kManyBatchBytes;
}

Result<void> PartBatch::publish(const Before& before, const Done& done) {
  if (parts_.empty()) return {};
  if (parts_.size() == 1) {
    if (auto synced = parts_.front().part.sync(); !synced) return synced;
  } else if (::syncfs(incoming_->descriptor.get()) != 0) {
    return diskError("cannot sync the files to the disk", errno);
  }
  for (auto& [file, root, part, folder, leaf] : parts_) {
    before(part.path(), root);
    const auto renamed = part.rename(folder, leaf, false);
    if (!renamed) return renamed.error();
    done(file, *renamed);
  }
  parts_.clear();
  bytes_ = 0;
  return {};
}

void PartBatch::syncFolders() {
  for (const auto& [parts, folder] : folders_) (void)::fsync(folder.get());
}

}  // namespace espalier::transfer
