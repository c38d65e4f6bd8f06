// Writes to a terminal, a pipe or a file. Each of these may block for hours, so a write can be
// aborted.
//
// A terminal is opened a second time, so that O_NONBLOCK does not affect the shell that it belongs
// to. Used by one thread; any thread may call abort(). Owned by StandardOutput, LineEditor and
// LogWriter.
#pragma once

#include <cstdio>
#include <string_view>

#include "common/base/clock.h"
#include "common/base/file_descriptor.h"
#include "common/base/result.h"
#include "common/base/wake_up.h"

namespace espalier::command {

class TerminalOutput {
 public:
  // `grace`: the time that a file or a pipe has after abort(); a terminal has none.
  explicit TerminalOutput(int output, Duration grace = {});
  ~TerminalOutput();

  TerminalOutput(const TerminalOutput&) = delete;
  TerminalOutput& operator=(const TerminalOutput&) = delete;

  // Blocks until all is written, also if the descriptor is non-blocking. After abort() all writes
  // together have the grace; then the rest is dropped, with an error of the code `interrupted`.
  // Other errors are those of write(2): a full disk, a pipe without a reader. After an error it is
  // not known how much was written.
  Result<void> write(std::string_view text);
  void abort();

  int descriptor() const { return output_; }
  std::FILE* stream() const { return stream_; }  // the same for stdio, as libedit wants it

 private:
  FileDescriptor own_;
  int output_;
  const Duration grace_;
  TimePoint end_ = kNever;  // after abort()
  WakeUp aborted_;
  std::FILE* stream_;
};

}  // namespace espalier::command
