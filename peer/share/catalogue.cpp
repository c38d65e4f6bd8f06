#include "peer/share/catalogue.h"

#include <chrono>

#include "common/base/clock.h"
#include "common/base/limits.h"

namespace espalier::share {
namespace {

// The least name that comes after all names below `folder`: '0' follows '/'.
std::string endOf(std::string_view folder) {
  return std::string(folder) + static_cast<char>('/' + 1);
}

// Whether a file with this stat is that version.
bool isVersion(const FileStat& now, const KnownVersion& known) {
  FileStat stat = known.stat;
  const auto later = std::chrono::nanoseconds(now.ctimeNanos - stat.ctimeNanos);
  const bool renamed =
      known.renamedSoon && later >= Duration::zero() && later <= limits::kRenameWithin;
  if (renamed || stat.ctimeNanos == 0) stat.ctimeNanos = now.ctimeNanos;
  if (stat.device == 0) stat.device = now.device;
  return stat == now;
}

}  // namespace

const Entry* Catalogue::current(std::string_view name) const {
  const auto change = changes_.find(name);
  return change != changes_.end() ? change->second.get() : snapshot_->find(name);
}

void Catalogue::put(Entry entry) {
  remove(entry.name);
  ++files_;
  bytes_ += entry.stat.sizeBytes;
  std::string name = entry.name;
  changes_.insert_or_assign(std::move(name), std::make_shared<const Entry>(std::move(entry)));
}

void Catalogue::remove(std::string_view name) {
  const Entry* entry = current(name);
  if (entry == nullptr) return;
  --files_;
  bytes_ -= entry->stat.sizeBytes;
  changes_.insert_or_assign(std::string(name), nullptr);
}

void Catalogue::retire(std::string_view name) {
  if (const Entry* entry = current(name)) remember({entry->stat, entry->root});
  remove(name);
}

void Catalogue::children(std::string_view folder,
                         const std::function<void(std::string_view, bool)>& each) const {
  const std::string prefix = folder.empty() ? "" : std::string(folder) + '/';
  const auto childOf = [&](std::string_view name) {
    const auto rest = name.substr(prefix.size());
    return rest.substr(0, rest.find('/'));
  };
  const auto isFolder = [&](std::string_view name, std::string_view child) {
    return name.size() > prefix.size() + child.size();
  };
  const auto& entries = snapshot_->entries();
  for (std::size_t i = snapshot_->lowerBound(prefix); i < entries.size();) {
    const std::string_view name = entries[i]->name;
    if (!name.starts_with(prefix)) break;
    const auto child = childOf(name);
    if (isFolder(name, child)) {
      each(child, true);
      i = snapshot_->lowerBound(endOf(prefix + std::string(child)));
    } else {
      if (current(name) != nullptr) each(child, false);
      ++i;
    }
  }
  for (auto at = changes_.lower_bound(prefix);
       at != changes_.end() && at->first.starts_with(prefix);) {
    const auto child = childOf(at->first);
    const bool inFolder = isFolder(at->first, child);
    if (at->second) each(child, inFolder);
    at = inFolder && at->second ? changes_.lower_bound(endOf(prefix + std::string(child)))
                                : std::next(at);
  }
}

std::vector<std::string> Catalogue::names(std::string_view folder,
                                          const std::function<bool(const Entry&)>& wanted) const {
  const std::string prefix = folder.empty() ? "" : std::string(folder) + '/';
  std::vector<std::string> names;
  const auto& entries = snapshot_->entries();
  for (std::size_t i = snapshot_->lowerBound(prefix); i < entries.size(); ++i) {
    const std::string& name = entries[i]->name;
    if (!name.starts_with(prefix)) break;
    if (!changes_.contains(name) && wanted(*entries[i])) names.push_back(name);
  }
  for (auto at = changes_.lower_bound(prefix);
       at != changes_.end() && at->first.starts_with(prefix); ++at) {
    if (at->second && wanted(*at->second)) names.push_back(at->first);
  }
  return names;
}

std::shared_ptr<const Snapshot> Catalogue::publish(std::shared_ptr<const SharedFolders> folders) {
  snapshot_ = snapshot_->with(changes_, std::move(folders));
  changes_.clear();
  return snapshot_;
}

void Catalogue::remember(const KnownVersion& version) {
  const FileId id{version.stat.device, version.stat.inode};
  const bool known = remembered_.contains(id);
  if (version.stat.sizeBytes == 0 || (!known && remembered_.size() >= limits::kSharedFiles)) return;
  remembered_.insert_or_assign(id, version);
}

const FileRoot* Catalogue::remembered(const FileStat& stat) const {
  for (const auto device : {stat.device, std::uint64_t{0}}) {
    const auto found = remembered_.find({device, stat.inode});
    if (found != remembered_.end() && isVersion(stat, found->second)) return &found->second.root;
  }
  return nullptr;
}

std::vector<KnownVersion> Catalogue::everything() const {
  std::vector<KnownVersion> all;
  all.reserve(files_ + remembered_.size());
  for (const auto& entry : snapshot_->entries()) {
    if (entry->stat.sizeBytes > 0 && !changes_.contains(entry->name)) {
      all.push_back({entry->stat, entry->root});
    }
  }
  for (const auto& [name, entry] : changes_) {
    if (entry && entry->stat.sizeBytes > 0) all.push_back({entry->stat, entry->root});
  }
  for (const auto& [inode, version] : remembered_) all.push_back(version);
  return all;
}

}  // namespace espalier::share
