// Which share names are shared: the user's list (share.json) applied to the folders that are open.
//
// Invariant: the list in memory is the one on disk, or the disk's was damaged or lost.
//
// change() writes and syncs share.json; the rest does no I/O. Only the indexer's thread. The
// scanner asks before it lists or opens anything; the share editor changes the list.
#pragma once

#include <string_view>

#include "peer/share/folder_table.h"
#include "peer/share/share_list.h"

namespace espalier::share {

class ShareRules {
 public:
  // `shareHidden`: names that begin with a dot are shared, too.
  ShareRules(const FolderTable& folders, fs::path listFile, bool shareHidden)
      : folders_(folders), file_(std::move(listFile)), shareHidden_(shareHidden) {}

  const ShareList& list() const { return list_; }
  // An error leaves the list empty.
  Result<void> load();
  // Makes the list hold also after a restart. After an error the old one holds.
  Result<void> change(ShareList list);
  // Writes the list again if its file is gone and it says anything.
  void saveIfLost();
  // `unshared` of every name that is hidden: version 1 of the file kept the names only, and the
  // share may have been moved since. Called once the folders of the list are open.
  void addUnsharedPaths();

  // The user unshared it, or a folder above it.
  bool isUnshared(std::string_view name) const;
  // A file of that name is shared.
  bool isShared(std::string_view name) const;
  // A folder of that name may have shared files in it.
  bool isScanned(std::string_view name) const;
  // The dots in it hide it, by that list rather than the present one.
  bool isDotHidden(const ShareList& list, std::string_view name) const;

 private:
  const FolderTable& folders_;
  const fs::path file_;
  const bool shareHidden_;
  ShareList list_;
};

}  // namespace espalier::share
