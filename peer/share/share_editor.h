// Carries out `share PATH` and `unshare PATH`: ShareIndex::add() and remove() say what they do.
//
//   what the user typed --a path, or a share name--> absolute path --> share names of it
//        --> a changed ShareList, saved first --> folders opened or closed, names looked at
//
// A path may have several share names, because shared folders may overlap; both commands apply to
// all of them. When saving fails nothing has changed.
//
// Only the indexer's thread, which runs the commands of its inbox; blocks on the disk (a few system
// calls, and a sync of share.json). Errors are sentences for the user.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "peer/share/file_tracker.h"
#include "peer/share/folder_table.h"
#include "peer/share/scan_queue.h"
#include "peer/share/share_notice.h"
#include "peer/share/share_rules.h"

namespace espalier::share {

class ShareEditor {
 public:
  // What it uses, all borrowed.
  struct Parts {
    FolderTable& folders;
    ShareRules& rules;
    const Catalogue& catalogue;
    const HashSchedule& schedule;
    const TreeWatch& watch;
    FileTracker& files;
    ScanQueue& queue;
    const Notify& notify;
  };
  ShareEditor(const Parts& parts, fs::path root) : parts_(parts), root_(std::move(root)) {}

  // At the start: opens the share itself, and what share.json says.
  void load();

  // `path` and `name` are what the user typed, as a path and as it stands.
  Result<void> add(const fs::path& path, const std::string& name);
  Result<void> remove(const fs::path& path, const std::string& name);

 private:
  void openFolder(SharedFolder folder);
  void closeFolder(std::uint32_t index);
  Result<void> addInside(const fs::path& path, const std::vector<std::string>& names);
  Result<void> addOutside(const fs::path& path);
  Result<void> unshare(const fs::path& path, const std::string& shown);
  std::vector<std::uint32_t> foldersBelow(const std::string& real) const;
  fs::path meantPath(const fs::path& path, const std::string& name) const;
  bool isKnown(std::string_view name) const;

  Parts parts_;
  const fs::path root_;
};

}  // namespace espalier::share
