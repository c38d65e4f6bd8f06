// What a peer's user sees at a terminal: the dialogue that joins, then the prompt.
//
//   $ peer
//   1  add this peer to the network
//   2  share files, once it is in the network
//   > 1
//   peer id> s2
//   topo to see the network, Enter to go on> topo
//   s1:
//   P2P to join> P2P
//   s2 joined on 127.0.0.1:5002, linked to s1; sharing 4 files (3.1 MB) from ./s2
//   s2> …
//
// Without a terminal at its input the commands are a script, which goes on behind a failure and
// ends behind an interruption, as -e does; notices go to standard error, since results must stay
// whole.
//
// join(), joinAs() and run() block, and belong to one thread; interrupt() and close() to any.
#pragma once

#include <atomic>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "common/base/guarded.h"
#include "common/base/result.h"
#include "common/command/dispatcher.h"
#include "common/command/line_editor.h"
#include "peer/shell/join_service.h"

namespace espalier::peer::shell {

struct PromptSettings {
  bool json = false;    // outcomes as JSON, and no joined line
  bool quiet = false;   // no joined line, no progress, no notices
  bool script = false;  // what is read was not typed
  // Where sentences about failures and notices go when the editor has no terminal.
  std::function<void(const std::string& text)> err = {};
};

class Prompt {
 public:
  Prompt(command::LineEditor& editor, PromptSettings settings);

  // Asks what to do, the id, whether to see the network, the word. None: the user ended it.
  Result<std::optional<Joined>> join(JoinService& joiner);

  // Joins at once. Asks only about what went wrong, at a terminal: the word, whether to try again.
  Result<std::optional<Joined>> joinAs(JoinService& joiner, const PeerId& id,
                                       const std::string& word);

  // Runs commands until one of them, Ctrl-D or close() ends it; the latter two count as `stop`.
  // Returns the exit code: of a script that of its first failure, else 0.
  int run(const command::Dispatcher& dispatcher, const PeerId& id);

  // Ctrl-C: cancels the running command, else clears the line. Ends a script, with 130.
  void interrupt();
  // Cancels what runs, and ends every question.
  void close();

 private:
  enum class Step { again, next, end };

  // The answer without white space around it; none: the user ended it. Ctrl-C asks again.
  std::optional<std::string> ask(const std::string& question);
  bool chooseToJoin();
  std::optional<PeerId> askId();
  Step offerTopology(JoinService& joiner);
  Step offerAnotherTry(const std::string& why);
  Result<std::optional<Joined>> insist(JoinService& joiner, PeerId id, std::string word);

  std::stop_token newStop();
  command::Context context();
  void show(const command::Rendered& rendered);
  void tell(const command::Rendered& rendered);
  void say(const std::string& line);

  command::LineEditor& editor_;
  PromptSettings settings_;
  std::atomic<bool> closed_ = false;
  std::atomic<bool> interrupted_ = false;  // of a script
  Guarded<std::stop_source> stop_;         // of what runs now
};

std::string refusedWord(const std::string& word, const std::string& wanted);

}  // namespace espalier::peer::shell
