// A terminal where lines are typed while other things are printed above them.
//
//   LineEditor editor(settings);
//   while (true) {
//     const auto line = editor.read("s2> ");                       // the prompt's thread
//     if (line.end == LineEditor::End::ended) break;
//     editor.print(render(run(line.text)));
//   }
//   editor.notify("s4 joined on 127.0.0.1:5004, referred to s2");  // any thread, never blocks
//
// With a terminal at both ends: editing and history by libedit, completion by the Tab key, Ctrl-D
// on an empty line ends, Ctrl-C clears the line (interrupt(), which the owner calls on SIGINT; see
// signals.h). Else plain lines are read, and prompts are not printed. Works on a dumb terminal.
//
// Only the editor's own thread touches the terminal. A terminal that takes nothing (Ctrl-S) stops
// that thread and whoever print()s, nobody else: notices wait, limits::kNoticesQueued at most, and
// then how many were lost is told. close() ends it even so, though a file or a pipe gets
// limits::kControlGrace to take what was printed. Control characters of what is printed are
// escaped.
//
// One terminal, one editor. read() from one thread at a time; everything else from any.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "common/command/dispatcher.h"

namespace espalier::command {

class LineEditor {
 public:
  struct Settings {
    int input = 0;
    int output = 1;
    std::string historyFile;  // empty: forgotten at the end
  };
  // For the line up to the cursor. Called by the editor's thread: it must not wait for long.
  using Completer = std::function<Completion(std::string_view line)>;

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

  // Whether the system had a thread for it; one that it had none for is closed from the beginning.
  const Result<void>& started() const;
  bool isTerminal() const;

  // Waits for a line. What precedes the last line feed of `prompt` is printed once. With a
  // completer it is a command, which is kept in the history; else an answer, which is not.
  Line read(const std::string& prompt, const Completer& complete = {});

  // Prints `text` as it stands, above a line that is being typed. Returns once the terminal has it.
  void print(std::string_view text);

  // Why not all of what was printed could be written, where the output is no terminal: nothing more
  // is written then.
  std::optional<Error> failure() const;

  // Prints one line as soon as the terminal takes it.
  void notify(std::string_view line);

  // Shows a line that the next one replaces, and that is gone when empty: a progress bar. Nothing
  // without a terminal that can do it.
  void showStatus(const std::string& line);

  // Ctrl-C: clears the line that is being typed, and read() returns; false if none is.
  bool interrupt();
  void resized();  // SIGWINCH
  void resumed();  // SIGCONT: whoever had the terminal meanwhile left it in another mode

  // Every read() from now on, and one that waits, ends; what the terminal does not take at once is
  // dropped. A file or a pipe still gets what is printed.
  void close();

 private:
  class Worker;
  std::unique_ptr<Worker> worker_;
};

}  // namespace espalier::command
