// What the indexer knows of the files: the last snapshot, the changes since, and the hashes of
// versions that it has seen.
//
// remember() keeps the root of a version that has no name at present: from the index on disk, of a
// file that went away, of a download that is about to be renamed. When the same version appears
// under some name it is not hashed again. At most kSharedFiles versions are remembered.
//
// Invariant: files() and bytes() are the totals of the snapshot with its changes applied.
//
// No I/O. Only the indexer's thread; the snapshots that publish() returns are for any thread. A
// lookup is O(log n), publish() as Snapshot::with(). The file tracker changes it.
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
  // The entry of that name now, also if it is not published yet; nullptr: none.
  const Entry* current(std::string_view name) const;
  std::uint64_t files() const { return files_; }
  std::uint64_t bytes() const { return bytes_; }

  void put(Entry entry);
  void remove(std::string_view name);
  // remove(), and remember() its version: the file went away unchanged.
  void retire(std::string_view name);

  // Calls `each` with the files of a folder ("": the share), and with those of its folders in which
  // there are files. Some folders come twice, and some have lost their last file since the last
  // snapshot.
  void children(std::string_view folder,
                const std::function<void(std::string_view child, bool isFolder)>& each) const;
  // The names of all files below `folder` ("": all files) for which `wanted` holds.
  std::vector<std::string> names(std::string_view folder,
                                 const std::function<bool(const Entry&)>& wanted) const;

  bool changed() const { return !changes_.empty(); }
  // Applies the changes to the last snapshot, and returns the new one.
  std::shared_ptr<const Snapshot> publish(std::shared_ptr<const SharedFolders> folders);
  const Snapshot& published() const { return *snapshot_; }

  void remember(const KnownVersion& version);
  // The root of that version; nullptr if it is not remembered.
  const FileRoot* remembered(const FileStat& stat) const;
  void forgetRemembered() { remembered_.clear(); }
  // All versions that are current or remembered; not those of empty files.
  std::vector<KnownVersion> everything() const;

 private:
  std::shared_ptr<const Snapshot> snapshot_ = std::make_shared<const Snapshot>();
  Changes changes_;
  std::uint64_t files_ = 0;
  std::uint64_t bytes_ = 0;
  // Device 0: the index on disk did not know it.
  struct FileIdHash {
    std::size_t operator()(const FileId& id) const {
      return std::hash<std::uint64_t>()(id.inode ^ id.device << 32);
    }
  };
  std::unordered_map<FileId, KnownVersion, FileIdHash> remembered_;
};

}  // namespace espalier::share
