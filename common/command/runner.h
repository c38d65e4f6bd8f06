// Several commands in order, as -e gives them: each outcome rendered as soon as it is there.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/command/dispatcher.h"

namespace espalier::command {

class StandardOutput;

// Where rendered text goes. Called from the thread that runs the commands.
struct Output {
  std::function<void(const std::string& text)> out;
  std::function<void(const std::string& text)> err;
  // Why `out` is not whole; may be empty: it always is.
  std::function<std::optional<Error>()> failure = {};
};

// The exit code of the first failure, for commands that go on behind one.
class FirstFailure {
 public:
  void add(int exitCode) {
    if (code_ == 0) code_ = exitCode;
  }
  int code() const { return code_; }

 private:
  int code_ = 0;
};

// Runs all of them, also behind a failure, but not behind an interruption or a `stop`, nor when
// their output can't be written. Returns the exit code of the first that failed, else 0; that of
// the output when that failed.
int runCommands(const Dispatcher& dispatcher, const std::vector<std::string>& lines,
                Context& context, const Output& output);

// Says on `err` that the output failed, if it did: its code then, else `code`.
int endOutput(const Output& output, int code);

// What a handler may use without a prompt: progress and notices on standard error, questions on
// standard input; progress and questions only where there is a terminal. Refers to `standard`.
Context standaloneContext(StandardOutput& standard, std::stop_token stop, bool json, bool quiet);

}  // namespace espalier::command
