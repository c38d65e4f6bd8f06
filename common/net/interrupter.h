// Interrupts all threads that block on a BlockingStream or in dialBlocking() of this interrupter,
// now and from now on: their calls return `interrupted`.
//
// Set once, never reset. Thread-safe. Outlives its users.
#pragma once

#include <stop_token>

#include "common/base/wake_up.h"

namespace espalier::net {

class Interrupter {
 public:
  void interrupt() {
    stop_.request_stop();
    wakeUp_.wake();
  }
  bool interrupted() const { return stop_.stop_requested(); }
  std::stop_token token() const { return stop_.get_token(); }
  // Readable once interrupted: for poll(2).
  int descriptor() const { return wakeUp_.descriptor(); }

 private:
  std::stop_source stop_;
  WakeUp wakeUp_;
};

}  // namespace espalier::net
