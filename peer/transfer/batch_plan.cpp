#include "peer/transfer/batch_plan.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>
#include <map>
#include <set>
#include <utility>

#include "common/base/limits.h"
#include "peer/transfer/part_file.h"

namespace espalier::transfer {
namespace {

// Whether names below a folder exist. Keeps the folders open, because many files lie in each.
class ExistingNames {
 public:
  explicit ExistingNames(int base) : base_(base) {}

  bool contains(const SafeName& name) {
    const auto parts = name.folders();
    std::vector<std::string> key(parts.begin(), parts.end());
    auto found = folders_.find(key);
    if (found == folders_.end()) {
      if (folders_.size() == limits::kManyFolders) folders_.clear();
      auto folder = openFolderBeneath(base_, parts, false);
      // One that cannot be used shows when it is made.
      found =
          folders_.emplace(std::move(key), folder ? std::move(*folder) : FileDescriptor()).first;
    }
    if (!found->second) return false;
    struct stat status {};
    return ::fstatat(found->second.get(), name.leaf().c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 ||
           errno != ENOENT;
  }

 private:
  const int base_;
  std::map<std::vector<std::string>, FileDescriptor> folders_;
};

}  // namespace

Result<BatchPlan> planBatch(const ManyRequest& request, const std::string& stateFolder) {
  auto base = openFolder(request.folder);
  if (!base) return base.error();
  BatchPlan plan{std::move(*base), std::nullopt, {}};
  plan.ordinary.resize(request.files.size());
  ExistingNames existing(plan.base.get());
  std::set<FileRoot> roots;
  for (std::size_t i = 0; i < request.files.size(); ++i) {
    const ManyFile& wanted = request.files[i];
    if (wanted.size == 0 || wanted.size > limits::kChunkBytesMin) continue;
    auto name = SafeName::parse(wanted.saveAs, request.dots);
    if (!name || existing.contains(*name) || !roots.insert(wanted.root).second) continue;
    if (!plan.target) {
      auto target = Target::locate(request.folder, wanted.saveAs, request.dots);
      if (!target) return target.error();
      plan.target = std::move(*target);
    }
    plan.ordinary[i] = true;
  }
  if (!plan.target) return plan;
  const auto folder = plan.target->partFolder(stateFolder);
  if (!folder) return folder.error();
  // What an earlier run wrote only needs to be verified.
  const auto parts = namesIn(folder->descriptor.get());
  for (std::size_t i = 0; i < request.files.size() && !parts.empty(); ++i) {
    if (parts.contains(PartFile::nameOf(request.files[i].root))) plan.ordinary[i] = false;
  }
  return plan;
}

}  // namespace espalier::transfer
