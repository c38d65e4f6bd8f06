#include "common/command/program.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <stop_token>

#include "common/base/limits.h"
#include "common/command/printing.h"
#include "common/command/signal_watch.h"
#include "common/command/standard_output.h"

namespace espalier::command {
namespace {

std::string workingFolder() {
  std::string path(limits::kPathBytes, '\0');
  if (::getcwd(path.data(), path.size()) == nullptr) return {};
  path.resize(path.find('\0'));
  // getcwd() returns "(unreachable)…" for a folder that is not below this process's root.
  return path.starts_with('/') ? path : std::string();
}

}  // namespace

void prepareProcess() {
  for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(descriptor, F_GETFD) >= 0 || errno != EBADF) continue;
    // Opened for the other direction, so that reading or writing fails as with a closed descriptor.
    // open() returns the lowest free number, which is this one, as those below are open.
    [[maybe_unused]] const int opened =
        ::open("/dev/null", descriptor == STDIN_FILENO ? O_WRONLY : O_RDONLY);
  }
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);
}

int failWith(const Error& error, const Failures& failures) {
  StandardOutput standard;
  if (failures.json) {
    standard.out(jsonLine(Outcome::failed(failures.command, error).json()));
  } else {
    standard.err(failures.program + ": " + printable(error.message) + "\n");
  }
  return endOutput(standard.output(), exitCode(error.code));
}

int print(std::string_view text) {
  StandardOutput standard;
  standard.out(text);
  return endOutput(standard.output(), 0);
}

std::optional<int> runOnStandardStreams(const RunningProgram& program,
                                        const std::vector<std::string>& lines, bool json,
                                        bool quiet) {
  std::stop_source stop;
  const SignalWatch onInterrupt({SIGINT}, [&](int) { stop.request_stop(); });
  StandardOutput standard(stop.get_token());
  auto context = standaloneContext(standard, stop.get_token(), json, quiet);
  context.directory = workingFolder();
  return runInRunning(program, lines, context, standard.output());
}

}  // namespace espalier::command
