// The client of a control socket (control_server.h): runs commands in a running program. Called by
// main() through program.h.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/command/dispatcher.h"
#include "common/command/runner.h"

namespace espalier::command {

// The program that serves a state folder.
struct RunningProgram {
  std::string name;  // "the peer"
  std::string stateDir;
  // Counts as stopped after `probe` of silence, and `patience` without an answer to a probe.
  Duration probe = limits::kControlProbe;
  Duration patience = limits::kControlPatience;
};

// Runs `lines` in the program that serves the folder, as runCommands() would in this process.
// Returns the exit code; nothing if no program serves the folder. Uses all of `context`. Its
// directory should be set, because relative paths are the client's. Blocks its caller.
//
// If the program ends before its answer, the error has the code `io`; if it is stopped, `timeout`.
// The output of a command is shown when the command has ended, so a command that breaks off shows
// only its error.
std::optional<int> runInRunning(const RunningProgram& program,
                                const std::vector<std::string>& lines, Context& context,
                                const Output& output);

}  // namespace espalier::command
