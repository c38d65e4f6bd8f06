// Many descriptors that one thread waits for: epoll(7), one event for each time a descriptor is
// watched.
//
//   unknown --watch--> watched --its event was returned by wait()--> silent --watch--> watched …
//
// Closing a descriptor takes it out, whatever its state. Used by UploadSlots. watch() and wake()
// may be called by any thread, wait() by one. Only wait() blocks. watch() costs one system call.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "common/base/file_descriptor.h"
#include "common/base/wake_up.h"

namespace espalier::transfer {

class ReadySet {
 public:
  using Key = std::uint64_t;
  enum class For { reading, writing };

  // Invalid when the process is out of descriptors.
  ReadySet();
  explicit operator bool() const { return epoll_ && wakeUp_; }

  // Whether the descriptor can be watched. `isNew`: for the first time. `key` is not kNone.
  static constexpr Key kNone = 0;
  [[nodiscard]] bool watch(int descriptor, Key key, For what, bool isNew);
  // The keys of those that are ready: bytes, room, the end, or an error. Returns after that time
  // (negative: never) or after wake() at the latest.
  std::vector<Key> wait(std::chrono::milliseconds atMost);
  void wake() const { wakeUp_.wake(); }

 private:
  FileDescriptor epoll_;
  WakeUp wakeUp_;
};

}  // namespace espalier::transfer
