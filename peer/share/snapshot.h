// What a peer shares at one moment: immutable, so that searches, lists and uploads read it without
// a lock while the indexer makes the next one. Two snapshots share the entries that are the same.
//
// Invariants: names are unique, entries sorted by name (by bytes); every entry is found under its
// root. A lookup is O(log n); with() is a copy of pointers and O(log n) a change, about a
// millisecond at 100,000 files, of some 200 bytes each.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "peer/share/shared_file.h"

namespace espalier::share {

// A folder (or a single file) that is shared. The share root has the label ""; files of it are
// named by their path. Others appear below their label.
struct SharedFolder {
  std::string label;
  fs::path path;        // of the folder; of the folder that holds it, for a single file
  bool single = false;  // only the file `label` in it

  // The path of a share name within `path`; the name must be of this folder.
  std::string relative(std::string_view name) const;
};
using SharedFolders = std::vector<SharedFolder>;

struct Entry {
  std::string name;
  FileStat stat;
  FileRoot root;
  std::uint32_t folder = 0;  // which of SharedFolders
};
using EntryPointer = std::shared_ptr<const Entry>;

// Names and what they now stand for; nullptr: nothing.
using Changes = std::map<std::string, EntryPointer, std::less<>>;

class Snapshot {
 public:
  Snapshot() : folders_(std::make_shared<const SharedFolders>()) {}

  std::size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }
  std::uint64_t totalBytes() const { return totalBytes_; }
  // Counts up with each snapshot of an index.
  std::uint64_t version() const { return version_; }

  // Sorted by name.
  const std::vector<EntryPointer>& entries() const { return entries_; }
  // The first entry whose name is not less, as an index into entries().
  std::size_t lowerBound(std::string_view name) const;

  const Entry* find(std::string_view name) const;
  // All of that root, sorted by name.
  std::vector<const Entry*> findRoot(const FileRoot& root) const;
  // With its path, to be opened.
  SharedFile file(const Entry& entry) const;
  std::optional<SharedFile> file(std::string_view name) const;
  std::optional<SharedFile> file(const FileRoot& root) const;

  std::shared_ptr<const Snapshot> with(const Changes& changes,
                                       std::shared_ptr<const SharedFolders> folders) const;

 private:
  std::shared_ptr<const SharedFolders> folders_;
  std::vector<EntryPointer> entries_;
  std::vector<const Entry*> byRoot_;  // sorted by root, then name
  std::uint64_t totalBytes_ = 0;
  std::uint64_t version_ = 0;
};

}  // namespace espalier::share
