// The thread behind a LineEditor, and libedit on it. Only for line_editor*.cpp.
#pragma once

#include <histedit.h>

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

#include "common/base/file_descriptor.h"
#include "common/command/line_editor.h"
#include "common/command/terminal_output.h"

namespace espalier::command {

class LineEditor::Worker {
 public:
  explicit Worker(Settings settings);
  ~Worker();

  const Result<void>& started() const { return started_; }
  bool isTerminal() const { return terminal_; }
  Line read(const std::string& prompt, const Completer& complete);
  void print(std::string_view text);
  std::optional<Error> failure();
  void notify(std::string_view line);
  void showStatus(const std::string& line);
  bool interrupt();
  void redraw(bool prepareTerminal);
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
  // What character() has to do before it waits on.
  enum class Round { go, leave };

  // Under mutex_.
  struct Shared {
    std::deque<Output> output;
    std::uint64_t printsQueued = 0;
    std::size_t notices = 0;      // of `output`
    std::size_t lostNotices = 0;  // since the last that was printed
    std::string status;
    bool statusChanged = false;
    std::optional<Wanted> wanted;
    std::optional<Line> answer;
    bool interrupted = false;
    bool resized = false;
    bool prepareTerminal = false;
    bool closing = false;
    bool ending = false;  // the editor is being destroyed
    std::optional<Error> failure;
  };

  void wake();
  void drainWake();
  void run();
  void flush(bool typing);
  void write(const std::string& text);
  void eraseTyped();
  void eraseStatus();
  Line serve(const Wanted& wanted);
  Line readPlain();
  Line readEdited(const Wanted& wanted);
  Round waitForInput(bool typing);

  void openEditor();
  void closeEditor();
  void setRaw();
  int character(wchar_t* result);
  unsigned char completeLine();
  void showCandidates(const Completion& completion);

  Settings settings_;
  bool terminal_;
  bool capable_;  // of moving the cursor
  TerminalOutput output_;
  FileDescriptor wake_;

  std::mutex mutex_;
  std::condition_variable changed_;
  Shared shared_;
  std::uint64_t printsDone_ = 0;  // under mutex_

  // The thread's own.
  EditLine* editor_ = nullptr;
  History* history_ = nullptr;
  std::FILE* input_ = nullptr;
  std::FILE* silent_ = nullptr;
  std::string prompt_;
  std::string typedAhead_;  // plain input behind the last line
  bool inputEnded_ = false;
  bool statusShown_ = false;
  Completer complete_;  // of this line

  Result<void> started_;
  std::jthread thread_;
};

}  // namespace espalier::command
