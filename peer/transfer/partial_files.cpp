#include "peer/transfer/partial_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

namespace espalier::transfer {

void PartialFile::begin(ChunkPlan plan, FileDescriptor file) {
  const std::lock_guard lock(mutex_);
  plan_ = std::move(plan);
  file_ = std::move(file);
  held_.assign(plan_.hashes.size(), false);
  begun_ = true;
  changed_.notify_all();
}

void PartialFile::add(std::uint64_t chunk) {
  const std::lock_guard lock(mutex_);
  held_[chunk] = true;
  changed_.notify_all();
}

void PartialFile::finish() {
  struct stat status {};
  const bool known = ::fstat(file_.get(), &status) == 0;
  const std::lock_guard lock(mutex_);
  held_.assign(held_.size(), true);
  if (known) whole_ = share::fileStat(status);
  changed_.notify_all();
}

void PartialFile::end() {
  const std::lock_guard lock(mutex_);
  ended_ = true;
  changed_.notify_all();
}

PartialFile::There PartialFile::awaitPlan(Duration patience) const {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, patience, [&] { return begun_ || ended_; });
  return ended_ ? There::never : begun_ ? There::yes : There::notYet;
}

PartialFile::There PartialFile::awaitChunk(std::uint64_t chunk, Duration patience) const {
  std::unique_lock lock(mutex_);
  const auto isHeld = [&] { return chunk < held_.size() && held_[chunk]; };
  changed_.wait_for(lock, patience, [&] { return isHeld() || ended_; });
  // The asker may have been told of another file's size.
  const bool isOutside = !held_.empty() && chunk >= held_.size();
  if (ended_ || isOutside) return There::never;
  return isHeld() ? There::yes : There::notYet;
}

bool PartialFile::holds(std::uint64_t chunk) const {
  const std::lock_guard lock(mutex_);
  return chunk < held_.size() && held_[chunk];
}

std::string PartialFile::heldBits() const {
  const std::lock_guard lock(mutex_);
  std::string bits((held_.size() + 7) / 8, '\0');
  for (std::size_t i = 0; i < held_.size(); ++i) {
    if (held_[i]) bits[i / 8] = static_cast<char>(bits[i / 8] | 1 << i % 8);
  }
  return bits;
}

bool PartialFile::unchanged() const {
  struct stat status {};
  const bool known = ::fstat(file_.get(), &status) == 0;
  const std::lock_guard lock(mutex_);
  return !whole_ || (known && share::fileStat(status) == *whole_);
}

int PartialFile::progress() const {
  const std::lock_guard lock(mutex_);
  if (ended_) return 0;
  if (!begun_) return 1;
  return whole_ ? 3 : 2;
}

void PartialFiles::put(std::shared_ptr<PartialFile> file) {
  files_.with([&](auto& files) {
    auto& same = files[file->root()];
    if (std::find(same.begin(), same.end(), file) == same.end()) same.push_back(std::move(file));
  });
}

void PartialFiles::remove(const std::shared_ptr<PartialFile>& file) {
  files_.with([&](auto& files) {
    const auto found = files.find(file->root());
    if (found == files.end()) return;
    std::erase(found->second, file);
    if (found->second.empty()) files.erase(found);
  });
}

std::shared_ptr<PartialFile> PartialFiles::find(const FileRoot& root) {
  return files_.with([&](auto& files) -> std::shared_ptr<PartialFile> {
    const auto found = files.find(root);
    if (found == files.end()) return nullptr;
    return *std::max_element(
        found->second.begin(), found->second.end(),
        [](const auto& a, const auto& b) { return a->progress() < b->progress(); });
  });
}

void PartialFiles::endAll() {
  files_.with([](auto& files) {
    for (auto& [root, same] : files) {
      for (auto& file : same) file->end();
    }
  });
}

}  // namespace espalier::transfer
