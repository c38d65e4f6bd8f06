// Writes to standard output and standard error, for commands given by -e and for main().
//
//   StandardOutput standard(stop);
//   const int code = runCommands(dispatcher, lines, context, standard.output());
//
// Writing blocks while the reader is slow. After the command was interrupted the reader has
// limits::kControlGrace. After an error of standard output nothing more is written to it, so that
// output never has a gap: failure() has the error, and the program ends with 74. Errors of standard
// error are ignored.
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

// Thread-safe: texts of different threads are not mixed.
class StandardOutput {
 public:
  explicit StandardOutput(const std::stop_token& stop = {});

  StandardOutput(const StandardOutput&) = delete;
  StandardOutput& operator=(const StandardOutput&) = delete;

  void out(std::string_view text);
  void err(std::string_view text);
  // "cannot write to standard output: No space left on device".
  std::optional<Error> failure();

  // Valid as long as this object.
  Output output();

 private:
  // Held while writing.
  std::mutex outMutex_;
  std::mutex errMutex_;
  TerminalOutput out_;  // under outMutex_, as is failure_
  std::optional<Error> failure_;
  TerminalOutput err_;  // under errMutex_
  std::stop_callback<std::function<void()>> onStop_;
};

// "cannot write to standard output: …"
Error cannotWriteOutput(const Error& why);

}  // namespace espalier::command
