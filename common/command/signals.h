// Signals as calls on a thread of their own.
//
// SIGINT arrives through a signalfd, also for a prompt: the terminal turns Ctrl-C into a signal in
// raw mode too, so it is the same whether a line is typed, a command runs, or there is no terminal.
//
// To be built before any other thread: the signals are blocked in the calling thread, and threads
// inherit that. What is ignored stays ignored. The callback may do whatever a thread may do. Ends
// in the destructor; the signals stay blocked. Where the system has no thread left the signals keep
// their usual effect.
#pragma once

#include <functional>
#include <initializer_list>
#include <thread>

#include "common/base/file_descriptor.h"

namespace espalier::command {

class SignalWatch {
 public:
  SignalWatch(std::initializer_list<int> signals, std::function<void(int signal)> onSignal);
  ~SignalWatch();

  SignalWatch(const SignalWatch&) = delete;
  SignalWatch& operator=(const SignalWatch&) = delete;

 private:
  FileDescriptor signals_;
  FileDescriptor wake_;
  std::jthread thread_;
};

}  // namespace espalier::command
