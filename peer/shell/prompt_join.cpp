// The dialogue that joins (prompt.h).
#include <fmt/format.h>

#include "common/base/text.h"
#include "common/command/printing.h"
#include "peer/shell/prompt.h"

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

std::string refusedWord(const std::string& word, const std::string& wanted) {
  return fmt::format("the metaserver refused the word \"{}\": type {} to join", escaped(word),
                     escaped(wanted));
}

std::string joinedLine(const Joined& joined) {
  const std::string place = joined.linkedTo.empty()
                                ? "the first of the network"
                                : "linked to " + escaped(joined.linkedTo.text());
  return fmt::format("{} joined on {}, {}; sharing {} ({}) from {}{}", escaped(joined.id.text()),
                     joined.endpoint.text(), place, counted(joined.sharedFiles, "file"),
                     formatSize(joined.sharedBytes), escaped(joined.share),
                     joined.indexing ? ", still indexing" : "");
}

std::string noMetaserverLine(const Endpoint& metaserver, const std::string& why) {
  return fmt::format("no metaserver at {}{}: start \"metaserver\"", escaped(metaserver.text()),
                     why.empty() ? "" : fmt::format(" ({})", escaped(why)));
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

// `again`: the user has pressed Enter to try again.
Prompt::Step Prompt::offerAnotherTry(const std::string& why) {
  editor_.print(why + ", then press Enter to try again\n");
  const auto answer = ask("");
  return !answer || meansStop(*answer) ? Step::end : Step::again;
}

Prompt::Step Prompt::offerTopology(JoinService& joiner) {
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
      editor_.print(textOf(*topology));
      return Step::next;
    }
    if (topology.error().code != ErrorCode::unavailable) {
      editor_.print(topology.error().message + "\n");
      return Step::next;
    }
    if (offerAnotherTry(noMetaserverLine(joiner.metaserver())) == Step::end) return Step::end;
  }
}

// Tries to join until that succeeds, the user ends it, or another attempt would fail as well.
Result<std::optional<Joined>> Prompt::insist(JoinService& joiner, PeerId id, std::string word) {
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
        if (!askable) return attempt.error;
        if (offerAnotherTry(attempt.error.message) == Step::end) return attempt.error;
        break;
      case JoinAttempt::End::failed:
        return attempt.error;
    }
  }
}

Result<std::optional<Joined>> Prompt::join(JoinService& joiner) {
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

Result<std::optional<Joined>> Prompt::joinAs(JoinService& joiner, const PeerId& id,
                                             const std::string& word) {
  return insist(joiner, id, word);
}

}  // namespace espalier::peer::shell
