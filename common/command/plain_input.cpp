#include "common/command/plain_input.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "common/base/limits.h"

namespace espalier::command {

PlainInput::PlainInput(int input, AwaitInput awaitInput)
    : input_(input), awaitInput_(std::move(awaitInput)) {}

std::optional<std::string> PlainInput::read() {
  while (true) {
    if (const auto end = unread_.find('\n'); end != std::string::npos) {
      std::string line = unread_.substr(0, end);
      unread_.erase(0, end + 1);
      if (line.ends_with('\r')) line.pop_back();
      return line;
    }
    if (ended_) {
      if (unread_.empty()) return std::nullopt;
      return std::exchange(unread_, {});
    }
    if (!awaitInput_()) return std::nullopt;
    readChunk();
  }
}

void PlainInput::readChunk() {
  char chunk[4096];
  const auto size = ::read(input_, chunk, sizeof chunk);
  if (size < 0 && (errno == EINTR || errno == EAGAIN)) return;
  if (size <= 0) ended_ = true;
  if (size > 0) unread_.append(chunk, static_cast<std::size_t>(size));
  if (unread_.size() > limits::kCommandLineBytes && unread_.find('\n') == std::string::npos) {
    unread_.resize(limits::kCommandLineBytes + 1);
  }
}

}  // namespace espalier::command
