// Whether each shared folder is there and can be read.
//
//   absent --opened: scan it--> present --gone, or cannot be read: forget its files--> absent
//                                  |
//                                  +-- another folder in its place --> absent, then present
//
// The share itself and each folder of `share PATH` may be on a disk that comes and goes. A folder
// that is absent is tried again at each check. After failed scans it is tried after a delay: 100
// ms, doubled for each failure, at most 30 s. A state folder counts as absent. A shortage of
// descriptors or memory changes nothing. The user is told when a folder becomes absent with a
// reason, and when it is back.
//
// Only the indexer's thread; opens each folder at each check. The indexer calls check(),
// the scanner lose() and found(), the watch reader lose().
#pragma once

#include <cstdint>
#include <vector>

#include "common/base/clock.h"
#include "peer/share/file_tracker.h"
#include "peer/share/folder_table.h"
#include "peer/share/scan_queue.h"
#include "peer/share/share_notice.h"

namespace espalier::share {

class FolderCheck {
 public:
  FolderCheck(FolderTable& folders, FileTracker& files, ScanQueue& queue, const Notify& notify)
      : folders_(folders), files_(files), queue_(queue), notify_(notify) {}

  // Checks all open folders, and says in the queue when to check again.
  void check();
  // A shared folder could not be scanned. `error`: an errno, or 0: unknown, the next check finds
  // the reason.
  void lose(std::uint32_t folder, int error);
  // It was scanned, or is about to be.
  void found(std::uint32_t folder);

 private:
  struct State {
    bool toldAbsent = false;
    unsigned failedScans = 0;  // in a row
    TimePoint notBefore{};     // the next check of an absent folder
    FileId id;                 // of the folder that was found last
  };

  State& stateOf(std::uint32_t folder);
  void checkFolder(std::uint32_t folder);
  void tellAbsent(std::uint32_t folder, int error);
  void setAbsent(std::uint32_t folder);

  FolderTable& folders_;
  FileTracker& files_;
  ScanQueue& queue_;
  const Notify& notify_;
  std::vector<State> states_;  // of the table's folders; made when they are needed
};

}  // namespace espalier::share
