// Tells a running program that takes its time from one that is stopped.
//
// A command may run for hours without a word. After limits::kControlProbe of silence the client
// asks over a connection of its own for an empty command, which every version answers at once;
// whatever comes back is a sign of life, and so is a byte of the command's own connection. Without
// one for limits::kControlPatience the program counts as stopped. A client that was itself stopped
// reads what has arrived before it judges. Not thread-safe; never blocks, except where said.
#pragma once

#include <cstddef>
#include <stop_token>

#include "common/base/clock.h"
#include "common/base/file_descriptor.h"
#include "common/base/limits.h"
#include "common/base/result.h"

namespace espalier::command {

class Liveness {
 public:
  struct Times {
    Duration probe = limits::kControlProbe;
    Duration patience = limits::kControlPatience;
  };
  // `folder`: the program's open state folder, which outlives this.
  explicit Liveness(int folder, Times times) : folder_(folder), times_(times) { heard(); }

  // The program has said something, or is asked something new.
  void heard();
  // Probes, and reads answers, as far as that is due. False once it counts as stopped.
  bool look();

  // Readable: look() has something to do. May be -1.
  int descriptor() const { return probe_.get(); }
  Duration pause(Duration most) const;              // until look() has something to do anyway
  std::size_t answers() const { return answers_; }  // to probes

 private:
  void connect();
  void receive();

  int folder_;
  Times times_;
  std::size_t answers_ = 0;
  TimePoint heard_;
  TimePoint giveUp_ = kNever;  // while probing
  FileDescriptor probe_;
};

// connectControl() that waits for room in the program's queue, limits::kControlPatience at most.
// Blocks so long. The error is `interrupted` when `stop` says so.
Result<FileDescriptor> connectPatiently(int folder, const std::stop_token& stop);

}  // namespace espalier::command
