// Tells which folders changed, by inotify(7). A thin owner of its descriptor: what an event means
// is for the indexer to find out by looking, since an event says only that something was so.
//
// One thread's. A watch follows the folder, not its name.
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
  bool overflow = false;     // events were lost: look at everything
  bool watchEnded = false;   // the kernel removed the watch
  bool folderMoved = false;  // the watched folder itself was moved, removed or unmounted
  bool attributes = false;   // owner, mode or times changed: of `name`, or of the folder itself
  bool isFolder = false;     // `name` is of a folder
  bool left = false;         // `name` was removed or moved away
  bool closed = false;       // whoever wrote `name` closed it
  std::string_view name;     // in the watched folder
};

class FolderWatch {
 public:
  // At most that many watches; more are refused with ENOSPC, as the kernel refuses its own.
  explicit FolderWatch(std::size_t watches);

  // Tries again where inotify was not to be had.
  void reopen();
  // To be polled for reading; -1 where inotify is not to be had.
  int descriptor() const { return descriptor_.get(); }
  // The number of the watch of an open folder (the same for the same folder), or -1 and errno.
  int add(int folder);
  void remove(int watch);
  // What has come so far, 1 MiB at most.
  void read(const std::function<void(const WatchEvent&)>& onEvent);

  // Why add() failed with that errno, and which setting allows more.
  static std::string reason(int error);

 private:
  const std::size_t most_;
  FileDescriptor descriptor_;
  int openError_ = 0;
  std::unordered_set<int> watches_;  // that the kernel has not ended
};

}  // namespace espalier::share
