// Functions for the main() of both programs: they set the process up, print an error outside of any
// command, and run commands in a running program. On the main thread only.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "common/command/control_client.h"

namespace espalier::command {

// Called first in main(), before anything is opened and any thread starts. Opens closed standard
// descriptors such that their use fails; otherwise a socket or a file would get the number, and
// with it the output. Ignores SIGPIPE (a pipe without a reader) and SIGXFSZ (a file at its limit):
// both become errors of write(2).
void prepareProcess();

// How a program prints that it failed: `NAME: …` to standard error, or JSON to standard output.
struct Failures {
  std::string program;  // "peer"
  bool json = false;
  std::string command;  // the member "command" of the JSON
};
// Returns the exit code: that of the error, or that of an output that failed.
int failWith(const Error& error, const Failures& failures);

// Prints text such as that of --help. Returns the exit code.
int print(std::string_view text);

// runInRunning() on the standard streams; Ctrl-C cancels the command.
std::optional<int> runOnStandardStreams(const RunningProgram& program,
                                        const std::vector<std::string>& lines, bool json,
                                        bool quiet);

}  // namespace espalier::command
