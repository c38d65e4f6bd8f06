// Standard output and standard error of a command: everything that is not a prompt's or the log's.
//
//   StandardOutput standard(stop);
//   const int code = runCommands(dispatcher, lines, context, standard.output());
//
// What is written waits for a slow reader, also where a pipe does not block, until the command is
// interrupted; then limits::kControlGrace are left. After a failure of standard output nothing
// more goes there, since a reader must not take what has a gap for a whole: failure() tells it,
// and the program ends with 74. A failure of standard error is nowhere to be told.
#pragma once

#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/command/runner.h"
#include "common/command/terminal_output.h"

namespace espalier::command {

// Thread-safe: a line that one thread writes is not mixed with another's.
class StandardOutput {
 public:
  explicit StandardOutput(const std::stop_token& stop = {});

  StandardOutput(const StandardOutput&) = delete;
  StandardOutput& operator=(const StandardOutput&) = delete;

  void out(std::string_view text);
  void err(std::string_view text);
  // "cannot write to standard output: No space left on device".
  std::optional<Error> failure();

  // Refers to this.
  Output output();

 private:
  // Held while writing: what one thread writes stays together.
  std::mutex outMutex_;
  std::mutex errMutex_;
  TerminalOutput out_;  // under outMutex_, as is failure_
  std::optional<Error> failure_;
  TerminalOutput err_;  // under errMutex_
  std::stop_callback<std::function<void()>> onStop_;
};

// The sentence about an output that failed.
Error cannotWriteOutput(const Error& why);

}  // namespace espalier::command
