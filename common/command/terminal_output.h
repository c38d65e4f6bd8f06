// Writing to a terminal, a pipe or a file that may take nothing for hours, without being stuck
// there.
//
// A terminal is opened anew, so that it can be written to without blocking and the shell that it
// belongs to does not notice. Used by one thread; abort() by any.
#pragma once

#include <cstdio>
#include <string_view>

#include "common/base/file_descriptor.h"

namespace espalier::command {

class TerminalOutput {
 public:
  explicit TerminalOutput(int output);
  ~TerminalOutput();

  TerminalOutput(const TerminalOutput&) = delete;
  TerminalOutput& operator=(const TerminalOutput&) = delete;

  // Waits as long as it takes, or until abort(): then what the terminal does not take at once is
  // dropped. An output that is gone takes everything.
  void write(std::string_view text);
  void abort();

  int descriptor() const { return output_; }
  std::FILE* stream() const { return stream_; }  // the same for stdio, and libedit

 private:
  FileDescriptor own_;
  int output_;
  FileDescriptor aborted_;
  std::FILE* stream_;
};

}  // namespace espalier::command
