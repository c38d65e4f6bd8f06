// Lines typed at a terminal, with editing, history and completion by libedit.
//
// libedit reads through readCharacter(), which waits in AwaitInput; there the owner prints what is
// queued, between erase() and refresh(). The terminal stays in libedit's mode from the constructor
// to the destructor: libedit itself would enter it only after the prompt is printed, and what is
// typed before that would be echoed twice.
//
// Used by one thread, that of its LineEditor. One terminal, one EditedInput.
#pragma once

#include <histedit.h>

#include <cstdio>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "common/command/dispatcher.h"
#include "common/command/terminal_output.h"

namespace espalier::command {

// Whether this process is in the background of the shell that has the terminal. False where that is
// not known: the terminal was hung up, or no shell has it.
bool isInBackground(int terminal);

class EditedInput {
 public:
  using Completer = std::function<Completion(std::string_view line)>;

  struct Settings {
    int input = 0;
    std::string historyFile;     // empty: the history is not kept
    bool canMoveCursor = false;  // else erase() begins a new line
  };
  // The functions that it needs of its owner.
  struct Owner {
    std::function<bool()> awaitInput;  // waits until there is input; false: leave the line
    std::function<void(const std::string& text)> write;
  };

  EditedInput(Settings settings, TerminalOutput& output, Owner owner);
  ~EditedInput();

  EditedInput(const EditedInput&) = delete;
  EditedInput& operator=(const EditedInput&) = delete;

  // A line without its line feed. Nothing: Ctrl-D on an empty line, the terminal was hung up, or
  // awaitInput() returned false. `complete` may be empty.
  std::optional<std::string> read(const std::string& prompt, const Completer& complete);
  bool hasEnded() const { return ended_; }
  // Adds a line to the history.
  void remember(const std::string& line);

  // While a line is being typed:
  void erase();        // removes the prompt and the line; the cursor is at their beginning then
  void refresh();      // draws both again
  void redraw();       // the same, where another program has written to the terminal
  void resize();       // the terminal has another width
  void restoreMode();  // another program has changed the terminal's mode

 private:
  void bindKeys();
  void openHistory();
  void enterMode();
  int readCharacter(wchar_t* result);
  unsigned char complete();
  void showCandidates(const Completion& completion);

  const Settings settings_;
  TerminalOutput& output_;
  const Owner owner_;
  EditLine* editor_ = nullptr;
  History* history_ = nullptr;
  std::FILE* input_ = nullptr;
  std::FILE* silent_ = nullptr;
  std::string prompt_;
  Completer completer_;  // of this line
  bool ended_ = false;   // the terminal was hung up
};

}  // namespace espalier::command
