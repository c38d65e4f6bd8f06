#include "peer/shell/prompt.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "common/base/text.h"
#include "common/command/printing.h"
#include "common/command/progress.h"
#include "common/command/runner.h"
#include "common/command/words.h"
#include "peer/shell/background.h"

namespace espalier::peer::shell {

using command::LineEditor;
using command::Outcome;

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

JoinDialogue Prompt::dialogue(JoinService& joiner) {
  return {editor_, joiner, {!settings_.json && !settings_.quiet, [this] { return newStop(); }}};
}

Result<std::optional<Joined>> Prompt::join(JoinService& joiner) {
  return dialogue(joiner).join();
}

Result<std::optional<Joined>> Prompt::joinAs(JoinService& joiner, const PeerId& id,
                                             const std::string& word) {
  return dialogue(joiner).joinAs(id, word);
}

command::Context Prompt::context() {
  command::Context context;
  context.stop = newStop();
  context.json = settings_.json;
  if (!settings_.quiet) context.say = [this](const std::string& line) { say(line); };
  if (settings_.json) {
    context.event = [this](const command::Json& event) { editor_.print(command::jsonLine(event)); };
  }
  if (editor_.isTerminal()) {
    context.ask = [this](const std::string& question) -> std::optional<std::string> {
      const auto line = editor_.read(question);
      if (line.end == LineEditor::End::line) return std::string(command::trimmed(line.text));
      // Ctrl-C at a command's question cancels the command; Ctrl-D is no answer.
      if (line.end == LineEditor::End::interrupted) interrupt();
      return std::nullopt;
    };
  }
  if (editor_.isTerminal() && !settings_.json && !settings_.quiet && ::isatty(STDERR_FILENO) != 0) {
    auto bar = std::make_shared<command::ProgressBar>(
        [this](const std::string& line) { editor_.showStatus(line); },
        command::terminalColumns(STDERR_FILENO));
    context.progress = [bar](const command::Progress& progress) {
      bar->update(progress, Clock::now());
    };
  }
  return context;
}

void Prompt::show(const Outcome& outcome) {
  const auto format = settings_.json ? command::Format::json : command::Format::text;
  const auto print = [this](std::string_view piece) { editor_.print(piece); };
  render(outcome, format, print, [&](std::string_view piece) {
    if (editor_.isTerminal()) return editor_.print(piece);
    if (settings_.err) settings_.err(std::string(piece));
  });
}

void Prompt::say(const std::string& line) {
  if (editor_.isTerminal()) return editor_.notify(line);
  if (settings_.err) settings_.err(command::printable(line) + "\n");
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
  render(outcome, command::Format::text, notify, notify);
}

int Prompt::run(const command::Dispatcher& dispatcher, const PeerId& id) {
  const auto complete = [&](std::string_view line) { return dispatcher.complete(line); };
  const std::string question = command::printable(id.text()) + "> ";
  const int interrupted = exitCode(ErrorCode::interrupted);
  Background background(dispatcher, [this](const Outcome& outcome) { tell(outcome); });
  command::FirstFailure first;
  while (!editor_.failure()) {
    const auto line = editor_.read(question, complete);
    if (interrupted_) return interrupted;
    if (line.end == LineEditor::End::interrupted) continue;
    auto context = this->context();
    const bool ended = line.end == LineEditor::End::ended;
    if (const auto command = ended ? std::nullopt : backgroundCommand(line.text)) {
      context.progress = {};
      context.ask = {};
      if (const auto started = background.start(*command, std::move(context)); !started) {
        const auto outcome = Outcome::failed(command::commandOf(*command), started.error());
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

}  // namespace espalier::peer::shell
