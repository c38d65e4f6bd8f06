// Calls a function when a signal arrives, on a thread of its own, which reads a signalfd. A client
// of -e uses it to cancel its command on Ctrl-C.
//
// Build it before any other thread: it blocks the signals in the calling thread, and later threads
// inherit that. Signals that were ignored stay ignored. The callback may do anything that a thread
// may do, as it is no signal handler. The destructor ends the thread; the signals stay blocked. If
// the system has no thread left, the signals keep their default effect.
#pragma once

#include <functional>
#include <initializer_list>
#include <thread>

#include "common/base/file_descriptor.h"
#include "common/base/wake_up.h"

namespace espalier::command {

class SignalWatch {
 public:
  SignalWatch(std::initializer_list<int> signals, std::function<void(int signal)> onSignal);
  ~SignalWatch();

  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

 private:
  FileDescriptor signals_;
  WakeUp ending_;
  std::jthread thread_;
};

}  // namespace espalier::command
