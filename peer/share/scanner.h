// Looks at the file system: which files and folders are there, and may be shared.
//
// Works off the scan queue: a folder is listed, and each child whose name the rules allow is looked
// at; a name is looked at by itself. A regular file goes to the file tracker, a folder back into
// the queue; links, sockets, devices and this peer's own state folder are left out. A folder is
// watched before it is listed, so that a change in between gives an event.
//
//   first scan (isFirstScan()) --the queue is empty for the first time--> running
//
// During the first scan the user is told of names that are hidden by a dot; after it, hashes of
// the saved index that matched no file are dropped.
//
// Only the indexer's thread; blocks on the disk, 20 ms at a time (scanSome()). Called by the
// indexer's loop; the watch reader and the rechecker use wants() and lose().
#pragma once

#include <stop_token>
#include <string>
#include <string_view>

#include "common/base/file_descriptor.h"
#include "peer/share/file_tracker.h"
#include "peer/share/folder_check.h"
#include "peer/share/share_rules.h"

namespace espalier::share {

class Scanner {
 public:
  // What it uses, all borrowed.
  struct Parts {
    const FolderTable& folders;
    const ShareRules& rules;
    Catalogue& catalogue;
    FileTracker& files;
    FolderCheck& check;
    HashSchedule& schedule;
    Problems& problems;
    TreeWatch& watch;
    ScanQueue& queue;
  };
  explicit Scanner(const Parts& parts) : parts_(parts) {}

  // The folder that is never shared, whatever its name.
  void setStateFolder(FileId id) { stateFolder_ = id; }

  // Looks at the names in the queue.
  void lookAtNames();
  // Looks at the files whose retry is due.
  void lookAtDue();
  // Scans folders of the queue for 20 ms, or until none is left.
  void scanSome(const std::stop_token& stop);
  // Puts all folders that are present into the queue.
  void rescan();
  bool isFirstScan() const { return firstScan_; }

  // Whether a child of a folder, with that share name, is to be looked at. The user is told of
  // names that cannot be shared.
  bool wants(const std::string& name, std::string_view child);
  // A shared folder, or a file or folder below one, could not be opened or read.
  void lose(const std::string& name, int error);

 private:
  void look(const std::string& name);
  void lookAt(int folder, const char* child, const std::string& name, std::uint32_t index,
              bool descend);
  void scanFolder(const std::string& name, const std::stop_token& stop);
  void scanOpened(const std::string& name, std::uint32_t index, FileDescriptor opened,
                  const std::stop_token& stop);
  void forgetMissing(const std::string& name, std::uint32_t index,
                     const std::set<std::string, std::less<>>& listed);
  void found(const std::string& name);
  void onQueueEmpty();

  Parts parts_;
  FileId stateFolder_;
  bool firstScan_ = true;
  bool inRescan_ = false;
};

}  // namespace espalier::share
