// What a peer shares at one moment. Immutable: searches, lists and uploads read a snapshot without
// a lock while the indexer makes the next one. Two snapshots share the entries that are equal.
//
// Invariants: names are unique; entries are sorted by name, by bytes; each entry is found under its
// root.
//
// A lookup is O(log n). with() copies n pointers and costs O(log n) a change: about a millisecond
// at 100,000 files. An entry takes some 200 bytes. No I/O; any thread. Made by the Catalogue,
// published by Publication, read by the peer's shell and the match queue.
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

// A folder, or a single file, that is shared. Its files' share names begin with its label. The
// share itself has the label "": its files are named by their path in it.
struct SharedFolder {
  std::string label;
  fs::path path;        // of the folder; for a single file, of the folder that it is in
  bool single = false;  // only the file `label` in that folder

  // The path of a share name relative to `path`. The name must be of this folder.
  std::string relative(std::string_view name) const;
};
using SharedFolders = std::vector<SharedFolder>;

struct Entry {
  std::string name;
  FileStat stat;
  FileRoot root;
  std::uint32_t folder = 0;  // index into SharedFolders
};
using EntryPointer = std::shared_ptr<const Entry>;

// Names, and their entries from now on; nullptr: none.
using Changes = std::map<std::string, EntryPointer, std::less<>>;

class Snapshot {
 public:
  Snapshot() : folders_(std::make_shared<const SharedFolders>()) {}

  std::size_t size() const { return entries_.size(); }
  bool empty() const { return entries_.empty(); }
  std::uint64_t totalBytes() const { return totalBytes_; }
  // One more than that of the snapshot before.
  std::uint64_t version() const { return version_; }

  // Sorted by name.
  const std::vector<EntryPointer>& entries() const { return entries_; }
  // The index into entries() of the first entry whose name is not less.
  std::size_t lowerBound(std::string_view name) const;

  const Entry* find(std::string_view name) const;
  // All entries of that root, sorted by name.
  std::vector<const Entry*> findRoot(const FileRoot& root) const;
  // An entry with its path, for openForServing(). By root: the first by name.
  SharedFile file(const Entry& entry) const;
  std::optional<SharedFile> file(std::string_view name) const;
  std::optional<SharedFile> file(const FileRoot& root) const;

  // The next snapshot: this one with the changes applied.
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
