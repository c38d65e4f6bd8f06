// A prompt: reads lines that a user types, and prints text and notices above the line meanwhile.
//
//   LineEditor editor(settings);
//   while (true) {
//     const auto line = editor.read("s2> ");                       // the prompt's thread
//     if (line.end == LineEditor::End::ended) break;
//     editor.print(render(run(line.text)));
//   }
//   editor.notify("s4 joined on 127.0.0.1:5004, referred to s2");  // any thread, never blocks
//
// With a terminal at both ends lines are edited by libedit (edited_input.h): history, completion by
// the Tab key, Ctrl-D on an empty line ends, Ctrl-C clears the line. The owner calls interrupt() on
// SIGINT (signals.h). Otherwise lines are read as they are (plain_input.h), and prompts are not
// printed. A terminal that cannot move its cursor works, too.
//
// Thread rule: one thread calls read(); any thread calls the rest. Only the editor's own thread
// touches the terminal. If the terminal takes nothing (Ctrl-S), that thread and callers of print()
// block, and no others. Notices are queued, at most limits::kNoticesQueued; the number of lost ones
// is printed. close() also ends a blocked thread. A file or a pipe has limits::kControlGrace to
// take what was printed before.
//
// A program in the background (&, or Ctrl-Z and bg) neither reads the terminal nor changes its
// mode, for which the system would stop it. It goes on, prints notices, and has its prompt in the
// foreground again.
//
// Control characters in what is printed are escaped. One terminal, one editor.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include "common/base/result.h"
#include "common/base/wake_up.h"
#include "common/command/edited_input.h"
#include "common/command/plain_input.h"
#include "common/command/terminal_output.h"

namespace espalier::command {

class LineEditor {
 public:
  struct Settings {
    int input = 0;
    int output = 1;
    std::string historyFile;  // empty: the history is not kept
  };
  // Completes the line up to the cursor. Called by the editor's thread: it must not block for long.
  using Completer = EditedInput::Completer;

  enum class End {
    line,
    interrupted,  // Ctrl-C
    ended         // Ctrl-D, the end of the input, or close()
  };
  struct Line {
    End end = End::ended;
    std::string text;  // without the line feed
  };

  explicit LineEditor(Settings settings);
  ~LineEditor();

  LineEditor(const LineEditor&) = delete;
  LineEditor& operator=(const LineEditor&) = delete;

  // An error if the system had no thread left; the editor is closed then.
  const Result<void>& started() const { return started_; }
  bool isTerminal() const { return terminal_; }

  // Waits for a line. What stands before the last line feed of `prompt` is printed once. With a
  // completer the line is a command, which the history keeps; without one it is an answer.
  Line read(const std::string& prompt, const Completer& complete = {});

  // Prints `text` above a line that is being typed. Returns once the terminal has taken it.
  void print(std::string_view text);

  // The first error of an output that is not a terminal. Nothing is written after it.
  std::optional<Error> failure() const;

  // Prints one line as soon as the terminal takes it, and rings its bell. Does not block.
  void notify(std::string_view line, bool rings = false);

  // Shows a status line, such as a progress bar: the next one replaces it, an empty one removes it.
  // Does nothing if the output cannot move its cursor.
  void showStatus(const std::string& line);

  // Ctrl-C: clears the line that is being typed, and read() returns. False: no line is being typed.
  bool interrupt();
  void resized() { redraw(false); }  // SIGWINCH
  void resumed() { redraw(true); }  // SIGCONT: another program may have changed the terminal's mode

  // Ends a waiting read() and every later one. A terminal loses what it does not take at once; a
  // file or a pipe still gets what is printed.
  void close();

 private:
  struct Wanted {
    std::string prompt;
    Completer complete;
  };
  struct Output {
    std::string text;
    bool isNotice = false;
  };
  // Under mutex_.
  struct Shared {
    std::deque<Output> output;
    std::uint64_t printsQueued = 0;
    std::uint64_t printsDone = 0;
    std::size_t notices = 0;      // in `output`
    std::size_t lostNotices = 0;  // since the last that was printed
    std::string status;
    bool statusChanged = false;
    std::optional<Wanted> wanted;  // read() waits for this line
    std::optional<Line> answer;
    bool interrupted = false;
    bool resized = false;
    bool modeLost = false;
    bool closing = false;
    bool ending = false;  // the destructor runs
    std::optional<Error> failure;
  };

  // Any thread.
  void redraw(bool modeLost);

  // The editor's thread.
  void run();
  void write(const std::string& text);
  void flush(bool typing);
  bool printQueued(bool typing);
  void drawStatus(bool erased);
  void eraseStatus();
  Line serve(const Wanted& wanted);
  Line readPlain();
  Line readEdited(const Wanted& wanted);
  bool awaitInput(bool typing);
  bool awaitForeground();

  const Settings settings_;
  const bool terminal_;
  const bool canMoveCursor_;
  TerminalOutput output_;
  WakeUp wakeUp_;

  mutable std::mutex mutex_;
  std::condition_variable changed_;
  Shared shared_;

  // The editor's thread.
  std::unique_ptr<EditedInput> edited_;  // with a terminal, while the thread runs
  PlainInput plain_;
  bool statusShown_ = false;

  Result<void> started_;
  std::jthread thread_;
};

}  // namespace espalier::command
