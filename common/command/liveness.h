// Tells a client whether the program that runs its command is slow or stopped.
//
// A command may run for hours without output. After limits::kControlProbe of silence the client
// sends an empty command over a second connection (the probe), which every version answers at once.
// An answer to a probe, or any byte of the command's own connection, proves that the program runs.
// After limits::kControlPatience without either it counts as stopped. A client that was itself
// stopped reads what has arrived before it decides.
//
// Not thread-safe. Never blocks, except where a function says so. Used by control_client.cpp.
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

  // Called when a byte of the program has arrived, and when a command is sent.
  void heard();
  // Sends a probe or reads its answer, if due. False: the program counts as stopped.
  bool look();

  // When it is readable, look() is due. May be -1.
  int descriptor() const { return probe_.get(); }
  Duration pause(Duration most) const;              // until look() is due by time
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

// connectControl() that waits while the program's queue of connections is full. Blocks for at most
// `patience`; fails with `interrupted` when `stop` is triggered.
Result<FileDescriptor> connectPatiently(int folder, Duration patience, const std::stop_token& stop);

}  // namespace espalier::command
