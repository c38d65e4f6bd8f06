// Wakes a thread that waits in poll(2) or epoll: a descriptor (an eventfd) that becomes readable
// when any thread calls wake(), and stays readable until clear().
//
// Several calls of wake() before one clear() count as one. Without clear() it is a flag that is set
// once, such as "stop now".
//
// Thread-safe; wake() may also be called from a signal handler. No call blocks.
#pragma once

#include "common/base/file_descriptor.h"
#include "common/base/result.h"

namespace espalier {

class WakeUp {
 public:
  // Fails when the process is out of descriptors.
  static Result<WakeUp> create();
  // For owners that cannot fail: without a descriptor left it is invalid, and wake() does nothing.
  WakeUp();

  explicit operator bool() const { return static_cast<bool>(event_); }
  int descriptor() const { return event_.get(); }
  void wake() const;
  void clear() const;

 private:
  FileDescriptor event_;
};

}  // namespace espalier
