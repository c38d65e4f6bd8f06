// Hashes files again that another peer calls damaged.
//
//   queued --a file at a time--> hashing --same root--> shared as before
//                                   |
//                                   +--another root: notice--> shared under the new root
//                                   +--changed, unreadable--> the scanner looks again
//
// Any peer can claim damage at no cost, so a file stays shared while it is hashed again; a root is
// checked at most once in kRecheckAgain, one file at a time, in at most a twentieth of the time, or
// one every ten minutes.
// Bounds: kRechecks names, kToldPaths roots, four files of one root.
//
// Only the indexer's thread. The indexer calls add() for requests from the inbox (a peer rejected a
// chunk), startIfDue() in each round, and onResult() for the job that owns() names.
#pragma once

#include <deque>
#include <map>
#include <string>

#include "peer/share/scanner.h"
#include "peer/share/share_notice.h"

namespace espalier::share {

// From the end of one to the next.
Duration pauseAfterRecheck(Duration took);

class Rechecker {
 public:
  Rechecker(const Catalogue& catalogue, HashLanes& lanes, FileTracker& files, Scanner& scanner,
            ScanQueue& queue, const Notify& notify)
      : catalogue_(catalogue),
        lanes_(lanes),
        files_(files),
        scanner_(scanner),
        queue_(queue),
        notify_(notify) {}

  void add(const FileRoot& root);
  void startIfDue();
  // When startIfDue() has something to do; kNever.
  TimePoint due() const { return names_.empty() || job_ ? kNever : due_; }
  bool owns(const HashJobPointer& job) const { return job == job_; }
  void onResult(const HashJobPointer& job);

 private:
  const Catalogue& catalogue_;
  HashLanes& lanes_;
  FileTracker& files_;
  Scanner& scanner_;
  ScanQueue& queue_;
  const Notify& notify_;

  std::deque<std::string> names_;          // of files to be hashed again
  std::map<FileRoot, TimePoint> checked_;  // when; only of the last kRecheckAgain
  HashJobPointer job_;                     // the file that is being hashed
  TimePoint started_{};
  TimePoint due_{};
};

}  // namespace espalier::share
