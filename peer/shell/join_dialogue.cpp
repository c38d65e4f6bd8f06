#include "peer/shell/join_dialogue.h"

#include <fmt/format.h>

#include <utility>

#include "common/command/network_commands.h"
#include "common/command/printing.h"
#include "common/command/words.h"

namespace espalier::peer::shell {

using command::LineEditor;

namespace {

constexpr const char* kMenu =
    "1  add this peer to the network\n"
    "2  share files, once it is in the network\n";

bool meansStop(const std::string& answer) {
  return answer == "stop" || answer == "quit" || answer == "exit";
}

}  // namespace

JoinDialogue::JoinDialogue(command::Prompt& prompt, JoinService& joiner)
    : prompt_(prompt), editor_(prompt.editor()), joiner_(joiner) {}

std::optional<std::string> JoinDialogue::ask(const std::string& question) {
  while (true) {
    const auto line = editor_.read(question);
    if (line.end == LineEditor::End::ended) return std::nullopt;
    if (line.end == LineEditor::End::line) return std::string(command::trimmed(line.text));
  }
}

bool JoinDialogue::chooseToJoin() {
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

std::optional<PeerId> JoinDialogue::askId() {
  while (true) {
    const auto answer = ask("peer id> ");
    if (!answer) return std::nullopt;
    if (answer->empty()) continue;
    const auto id = PeerId::parse(*answer);
    if (id) return *id;
    editor_.print(id.error().message + "\n");
  }
}

// `again`: the user has pressed Enter to try again.
JoinDialogue::Step JoinDialogue::offerAnotherTry(const std::string& why) {
  editor_.print(why + ", then press Enter to try again\n");
  const auto answer = ask("");
  return !answer || meansStop(*answer) ? Step::end : Step::again;
}

JoinDialogue::Step JoinDialogue::offerTopology() {
  std::optional<std::string> answer;
  while (true) {
    answer = ask("topo to see the network, Enter to go on> ");
    if (!answer) return Step::end;
    if (answer->empty()) return Step::next;
    if (*answer == "topo") break;
    editor_.print("type topo, or only press Enter\n");
  }
  while (true) {
    const auto topology = joiner_.topology(prompt_.newStop());
    if (topology) {
      editor_.print(textOf(*topology));
      return Step::next;
    }
    if (topology.error().code != ErrorCode::unavailable) {
      editor_.print(topology.error().message + "\n");
      return Step::next;
    }
    if (offerAnotherTry(noMetaserverLine(joiner_.metaservers())) == Step::end) return Step::end;
  }
}

// Tries to join until that succeeds, the user ends it, or another attempt would fail as well.
Result<std::optional<Joined>> JoinDialogue::insist(PeerId id, std::string word) {
  const auto nobody = std::optional<Joined>();
  while (true) {
    auto attempt = joiner_.join(id, word, prompt_.newStop());
    const bool askable = editor_.isTerminal();
    switch (attempt.end) {
      case JoinAttempt::End::joined:
        if (!prompt_.settings().json && !prompt_.settings().quiet) {
          editor_.print(joinedLine(attempt.joined) + "\n");
        }
        return std::optional<Joined>(std::move(attempt.joined));
      case JoinAttempt::End::wordRefused: {
        const auto wanted = joiner_.joinWord();
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
        if (!askable) return attempt.error;
        if (offerAnotherTry(attempt.error.message) == Step::end) return attempt.error;
        break;
      case JoinAttempt::End::failed:
        return attempt.error;
    }
  }
}

Result<std::optional<Joined>> JoinDialogue::join() {
  const auto nobody = std::optional<Joined>();
  if (!chooseToJoin()) return nobody;
  const auto id = askId();
  if (!id) return nobody;
  if (offerTopology() == Step::end) return nobody;
  std::string word;
  do {
    const auto answer = ask(fmt::format("{} to join> ", command::printable(joiner_.joinWord())));
    if (!answer) return nobody;
    word = *answer;
  } while (word.empty());
  return insist(*id, word);
}

Result<std::optional<Joined>> JoinDialogue::joinAs(const PeerId& id, const std::string& word) {
  return insist(id, word);
}

}  // namespace espalier::peer::shell
