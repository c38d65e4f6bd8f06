// Functions that other threads post to an event loop, and the descriptor that wakes the loop.
//
// Invariants: each function runs once, in the order of posting. At most limits::kPostedFunctions
// wait; a thread that posts one more blocks until the loop has taken those, so their number is
// bounded. The loop's own thread never blocks: it posts only what one of its steps left to do.
// close() drops all functions, and no thread blocks after it.
//
// Thread-safe; wake() may be called from a signal handler. A thread that posts holds no lock that
// the loop's thread takes. Shared with threads that may outlive the loop.
#pragma once

#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "common/base/limits.h"
#include "common/base/wake_up.h"

namespace espalier::net {

class PostedFunctions {
 public:
  using Function = std::function<void()>;

  explicit PostedFunctions(WakeUp wakeUp) : wakeUp_(std::move(wakeUp)) {}
  PostedFunctions(const PostedFunctions&) = delete;
  PostedFunctions& operator=(const PostedFunctions&) = delete;

  // False if it is closed, or was closed while this waited: then the function is dropped.
  bool post(Function function);
  // Drops the waiting functions, and all that are posted from now on.
  void close();
  void wake() const { wakeUp_.wake(); }

  // --- the loop
  int descriptor() const { return wakeUp_.descriptor(); }  // readable when something was posted
  void clearWakeUp() const { wakeUp_.clear(); }
  void runHere();  // the calling thread is the loop's from now on
  std::vector<Function> take();

 private:
  const WakeUp wakeUp_;
  std::mutex mutex_;  // guards what follows
  std::condition_variable room_;
  std::vector<Function> functions_;
  std::thread::id runner_;
  bool closed_ = false;
};

}  // namespace espalier::net
