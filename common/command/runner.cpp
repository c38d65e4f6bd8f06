#include "common/command/runner.h"

#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <memory>

#include "common/base/limits.h"
#include "common/command/printing.h"

namespace espalier::command {
namespace {

void writeAll(int descriptor, std::string_view text) {
  while (!text.empty()) {
    const auto written = ::write(descriptor, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;  // A closed pipe: nobody is left to be told.
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

// A line from standard input; none when it ended or the command was interrupted.
std::optional<std::string> readAnswer(const std::string& question, const std::stop_token& stop) {
  writeAll(STDERR_FILENO, printable(question));
  std::string answer;
  while (answer.size() < limits::kCommandLineBytes) {
    pollfd ready{STDIN_FILENO, POLLIN, 0};
    // The signal arrives at another thread, so the token is looked at now and then.
    const int count = ::poll(&ready, 1, 100);
    if (stop.stop_requested()) return std::nullopt;
    if (count <= 0) continue;
    char c = 0;
    if (::read(STDIN_FILENO, &c, 1) != 1) return std::nullopt;
    if (c == '\n') return answer;
    answer += c;
  }
  return answer;
}

}  // namespace

Output standardOutput() {
  return {[](const std::string& text) { writeAll(STDOUT_FILENO, text); },
          [](const std::string& text) { writeAll(STDERR_FILENO, text); }};
}

int runCommands(const Dispatcher& dispatcher, const std::vector<std::string>& lines,
                Context& context, const Output& output) {
  int exitCode = 0;
  for (const auto& line : lines) {
    const Outcome outcome = dispatcher.runLine(line, context);
    const Rendered rendered =
        dispatcher.render(outcome, context.json ? Format::json : Format::text);
    if (!rendered.out.empty()) output.out(rendered.out);
    if (!rendered.err.empty()) output.err(rendered.err);
    if (exitCode == 0) exitCode = outcome.exitCode;
    if (outcome.stops || outcome.exitCode == espalier::exitCode(ErrorCode::interrupted)) break;
  }
  return exitCode;
}

Context standaloneContext(std::stop_token stop, bool json, bool quiet) {
  Context context;
  context.stop = stop;
  context.json = json;
  if (!quiet && ::isatty(STDERR_FILENO) != 0) {
    auto bar = std::make_shared<ProgressBar>(showOnStandardError(), terminalColumns(STDERR_FILENO));
    context.progress = [bar](const Progress& progress) { bar->update(progress, Clock::now()); };
  }
  if (!json && ::isatty(STDIN_FILENO) != 0 && ::isatty(STDERR_FILENO) != 0) {
    context.ask = [stop](const std::string& question) { return readAnswer(question, stop); };
  }
  if (json) {
    context.event = [](const Json& event) {
      writeAll(STDOUT_FILENO, event.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n");
    };
  }
  if (!quiet) {
    context.say = [](const std::string& line) { writeAll(STDERR_FILENO, printable(line) + "\n"); };
  }
  return context;
}

}  // namespace espalier::command
