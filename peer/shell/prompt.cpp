#include "peer/shell/prompt.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <memory>

#include "common/base/text.h"
#include "common/command/printing.h"
#include "common/command/progress.h"
#include "common/command/runner.h"
#include "peer/shell/background.h"

namespace espalier::peer::shell {

using command::LineEditor;

namespace {

constexpr const char* kMenu =
    "1  add this peer to the network\n"
    "2  share files, once it is in the network\n";

bool meansStop(const std::string& answer) {
  return answer == "stop" || answer == "quit" || answer == "exit";
}

std::string trimmed(const std::string& text) {
  const auto begin = text.find_first_not_of(" \t");
  if (begin == std::string::npos) return {};
  return text.substr(begin, text.find_last_not_of(" \t") - begin + 1);
}

std::string refusedWord(const std::string& word, const std::string& wanted) {
  return fmt::format("the metaserver refused the word \"{}\": type {} to join", escaped(word),
                     escaped(wanted));
}

}  // namespace

std::string joinedLine(const Joined& joined) {
  const std::string place = joined.linkedTo.empty()
                                ? "the first of the network"
                                : "linked to " + escaped(joined.linkedTo.text());
  return fmt::format("{} joined on {}, {}; sharing {} ({}) from {}{}", escaped(joined.id.text()),
                     joined.endpoint.text(), place, counted(joined.sharedFiles, "file"),
                     formatSize(joined.sharedBytes), escaped(joined.share),
                     joined.indexing ? ", still indexing" : "");
}

std::string noMetaserverLine(const Endpoint& metaserver, bool terminal) {
  return fmt::format("no metaserver at {}: start \"metaserver\"{}", escaped(metaserver.text()),
                     terminal ? ", then press Enter to try again" : "");
}

Prompt::Prompt(LineEditor& editor, PromptSettings settings)
    : editor_(editor), settings_(settings) {}

void Prompt::interrupt() {
  if (editor_.interrupt()) return;
  // A copy: its callbacks must not run under the lock.
  auto stop = stop_.with([](std::stop_source& source) { return source; });
  stop.request_stop();
}

void Prompt::close() {
  editor_.close();
  auto stop = stop_.with([](std::stop_source& source) { return source; });
  stop.request_stop();
}

std::stop_token Prompt::newStop() {
  return stop_.with([](std::stop_source& source) {
    source = std::stop_source();
    return source.get_token();
  });
}

std::optional<std::string> Prompt::ask(const std::string& question) {
  while (true) {
    const auto line = editor_.read(question);
    if (line.end == LineEditor::End::ended) return std::nullopt;
    if (line.end == LineEditor::End::line) return trimmed(line.text);
  }
}

bool Prompt::chooseToJoin() {
  editor_.print(kMenu);
  while (true) {
    const auto answer = ask("> ");
    if (!answer || meansStop(*answer)) return false;
    if (*answer == "1") return true;
    if (*answer == "2") {
      editor_.print("2 comes after 1: this peer is not in the network yet\n");
    } else if (!answer->empty()) {
      editor_.print("type 1, or stop to end\n");
    }
  }
}

std::optional<PeerId> Prompt::askId() {
  while (true) {
    const auto answer = ask("peer id> ");
    if (!answer) return std::nullopt;
    if (answer->empty()) continue;
    const auto id = PeerId::parse(*answer);
    if (id) return *id;
    editor_.print(id.error().message + "\n");
  }
}

// `again`: the metaserver is there now, or may be.
Prompt::Step Prompt::offerAnotherTry(const Joiner& joiner) {
  editor_.print(noMetaserverLine(joiner.metaserver(), true) + "\n");
  const auto answer = ask("");
  return !answer || meansStop(*answer) ? Step::end : Step::again;
}

Prompt::Step Prompt::offerTopology(Joiner& joiner) {
  std::optional<std::string> answer;
  while (true) {
    answer = ask("topo to see the network, Enter to go on> ");
    if (!answer) return Step::end;
    if (answer->empty()) return Step::next;
    if (*answer == "topo") break;
    editor_.print("type topo, or only press Enter\n");
  }
  while (true) {
    const auto topology = joiner.topology(newStop());
    if (topology) {
      editor_.print(command::topologyText(command::topologyData(*topology)));
      return Step::next;
    }
    if (topology.error().code != ErrorCode::unavailable) {
      editor_.print(topology.error().message + "\n");
      return Step::next;
    }
    if (offerAnotherTry(joiner) == Step::end) return Step::end;
  }
}

// Until it has joined, the user has had enough, or there is no point in it.
Result<std::optional<Joined>> Prompt::insist(Joiner& joiner, PeerId id, std::string word) {
  const auto nobody = std::optional<Joined>();
  while (true) {
    auto attempt = joiner.join(id, word, newStop());
    const bool askable = editor_.isTerminal();
    switch (attempt.end) {
      case JoinAttempt::End::joined:
        if (!settings_.json && !settings_.quiet) {
          editor_.print(joinedLine(attempt.joined) + "\n");
        }
        return std::optional<Joined>(std::move(attempt.joined));
      case JoinAttempt::End::wordRefused: {
        const auto wanted = joiner.joinWord();
        const auto sentence = refusedWord(word, wanted);
        if (!askable) return Error{ErrorCode::refused, sentence};
        editor_.print(sentence + "\n");
        do {
          const auto answer = ask(fmt::format("{} to join> ", command::printable(wanted)));
          if (!answer) return nobody;
          word = *answer;
        } while (word.empty());
        break;
      }
      case JoinAttempt::End::idRefused: {
        if (!askable) return attempt.error;
        editor_.print(attempt.error.message + "\n");
        const auto other = askId();
        if (!other) return nobody;
        id = *other;
        break;
      }
      case JoinAttempt::End::unavailable:
        if (!askable) {
          return Error{ErrorCode::unavailable, noMetaserverLine(joiner.metaserver(), false)};
        }
        if (offerAnotherTry(joiner) == Step::end) return attempt.error;
        break;
      case JoinAttempt::End::failed:
        return attempt.error;
    }
  }
}

Result<std::optional<Joined>> Prompt::join(Joiner& joiner) {
  const auto nobody = std::optional<Joined>();
  if (!chooseToJoin()) return nobody;
  const auto id = askId();
  if (!id) return nobody;
  if (offerTopology(joiner) == Step::end) return nobody;
  std::string word;
  do {
    const auto answer = ask(fmt::format("{} to join> ", command::printable(joiner.joinWord())));
    if (!answer) return nobody;
    word = *answer;
  } while (word.empty());
  return insist(joiner, *id, word);
}

Result<std::optional<Joined>> Prompt::joinAs(Joiner& joiner, const PeerId& id,
                                             const std::string& word) {
  return insist(joiner, id, word);
}

command::Context Prompt::context() {
  command::Context context;
  context.stop = newStop();
  context.json = settings_.json;
  context.say = [this](const std::string& line) { editor_.notify(line); };
  if (settings_.json) {
    context.event = [this](const command::Json& event) {
      editor_.print(event.dump(-1, ' ', false, command::Json::error_handler_t::replace) + "\n");
    };
  }
  if (editor_.isTerminal()) {
    context.ask = [this](const std::string& question) -> std::optional<std::string> {
      const auto line = editor_.read(question);
      if (line.end == LineEditor::End::line) return trimmed(line.text);
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

void Prompt::show(const command::Rendered& rendered) {
  if (editor_.isTerminal()) {
    editor_.print(rendered.out + rendered.err);
    return;
  }
  editor_.print(rendered.out);
  if (!rendered.err.empty()) command::standardOutput().err(rendered.err);
}

// Of a command in the background, above the line that is being typed.
void Prompt::tell(const std::string& text) {
  if (settings_.json) return editor_.print(text);
  for (std::size_t begin = 0; begin < text.size();) {
    const auto end = std::min(text.find('\n', begin), text.size());
    editor_.notify(text.substr(begin, end - begin));
    begin = end + 1;
  }
}

void Prompt::run(const command::Dispatcher& dispatcher, const PeerId& id) {
  const auto format = settings_.json ? command::Format::json : command::Format::text;
  const auto complete = [&](std::string_view line) { return dispatcher.complete(line); };
  const std::string question = command::printable(id.text()) + "> ";
  Background background(dispatcher, format, [this](const std::string& text) { tell(text); });
  while (true) {
    const auto line = editor_.read(question, complete);
    if (line.end == LineEditor::End::interrupted) continue;
    auto context = this->context();
    const bool ended = line.end == LineEditor::End::ended;
    if (const auto command = ended ? std::nullopt : backgroundCommand(line.text)) {
      context.progress = {};
      context.ask = {};
      if (!background.start(*command, std::move(context))) {
        editor_.print("too many commands are under way: wait for one, or cancel it\n");
      }
      continue;
    }
    const auto outcome = dispatcher.runLine(ended ? "stop" : line.text, context);
    if (!ended) show(dispatcher.render(outcome, format));
    if (outcome.stops || ended) return;
  }
}

Result<Joined> joinAlone(Joiner& joiner, const PeerId& id, const std::string& word,
                         std::stop_token stop) {
  auto attempt = joiner.join(id, word, stop);
  switch (attempt.end) {
    case JoinAttempt::End::joined:
      return std::move(attempt.joined);
    case JoinAttempt::End::wordRefused:
      return Error{ErrorCode::refused, refusedWord(word, joiner.joinWord())};
    case JoinAttempt::End::unavailable:
      return Error{ErrorCode::unavailable, noMetaserverLine(joiner.metaserver(), false)};
    default:
      return attempt.error;
  }
}

}  // namespace espalier::peer::shell
