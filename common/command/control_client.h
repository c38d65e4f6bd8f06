// The client of a control socket (control_server.h): runs commands in a program that already runs.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/command/dispatcher.h"
#include "common/command/runner.h"

namespace espalier::command {

// The program that serves a state folder.
struct RunningProgram {
  std::string name;  // "the peer"
  std::string stateDir;
};

// Runs `lines` in the program that serves the folder, as runCommands() would in this process.
// Returns the exit code; nothing: no program serves the folder. Uses all of `context`; its
// directory should be set, since the client's paths are meant. Blocks its caller.
//
// A program that ends before its answer is an error of the code `io`, one that is stopped an error
// of the code `timeout`. The output of a command is shown when it has ended, so that nothing of a
// broken one is shown but the error.
std::optional<int> runInRunning(const RunningProgram& program,
                                const std::vector<std::string>& lines, Context& context,
                                const Output& output);

}  // namespace espalier::command
