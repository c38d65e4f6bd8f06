#include "common/command/prompt.h"

#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <memory>

#include "common/base/log.h"
#include "common/command/background.h"
#include "common/command/printing.h"
#include "common/command/progress.h"
#include "common/command/runner.h"
#include "common/command/words.h"

namespace espalier::command {

bool isAtTerminal() {
  return ::isatty(STDIN_FILENO) != 0 && ::isatty(STDOUT_FILENO) != 0;
}

Prompt::Prompt(LineEditor& editor, PromptSettings settings)
    : editor_(editor), settings_(std::move(settings)) {}

void Prompt::interrupt() {
  // Also between two commands, when no command could be interrupted.
  if (settings_.script) {
    interrupted_ = true;
    return close();
  }
  if (editor_.interrupt()) return;
  // A copy: its callbacks must not run under the lock.
  auto stop = stop_.with([](std::stop_source& source) { return source; });
  stop.request_stop();
}

void Prompt::close() {
  closed_ = true;
  editor_.close();
  auto stop = stop_.with([](std::stop_source& source) { return source; });
  stop.request_stop();
}

std::stop_token Prompt::newStop() {
  return stop_.with([this](std::stop_source& source) {
    source = std::stop_source();
    if (closed_) source.request_stop();
    return source.get_token();
  });
}

Context Prompt::context() {
  Context context;
  context.stop = newStop();
  context.json = settings_.json;
  context.showsNotices = editor_.isTerminal() && !settings_.json;
  if (!settings_.quiet) context.say = [this](const std::string& line) { say(line); };
  if (settings_.json) {
    context.event = [this](const Json& event) { editor_.print(jsonLine(event)); };
  }
  if (editor_.isTerminal()) {
    context.ask = [this](const std::string& question) -> std::optional<std::string> {
      const auto line = editor_.read(question);
      if (line.end == LineEditor::End::line) return std::string(trimmed(line.text));
      // Ctrl-C at a command's question cancels the command; Ctrl-D is no answer.
      if (line.end == LineEditor::End::interrupted) interrupt();
      return std::nullopt;
    };
  }
  if (editor_.isTerminal() && !settings_.json && !settings_.quiet && ::isatty(STDERR_FILENO) != 0) {
    auto bar =
        std::make_shared<ProgressBar>([this](const std::string& line) { editor_.showStatus(line); },
                                      terminalColumns(STDERR_FILENO));
    context.progress = [bar](const Progress& progress) { bar->update(progress, Clock::now()); };
  }
  return context;
}

void Prompt::show(const Outcome& outcome) {
  const auto format = settings_.json ? Format::json : Format::text;
  const auto print = [this](std::string_view piece) { editor_.print(piece); };
  render(outcome, format, print, [&](std::string_view piece) {
    if (editor_.isTerminal()) return editor_.print(piece);
    if (settings_.err) settings_.err(std::string(piece));
  });
}

void Prompt::say(const std::string& line) {
  if (editor_.isTerminal()) return editor_.notify(line);
  if (settings_.err) settings_.err(printable(line) + "\n");
}

// Prints the outcome of a command in the background above the line that is being typed.
void Prompt::tell(const Outcome& outcome) {
  if (settings_.json || !editor_.isTerminal()) return show(outcome);
  const auto notify = [this](std::string_view lines) {
    while (!lines.empty()) {
      const auto end = std::min(lines.find('\n'), lines.size());
      editor_.notify(lines.substr(0, end));
      lines.remove_prefix(std::min(end + 1, lines.size()));
    }
  };
  render(outcome, Format::text, notify, notify);
}

int Prompt::run(const Dispatcher& dispatcher, const Question& question) {
  const auto complete = [&](std::string_view line) { return dispatcher.complete(line); };
  const int interrupted = exitCode(ErrorCode::interrupted);
  Background background(dispatcher, [this](const Outcome& outcome) { tell(outcome); });
  FirstFailure first;
  while (!editor_.failure()) {
    const auto line = editor_.read(question(), complete);
    if (interrupted_) return interrupted;
    if (line.end == LineEditor::End::interrupted) continue;
    auto context = this->context();
    context.run = [&](const std::string& other) { show(dispatcher.runLine(other, context)); };
    const bool ended = line.end == LineEditor::End::ended;
    if (const auto command = ended ? std::nullopt : backgroundCommand(line.text)) {
      context.progress = {};
      context.ask = {};
      context.run = {};
      if (const auto started = background.start(*command, std::move(context)); !started) {
        const auto outcome = Outcome::failed(commandOf(*command), started.error());
        show(outcome);
        first.add(outcome.exitCode());
      }
      continue;
    }
    // At its end a script waits for its commands in the background.
    if (ended && settings_.script) first.add(background.wait(context.stop));
    if (ended) context.stop = {};  // close() has triggered the token, but `stop` still has to run
    const auto outcome = dispatcher.runLine(ended ? "stop" : line.text, context);
    if (!ended) {
      show(outcome);
      first.add(outcome.exitCode());
    }
    const bool over = settings_.script && outcome.exitCode() == interrupted;
    if (outcome.stops() || ended || over) break;
  }
  return settings_.script ? first.code() : 0;
}

void showLogAt(LineEditor& editor) {
  log::setSink(
      [](std::string_view line, void* context) {
        if (line.ends_with('\n')) line.remove_suffix(1);
        static_cast<LineEditor*>(context)->notify(line);
      },
      &editor);
}

void CurrentPrompt::show(Prompt& prompt) {
  prompt_.with([&](Prompt*& current) { current = &prompt; });
}

void CurrentPrompt::hide() {
  prompt_.with([](Prompt*& current) { current = nullptr; });
}

bool CurrentPrompt::interrupt() {
  return prompt_.with([](Prompt* prompt) {
    if (prompt != nullptr) prompt->interrupt();
    return prompt != nullptr;
  });
}

void CurrentPrompt::close() {
  prompt_.with([](Prompt* prompt) {
    if (prompt != nullptr) prompt->close();
  });
}

void CurrentPrompt::terminalChanged(int signal) {
  prompt_.with([&](Prompt* prompt) {
    if (prompt == nullptr) return;
    signal == SIGWINCH ? prompt->editor().resized() : prompt->editor().resumed();
  });
}

}  // namespace espalier::command
