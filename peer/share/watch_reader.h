// Turns the events of watched folders into entries of the scan queue.
//
// An event describes a past state, so the scanner looks at the present one. Only a folder that was
// moved away or removed is forgotten at once, and a shared folder whose watch the kernel ended (its
// disk was unmounted).
//
// Only the indexer's thread, whose loop calls read(). No I/O beyond reading the events.
#pragma once

#include <string>

#include "peer/share/scanner.h"

namespace espalier::share {

class WatchReader {
 public:
  WatchReader(TreeWatch& watch, const FolderTable& folders, ScanQueue& queue,
              HashSchedule& schedule, FileTracker& files, FolderCheck& check, Scanner& scanner);

  void read(TimePoint now);

 private:
  void onEvent(const WatchEvent& event);
  void onWatchEnded(int watch);
  void onChildEvent(const std::string& folderName, const WatchEvent& event);

  TreeWatch& watch_;
  const FolderTable& folders_;
  ScanQueue& queue_;
  HashSchedule& schedule_;
  FileTracker& files_;
  FolderCheck& check_;
  Scanner& scanner_;
};

}  // namespace espalier::share
