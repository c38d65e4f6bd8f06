// A thin owner of an inotify(7) descriptor: tells which watched folders changed, and how.
//
// A watch follows the folder, not its path. What an event means for the share is decided elsewhere
// (watch_reader.h).
//
// Only the indexer's thread; no function blocks. Used by TreeWatch.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_set>

#include "common/base/file_descriptor.h"
#include "common/base/result.h"

namespace espalier::share {

struct WatchEvent {
  int watch = -1;
  bool overflow = false;     // events were lost: anything may have changed
  bool watchEnded = false;   // the kernel removed the watch
  bool folderMoved = false;  // the watched folder itself was moved, removed or unmounted
  bool attributes = false;   // owner, mode or times of `name` changed, or of the folder itself
  bool isFolder = false;     // `name` is a folder
  bool left = false;         // `name` was removed or moved away
  bool closed = false;       // `name` was closed after it had been open for writing
  std::string_view name;     // a child of the watched folder; "": the folder itself
};

class FolderWatch {
 public:
  // At most that many watches. More are refused with ENOSPC, the kernel's own error for this.
  explicit FolderWatch(std::size_t watches);

  // Tries again to open the descriptor, if that failed.
  void reopen();
  // To be polled for reading; -1 where inotify is not available.
  int descriptor() const { return descriptor_.get(); }
  // Watches an open folder. Returns the number of its watch, the same one for the same folder; -1
  // and errno for a failure.
  int add(int folder);
  void remove(int watch);
  // Calls `onEvent` for each event that has come so far; 1 MiB of them at most.
  void read(const std::function<void(const WatchEvent&)>& onEvent);

  // A sentence: why add() failed with that errno, and which setting allows more.
  static std::string reason(int error);

 private:
  const std::size_t most_;
  FileDescriptor descriptor_;
  int openError_ = 0;
  std::unordered_set<int> watches_;  // those that the kernel has not ended
};

}  // namespace espalier::share
