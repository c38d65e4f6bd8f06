// Runs the commands of -e in order, and prints each outcome when the command has ended. Called by
// main(), and by a control client in the same way.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "common/command/dispatcher.h"

namespace espalier::command {

class StandardOutput;

// Where rendered outcomes are written. Called from the thread that runs the commands.
struct Output {
  std::function<void(const std::string& text)> out;
  std::function<void(const std::string& text)> err;
  // The error of `out`, if it failed. May be empty: `out` never fails.
  std::function<std::optional<Error>()> failure = {};
};

// Keeps the exit code of the first failure of several commands.
class FirstFailure {
 public:
  void add(int exitCode) {
    if (code_ == 0) code_ = exitCode;
  }
  int code() const { return code_; }

 private:
  int code_ = 0;
};

// Runs all lines, also after a failure. Ends after an interruption, `stop`, or an error of the
// output. Returns the exit code of the output's error, else that of the first failure, else 0.
int runCommands(const Dispatcher& dispatcher, const std::vector<std::string>& lines,
                Context& context, const Output& output);

// If the output failed, prints the error to `err` and returns its exit code; else returns `code`.
int endOutput(const Output& output, int code);

// The context of commands without a prompt: progress and notices go to standard error, answers come
// from standard input. Progress and questions need a terminal. Refers to `standard`.
Context standaloneContext(StandardOutput& standard, std::stop_token stop, bool json, bool quiet);

}  // namespace espalier::command
