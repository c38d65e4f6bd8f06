// What the share knows of each file, from the moment that it is found until it is gone.
//
//   consider() --written a moment ago--> waiting --due, scanner looks again--> consider()
//       |                                   ^
//       |                                   | changed or gone while it was hashed; unreadable
//       +--at rest--> hashing --------------+
//       |                |
//       |                +--the same before and after--> shared
//       +--hashed before, or empty---------------------> shared
//
//   any of them --lose(), forget(), forgetTree(), forgetFolder()--> unknown
//
// Invariants: a file is shared only in the version (FileStat) that was hashed whole. Before a file
// is hashed, its mtime and ctime are older than the clock's tick, so that a later write changes
// them. At most kSharedFiles are shared or hashed; the user is told of more.
//
// Retries follow retry_delay.h. After five changes in a row the user is told.
//
// Does no I/O itself: it hands files to the hash lanes, and removes watches. Only the indexer's
// thread. Called by the scanner (what it sees), the indexer (results of hashing), the folder check,
// the rechecker and the share editor.
#pragma once

#include <string>

#include "peer/share/catalogue.h"
#include "peer/share/folder_table.h"
#include "peer/share/hash_schedule.h"
#include "peer/share/problems.h"
#include "peer/share/scan_queue.h"
#include "peer/share/tree_watch.h"
#include "peer/share/unreadable_paths.h"

namespace espalier::share {

class FileTracker {
 public:
  FileTracker(const FolderTable& folders, Catalogue& catalogue, HashSchedule& schedule,
              Problems& problems, TreeWatch& watch, ScanQueue& queue);

  // A regular file of that share name, in that shared folder, is so now.
  void consider(const std::string& name, std::uint32_t folder, const FileStat& stat);
  // That version of it has that root: it is shared.
  void accept(const std::string& name, std::uint32_t folder, const FileStat& stat,
              const FileRoot& root);
  // The job that hashes that version; not submitted.
  HashJobPointer jobOf(const std::string& name, std::uint32_t folder, const FileStat& stat) const;
  // The lanes have done a job that this class submitted.
  void onResult(const HashJobPointer& job);

  // A file or folder below a shared folder could not be opened or read: `error` is an errno. Unless
  // it is gone, the user is told and it is tried again.
  void lose(const std::string& name, int error);
  // It can be read (again).
  void found(const std::string& name) { unreadable_.solve(name); }
  bool isUnreadable(std::string_view name) const { return unreadable_.contains(name); }

  // A file is not shared any more. Its hash is remembered.
  void forget(const std::string& name);
  // The same of a file, or of a folder with all that is below it.
  void forgetTree(const std::string& name);
  // The same of a whole shared folder.
  void forgetFolder(std::uint32_t folder);

 private:
  const FolderTable& folders_;
  Catalogue& catalogue_;
  HashSchedule& schedule_;
  Problems& problems_;
  UnreadablePaths unreadable_;
  TreeWatch& watch_;
  ScanQueue& queue_;
};

}  // namespace espalier::share
