// The scanner's list of work: folders to scan, names to look at, and when to check the shared
// folders and to scan everything.
//
// Written by all that notice something (watch events, requests of other threads, failures), emptied
// by the scanner and the folder check. It decides nothing. Only the indexer's thread. Bounds: at
// most a name for each entry of the share and for each name that an event or a request brought.
#pragma once

#include <algorithm>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/base/clock.h"

namespace espalier::share {

class ScanQueue {
 public:
  // `name`: a folder's share name; its files and folders are listed and looked at.
  void scan(std::string name) { folders_.push_back(std::move(name)); }
  // `name`: of a file or folder that may have changed, appeared or gone.
  void look(std::string name) { names_.insert(std::move(name)); }
  void look(std::set<std::string> names) { names_.merge(names); }

  bool hasFolders() const { return !folders_.empty(); }
  bool hasNames() const { return !names_.empty(); }
  // The folder that was added last, so that a tree is scanned depth first.
  std::string takeFolder() {
    std::string name = std::move(folders_.back());
    folders_.pop_back();
    return name;
  }
  std::set<std::string> takeNames() { return std::exchange(names_, {}); }

  // Both only bring the next time forward.
  void checkFoldersBy(TimePoint time) { folderCheck_ = std::min(folderCheck_, time); }
  void rescanBy(TimePoint time) { rescan_ = std::min(rescan_, time); }
  void setFolderCheck(TimePoint time) { folderCheck_ = time; }
  void setRescan(TimePoint time) { rescan_ = time; }
  TimePoint folderCheck() const { return folderCheck_; }
  TimePoint rescan() const { return rescan_; }

 private:
  std::vector<std::string> folders_;
  std::set<std::string> names_;
  TimePoint folderCheck_{};
  TimePoint rescan_ = kNever;
};

}  // namespace espalier::share
