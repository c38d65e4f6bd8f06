// The prompt of a metaserver at a terminal. It runs on a thread of its own, beside the event loop;
// without a terminal there is none, and standard input is not read.
//
//   not started --start()--> prompt --`stop`, Ctrl-D, hang-up, close()--> ended
//
// While there is a prompt, log lines are printed above it, unless standard error is not the
// terminal. Ctrl-C cancels the running command or clears the line, as at a peer's prompt.
//
// Thread rule: one thread builds, starts and destroys it; any thread calls interrupt() and
// terminalChanged(). Built by main().
#pragma once

#include <functional>
#include <memory>
#include <thread>

#include "common/base/result.h"
#include "common/command/dispatcher.h"
#include "common/command/line_editor.h"
#include "common/command/prompt.h"

namespace espalier::metaserver::shell {

class Console {
 public:
  // Whether a user types at standard input, reads standard output, and started the program in the
  // foreground. One in the background would be stopped when it reads (SIGTTIN).
  static bool isWanted();
  // Whether it prints the log.
  static bool showsLog();

  // `ended` is called once on the console's thread, when the prompt has ended.
  Console(const command::Dispatcher& dispatcher, command::Prompt::Question question, bool json,
          std::function<void()> ended);
  // Ends the prompt. Log lines go to standard error then.
  ~Console();
  Console(const Console&) = delete;
  Console& operator=(const Console&) = delete;

  Result<void> start();

  void interrupt() { current_.interrupt(); }
  void terminalChanged(int signal) { current_.terminalChanged(signal); }

 private:
  const command::Dispatcher& dispatcher_;
  const command::Prompt::Question question_;
  const std::function<void()> ended_;
  const bool json_;
  command::CurrentPrompt current_;
  std::unique_ptr<command::LineEditor> editor_;
  std::unique_ptr<command::Prompt> prompt_;
  std::jthread thread_;
};

}  // namespace espalier::metaserver::shell
