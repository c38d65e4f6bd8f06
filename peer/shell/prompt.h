// The user interface at a terminal: the dialogue that joins, then the prompt.
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
// If the input is not a terminal, the commands are a script. It goes on after a failure and ends
// after an interruption, as -e does. Notices go to standard error, so that standard output has
// results only.
//
// Thread rule: one thread calls join(), joinAs() and run(), which block; any thread calls
// interrupt() and close(). main() calls all of them.
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
  bool script = false;  // the input is not a terminal
  // Where sentences about failures and notices go when the editor has no terminal.
  std::function<void(const std::string& text)> err = {};
};

class Prompt {
 public:
  Prompt(command::LineEditor& editor, PromptSettings settings);

  // Asks what to do, for the id, whether to show the network, for the word. None: the user ended
  // it.
  Result<std::optional<Joined>> join(JoinService& joiner);

  // Joins at once. Asks only after a failure, and at a terminal: for the word, whether to try
  // again.
  Result<std::optional<Joined>> joinAs(JoinService& joiner, const PeerId& id,
                                       const std::string& word);

  // Runs commands until `stop`, Ctrl-D or close(); the latter two run `stop`, too. Returns 0, or
  // the exit code of the first failure of a script.
  int run(const command::Dispatcher& dispatcher, const PeerId& id);

  // Ctrl-C: cancels the running command, else clears the line. Ends a script, with 130.
  void interrupt();
  // Cancels the running command, and ends every question.
  void close();

 private:
  enum class Step { again, next, end };

  // The answer without white space around it; none: the input has ended. Ctrl-C asks again.
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
  Guarded<std::stop_source> stop_;         // of the running command or question
};

std::string refusedWord(const std::string& word, const std::string& wanted);

}  // namespace espalier::peer::shell
