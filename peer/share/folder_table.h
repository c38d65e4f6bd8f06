// The folders and single files that are shared, and which share name stands for which path.
//
// Folder 0 is the share itself, with the label "". `share PATH` opens another folder (or a single
// file) under the label of its last component; `unshare` closes it. The first component of a share
// name that is the label of an open folder selects it; all other names belong to folder 0.
//
// Invariants: an index is never used for another folder, so that entries and jobs may keep it; open
// folders have different labels. `real` is the folder's path without symbolic links, as of the last
// check that found it.
//
// No I/O. Only the indexer's thread. FolderCheck records which folders are present; the scanner,
// the share rules and the share editor ask.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "peer/share/snapshot.h"

namespace espalier::share {

class FolderTable {
 public:
  void open(SharedFolder folder, std::string real);
  void close(std::uint32_t index);

  std::uint32_t size() const { return static_cast<std::uint32_t>(states_.size()); }
  const SharedFolder& at(std::uint32_t index) const { return folders_->at(index); }
  // A copy-on-write list: a snapshot keeps the one that it was made with.
  const std::shared_ptr<const SharedFolders>& all() const { return folders_; }

  bool isOpen(std::uint32_t index) const { return states_[index].open; }
  bool isPresent(std::uint32_t index) const { return states_[index].present; }
  const std::string& real(std::uint32_t index) const { return states_[index].real; }
  void setPresent(std::uint32_t index, std::string real);
  void setAbsent(std::uint32_t index) { states_[index].present = false; }
  bool allPresent() const;

  // Which folder a share name belongs to.
  std::uint32_t indexOf(std::string_view name) const;
  bool hasLabel(std::string_view label) const { return labels_.contains(label); }
  // Whether the name is of a shared folder (or single file) itself.
  bool isLabel(std::string_view name) const { return name == at(indexOf(name)).label; }

  // The path of a share name, without symbolic links in the part that the user gave.
  std::string pathOf(std::string_view name) const;
  // The same of a folder, or of a single file.
  std::string pathOf(std::uint32_t index) const;
  // All share names of a path: one for each open folder above it.
  std::vector<std::string> namesOf(const std::string& path) const;
  // Whether the path is in an open folder, or an open folder is in it.
  bool overlaps(const std::string& path) const;

 private:
  struct State {
    bool open = true;
    bool present = false;
    std::string real;
  };

  std::shared_ptr<const SharedFolders> folders_ = std::make_shared<const SharedFolders>();
  std::vector<State> states_;                                 // of folders_
  std::map<std::string, std::uint32_t, std::less<>> labels_;  // of open folders but the first
};

}  // namespace espalier::share
