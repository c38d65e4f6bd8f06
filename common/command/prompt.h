// The prompt of a program: runs the commands that a user types.
//
//   LineEditor editor(settings);
//   Prompt prompt(editor, {});
//   const int code = prompt.run(dispatcher, [] { return "s2> "; });
//
// If the input is not a terminal, the commands are a script. A script continues after a failure and
// ends after an interruption, as -e does. Notices go to standard error, so that standard output has
// results only.
//
// Thread rule: one thread calls run() and newStop(); any thread calls interrupt() and close(), best
// through a CurrentPrompt. main() calls all of them.
#pragma once

#include <atomic>
#include <functional>
#include <stop_token>
#include <string>

#include "common/base/guarded.h"
#include "common/command/dispatcher.h"
#include "common/command/line_editor.h"

namespace espalier::command {

// Whether a user types at standard input and reads standard output.
bool isAtTerminal();

struct PromptSettings {
  bool json = false;    // outcomes as JSON, and no notices of success
  bool quiet = false;   // no progress, no notices
  bool script = false;  // the input is not a terminal
  // Where sentences about failures and notices go when the editor has no terminal.
  std::function<void(const std::string& text)> err = {};
};

class Prompt {
 public:
  // What stands before each line: "s2> ". Called for each line, since a name may change.
  using Question = std::function<std::string()>;

  Prompt(LineEditor& editor, PromptSettings settings);

  // Runs commands until `stop`, Ctrl-D or close(); the latter two run `stop`, too. Returns 0, or
  // the exit code of the first failure of a script.
  int run(const Dispatcher& dispatcher, const Question& question);

  // Ctrl-C: cancels the running command, else clears the line. Ends a script, with 130.
  void interrupt();
  // Cancels the running command, and ends every question.
  void close();

  LineEditor& editor() { return editor_; }
  const PromptSettings& settings() const { return settings_; }
  // Of what is done next in place of a command: interrupt() and close() trigger it.
  std::stop_token newStop();

 private:
  Context context();
  void show(const Outcome& outcome);
  void tell(const Outcome& outcome);
  void say(const std::string& line);

  LineEditor& editor_;
  PromptSettings settings_;
  std::atomic<bool> closed_ = false;
  std::atomic<bool> interrupted_ = false;  // of a script
  Guarded<std::stop_source> stop_;         // of the running command or question
};

// From now on log lines are printed above the line that is being typed. The log gets another sink
// before the editor ends.
void showLogAt(LineEditor& editor);

// The prompt that a program has at present, if it has one: for signals, and for whatever ends the
// program. Thread-safe.
class CurrentPrompt {
 public:
  void show(Prompt& prompt);
  // Before the prompt ends.
  void hide();

  // As the prompt's. False: there is none.
  bool interrupt();
  void close();
  // SIGWINCH: the terminal has another size. SIGCONT: another program may have changed its mode.
  void terminalChanged(int signal);

 private:
  Guarded<Prompt*> prompt_{nullptr};
};

}  // namespace espalier::command
