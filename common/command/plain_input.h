// Lines from an input that is not a terminal: a file or a pipe.
//
// Used by one thread, that of its LineEditor.
#pragma once

#include <functional>
#include <optional>
#include <string>

namespace espalier::command {

class PlainInput {
 public:
  // Waits until there is input. False: read() returns nothing; the input has not ended.
  using AwaitInput = std::function<bool()>;

  PlainInput(int input, AwaitInput awaitInput);

  // A line without its line feed. Nothing: the input has ended, or AwaitInput returned false. A
  // line longer than limits::kCommandLineBytes is cut to one byte more than that, so that
  // splitWords() refuses it.
  std::optional<std::string> read();
  bool hasEnded() const { return ended_; }

 private:
  void readChunk();

  const int input_;
  const AwaitInput awaitInput_;
  std::string unread_;  // bytes behind the last line
  bool ended_ = false;
};

}  // namespace espalier::command
