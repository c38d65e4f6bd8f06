// Watches the folders of the share for changes, by their share names, and falls back to scanning
// everything at an interval where the kernel refuses a watch.
//
//   watching --a watch is refused: notice--> scanning at an interval
//      ^                                         |
//      +---- a whole scan without a refusal -----+  notice
//
// A folder that has two share names has one watch. After events were read, no more are read for 10
// ms: a file that is written all the time gives an event for each write.
//
// Only the indexer's thread. Owns the inotify descriptor. The scanner adds watches, the file
// tracker drops them, the watch reader reads the events.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "peer/share/folder_watch.h"
#include "peer/share/scan_queue.h"
#include "peer/share/share_notice.h"
#include "peer/share/watch_table.h"

namespace espalier::share {

class TreeWatch {
 public:
  TreeWatch(std::size_t watches, Duration rescanInterval, ScanQueue& queue, const Notify& notify);

  bool contains(std::string_view name) const { return table_.contains(name); }
  // `folder`: an open descriptor of it.
  void add(const std::string& name, int folder);
  // A folder and all below it.
  void dropTree(std::string_view name);
  void dropNames(const std::function<bool(const std::string&)>& gone);
  // A watch that the kernel removed; the names that it had.
  std::vector<std::string> dropEnded(int watch);
  std::vector<std::string> namesOf(int watch) const { return table_.namesOf(watch); }

  // To be polled; -1 where inotify is not available, and during a pause.
  int descriptor(TimePoint now) const { return now < pausedUntil_ ? -1 : watch_.descriptor(); }
  TimePoint pausedUntil() const { return pausedUntil_; }
  // Nothing during a pause.
  void read(TimePoint now, const std::function<void(const WatchEvent&)>& onEvent);

  // A scan of everything begins, and ends.
  void beginRescan();
  void endRescan();

 private:
  const Duration rescanInterval_;
  ScanQueue& queue_;
  const Notify& notify_;
  FolderWatch watch_;
  WatchTable table_;
  bool refused_ = false;          // the second state of the diagram
  bool refusedInRescan_ = false;  // since the last scan of everything began
  TimePoint pausedUntil_{};
};

}  // namespace espalier::share
