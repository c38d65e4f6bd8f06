// Writing to a terminal, a pipe or a file that may take nothing for hours, without being stuck
// there.
//
// A terminal is opened anew, so that it can be written to without blocking and the shell that it
// belongs to does not notice. Used by one thread; abort() by any.
#pragma once

#include <cstdio>
#include <string_view>

#include "common/base/clock.h"
#include "common/base/file_descriptor.h"
#include "common/base/result.h"

namespace espalier::command {

class TerminalOutput {
 public:
  // `grace`: for a reader that is slow, after abort(); a terminal has none.
  explicit TerminalOutput(int output, Duration grace = {});
  ~TerminalOutput();

  TerminalOutput(const TerminalOutput&) = delete;
  TerminalOutput& operator=(const TerminalOutput&) = delete;

  // Waits as long as it takes, also where the output does not block. After abort() the grace is
  // left, all writes together; then the rest is dropped, an error of the code `interrupted`. Other
  // errors are those of write(2): a full disk, a pipe without a reader. Nothing says how much of
  // the text was written then.
  Result<void> write(std::string_view text);
  void abort();

  int descriptor() const { return output_; }
  std::FILE* stream() const { return stream_; }  // the same for stdio, and libedit

 private:
  FileDescriptor own_;
  int output_;
  const Duration grace_;
  TimePoint end_ = kNever;  // once aborted
  FileDescriptor aborted_;
  std::FILE* stream_;
};

}  // namespace espalier::command
