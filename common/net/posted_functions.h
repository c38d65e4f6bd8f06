// Functions that wait for their turn on an event loop's thread, and the eventfd that wakes it.
//
// Invariants: they run once each, in the order of posting. At most limits::kPostedFunctions wait:
// whoever posts one more blocks until the loop has taken those, so work that is done elsewhere for
// the network can never pile up here. The loop's own thread never blocks; it posts at most what one
// of its steps left to do. Once closed, everything is dropped and nobody blocks.
//
// Thread-safe; wake() may be called from a signal handler. Who posts holds no lock that the loop's
// thread takes. Shared with threads that may outlive the loop.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "common/base/file_descriptor.h"
#include "common/base/limits.h"

namespace espalier::net {

class PostedFunctions {
 public:
  using Function = std::function<void()>;

  explicit PostedFunctions(FileDescriptor wake) : wake_(std::move(wake)) {}
  PostedFunctions(const PostedFunctions&) = delete;
  PostedFunctions& operator=(const PostedFunctions&) = delete;

  // False when it is closed, or was while this waited: then the function is gone.
  bool post(Function function);
  // Drops what waits, and all that is posted from now on.
  void close();
  void wake();

  // --- the loop
  int descriptor() const { return wake_.get(); }  // readable when something was posted
  void drain();
  void runHere();  // the calling thread is the loop's from now on
  std::vector<Function> take();

 private:
  const FileDescriptor wake_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable room_;
  std::vector<Function> functions_;
  std::thread::id runner_;
  bool closed_ = false;
};

}  // namespace espalier::net
