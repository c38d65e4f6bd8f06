#include "common/command/runner.h"

#include <poll.h>
#include <unistd.h>

#include <cstdio>
#include <memory>

#include "common/base/limits.h"
#include "common/command/printing.h"
#include "common/command/standard_output.h"

namespace espalier::command {
namespace {

// A line from standard input; nothing: the input has ended, or the command was interrupted.
std::optional<std::string> readAnswer(const std::stop_token& stop) {
  std::string answer;
  while (answer.size() < limits::kCommandLineBytes) {
    pollfd ready{STDIN_FILENO, POLLIN, 0};
    // Another thread takes the signal and triggers the token, which is polled here.
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

int runCommands(const Dispatcher& dispatcher, const std::vector<std::string>& lines,
                Context& context, const Output& output) {
  FirstFailure first;
  const auto show = [&](const Outcome& outcome) {
    render(
        outcome, context.json ? Format::json : Format::text,
        [&](std::string_view piece) { output.out(std::string(piece)); },
        [&](std::string_view piece) { output.err(std::string(piece)); });
  };
  context.run = [&](const std::string& other) { show(dispatcher.runLine(other, context)); };
  for (const auto& line : lines) {
    const Outcome outcome = dispatcher.runLine(line, context);
    show(outcome);
    first.add(outcome.exitCode());
    if (outcome.stops() || outcome.exitCode() == espalier::exitCode(ErrorCode::interrupted)) break;
    if (output.failure && output.failure()) break;
  }
  context.run = {};
  return endOutput(output, first.code());
}

int endOutput(const Output& output, int code) {
  const auto failure = output.failure ? output.failure() : std::nullopt;
  if (!failure) return code;
  output.err(failure->message + "\n");
  return espalier::exitCode(failure->code);
}

Context standaloneContext(StandardOutput& standard, std::stop_token stop, bool json, bool quiet) {
  Context context;
  context.stop = stop;
  context.json = json;
  if (!quiet && ::isatty(STDERR_FILENO) != 0) {
    auto bar = std::make_shared<ProgressBar>(
        [&standard](const std::string& line) { standard.err("\r" + line + "\033[K"); },
        terminalColumns(STDERR_FILENO));
    context.progress = [bar](const Progress& progress) { bar->update(progress, Clock::now()); };
  }
  if (!json && ::isatty(STDIN_FILENO) != 0 && ::isatty(STDERR_FILENO) != 0) {
    context.ask = [&standard, stop](const std::string& question) {
      standard.err(printable(question));
      return readAnswer(stop);
    };
  }
  if (json) context.event = [&standard](const Json& event) { standard.out(jsonLine(event)); };
  if (!quiet) {
    context.say = [&standard](const std::string& line) { standard.err(printable(line) + "\n"); };
  }
  return context;
}

}  // namespace espalier::command
