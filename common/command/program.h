// What main() of both programs does the same way: how the process is set up, how a failure before
// or instead of any command is told, and commands for a program that runs already.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/command/control.h"

namespace espalier::command {

// Before anything is opened and any thread starts. A standard descriptor that was closed becomes
// one that fails, so that no socket or file gets its number and what is meant for a reader. Neither
// a pipe without a reader (SIGPIPE) nor a file that may not grow (SIGXFSZ) kills: both are errors
// of write(2).
void prepareProcess();

// How a program tells that it failed: `NAME: …` on standard error, or an object on standard output.
struct Failures {
  std::string program;  // "peer"
  bool json = false;
  std::string command;  // what the object names
};
// Returns the exit code, which is that of the output if that fails, too.
int failWith(const Error& error, const Failures& failures);

// Text that was asked for, such as --help: the exit code.
int print(std::string_view text);

// runInRunning() on the standard streams; Ctrl-C cancels the command.
std::optional<int> runOnStandardStreams(const RunningProgram& program,
                                        const std::vector<std::string>& lines, bool json,
                                        bool quiet);

}  // namespace espalier::command
