#include "peer/share/snapshot.h"

#include <algorithm>
#include <tuple>

namespace espalier::share {
namespace {

bool beforeByRoot(const Entry* left, const Entry* right) {
  return std::tie(left->root, left->name) < std::tie(right->root, right->name);
}

struct RootChange {
  const Entry* entry;
  bool added;
};

// Entries between two changes are copied as a block: only the changes cost comparisons.
std::vector<const Entry*> changedByRoot(const std::vector<const Entry*>& old,
                                        std::vector<RootChange>& changes, std::size_t size) {
  std::ranges::sort(changes, [](const RootChange& left, const RootChange& right) {
    if (left.entry->root != right.entry->root) return left.entry->root < right.entry->root;
    if (left.entry->name != right.entry->name) return left.entry->name < right.entry->name;
    return left.added < right.added;
  });
  std::vector<const Entry*> fresh;
  fresh.reserve(size);
  auto rest = old.begin();
  for (const auto& change : changes) {
    const auto at = std::lower_bound(rest, old.end(), change.entry, beforeByRoot);
    fresh.insert(fresh.end(), rest, at);
    rest = change.added ? at : at + 1;
    if (change.added) fresh.push_back(change.entry);
  }
  fresh.insert(fresh.end(), rest, old.end());
  return fresh;
}

}  // namespace

std::string SharedFolder::relative(std::string_view name) const {
  if (!single && !label.empty()) name.remove_prefix(std::min(name.size(), label.size() + 1));
  return std::string(name);
}

std::size_t Snapshot::lowerBound(std::string_view name) const {
  const auto at = std::ranges::lower_bound(
      entries_, name, {}, [](const EntryPointer& one) -> std::string_view { return one->name; });
  return static_cast<std::size_t>(at - entries_.begin());
}

const Entry* Snapshot::find(std::string_view name) const {
  const std::size_t at = lowerBound(name);
  return at < entries_.size() && entries_[at]->name == name ? entries_[at].get() : nullptr;
}

std::vector<const Entry*> Snapshot::findRoot(const FileRoot& root) const {
  const auto rootOf = [](const Entry* one) -> auto& {
    return one->root;
  };
  const auto first = std::ranges::lower_bound(byRoot_, root, {}, rootOf);
  const auto last = std::ranges::upper_bound(byRoot_, root, {}, rootOf);
  return {first, last};
}

SharedFile Snapshot::file(const Entry& entry) const {
  const SharedFolder& folder = folders_->at(entry.folder);
  std::string relative = folder.relative(entry.name);
  return {entry.name, entry.stat.sizeBytes,   entry.stat,
          entry.root, folder.path / relative, folder.path,
          relative};
}

std::optional<SharedFile> Snapshot::file(std::string_view name) const {
  const Entry* entry = find(name);
  if (entry == nullptr) return std::nullopt;
  return file(*entry);
}

std::optional<SharedFile> Snapshot::file(const FileRoot& root) const {
  const auto entries = findRoot(root);
  if (entries.empty()) return std::nullopt;
  return file(*entries.front());
}

std::shared_ptr<const Snapshot> Snapshot::with(const Changes& changes,
                                               std::shared_ptr<const SharedFolders> folders) const {
  auto next = std::make_shared<Snapshot>();
  next->folders_ = std::move(folders);
  next->version_ = version_ + 1;
  next->totalBytes_ = totalBytes_;
  next->entries_.reserve(entries_.size() + changes.size());
  std::vector<RootChange> byRoot;
  byRoot.reserve(changes.size());
  auto rest = entries_.begin();
  for (const auto& [name, entry] : changes) {
    const auto at = std::lower_bound(
        rest, entries_.end(), name,
        [](const EntryPointer& one, const std::string& wanted) { return one->name < wanted; });
    next->entries_.insert(next->entries_.end(), rest, at);
    rest = at;
    if (rest != entries_.end() && (*rest)->name == name) {
      byRoot.push_back({rest->get(), false});
      next->totalBytes_ -= (*rest)->stat.sizeBytes;
      ++rest;
    }
    if (entry) {
      byRoot.push_back({entry.get(), true});
      next->entries_.push_back(entry);
      next->totalBytes_ += entry->stat.sizeBytes;
    }
  }
  next->entries_.insert(next->entries_.end(), rest, entries_.end());
  next->byRoot_ = changedByRoot(byRoot_, byRoot, next->entries_.size());
  return next;
}

}  // namespace espalier::share
