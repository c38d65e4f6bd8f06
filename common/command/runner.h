// Several commands in order, as -e gives them: each outcome rendered as soon as it is there.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "common/command/dispatcher.h"

namespace espalier::command {

// Where rendered text goes. Called from the thread that runs the commands.
struct Output {
  std::function<void(const std::string& text)> out;
  std::function<void(const std::string& text)> err;
};
Output standardOutput();

// Runs all of them, also behind a failure, but not behind an interruption or a `stop`. Returns the
// exit code of the first that failed, else 0.
int runCommands(const Dispatcher& dispatcher, const std::vector<std::string>& lines,
                Context& context, const Output& output);

// What a handler may use without a prompt: progress and notices on standard error, questions on
// standard input; progress and questions only where there is a terminal.
Context standaloneContext(std::stop_token stop, bool json, bool quiet);

}  // namespace espalier::command
