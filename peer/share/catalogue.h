// What the indexer knows of the files at this moment: the last snapshot, and what changed since.
// Also what was known before (from the index on disk, or of files that went away), so that a
// version that appears again, under whatever name, is not hashed again.
//
// One thread's. Costs of all lookups are logarithmic.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "peer/share/index_file.h"
#include "peer/share/snapshot.h"

namespace espalier::share {

class Catalogue {
 public:
  const Entry* current(std::string_view name) const;
  std::uint64_t files() const { return files_; }
  std::uint64_t bytes() const { return bytes_; }

  void put(Entry entry);
  void remove(std::string_view name);
  // The same for a file that went away as it was: its version is remembered.
  void retire(std::string_view name);

  // The direct children of a folder ("": the share) that have files: its files, and its folders.
  void children(std::string_view folder,
                const std::function<void(std::string_view child, bool isFolder)>& each) const;
  // The names of all files for which `wanted` holds; below `folder` only, if it is not "".
  std::vector<std::string> names(std::string_view folder,
                                 const std::function<bool(const Entry&)>& wanted) const;

  bool changed() const { return !changes_.empty(); }
  // Makes a snapshot of the changes.
  std::shared_ptr<const Snapshot> publish(std::shared_ptr<const SharedFolders> folders);
  const Snapshot& published() const { return *snapshot_; }

  void remember(const KnownVersion& version);
  // The root of that very version, if it is known.
  const FileRoot* remembered(const FileStat& stat) const;
  void forgetRemembered() { remembered_.clear(); }
  // All that is current or remembered.
  std::vector<KnownVersion> everything() const;

 private:
  std::shared_ptr<const Snapshot> snapshot_ = std::make_shared<const Snapshot>();
  Changes changes_;
  std::uint64_t files_ = 0;
  std::uint64_t bytes_ = 0;
  // By device (0: of an index that does not know it) and inode.
  struct FileIdHash {
    std::size_t operator()(const FileId& id) const {
      return std::hash<std::uint64_t>()(id.inode ^ id.device << 32);
    }
  };
  std::unordered_map<FileId, KnownVersion, FileIdHash> remembered_;
};

}  // namespace espalier::share
