// The user interface of a peer: the dialogue that joins (join_dialogue.h), then a prompt that runs
// commands.
//
// If the input is not a terminal, the commands are a script. A script continues after a failure and
// ends after an interruption, as -e does. Notices go to standard error, so that standard output has
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
#include "peer/shell/join_dialogue.h"
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

  // As JoinDialogue::join() and joinAs(). None: the user ended the dialogue.
  Result<std::optional<Joined>> join(JoinService& joiner);
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
  JoinDialogue dialogue(JoinService& joiner);
  std::stop_token newStop();
  command::Context context();
  void show(const command::Outcome& outcome);
  void tell(const command::Outcome& outcome);
  void say(const std::string& line);

  command::LineEditor& editor_;
  PromptSettings settings_;
  std::atomic<bool> closed_ = false;
  std::atomic<bool> interrupted_ = false;  // of a script
  Guarded<std::stop_source> stop_;         // of the running command or question
};

}  // namespace espalier::peer::shell
