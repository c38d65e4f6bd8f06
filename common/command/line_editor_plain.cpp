// What a LineEditor does without a terminal (line_editor_worker.h): plain lines, and an output that
// may fail.
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "common/base/limits.h"
#include "common/command/line_editor_worker.h"
#include "common/command/standard_output.h"

namespace espalier::command {

std::optional<Error> LineEditor::Worker::failure() {
  const std::lock_guard lock(mutex_);
  return shared_.failure;
}

// Of a terminal that is gone the input ends, too: only a file or a pipe fails.
void LineEditor::Worker::write(const std::string& text) {
  const auto written = failure() ? Result<void>() : output_.write(text);
  if (written || terminal_) return;
  const std::lock_guard lock(mutex_);
  shared_.failure = cannotWriteOutput(written.error());
}

LineEditor::Line LineEditor::Worker::readPlain() {
  while (true) {
    if (const auto end = typedAhead_.find('\n'); end != std::string::npos) {
      Line line{End::line, typedAhead_.substr(0, end)};
      typedAhead_.erase(0, end + 1);
      if (line.text.ends_with('\r')) line.text.pop_back();
      return line;
    }
    if (inputEnded_) {
      if (typedAhead_.empty()) return {};
      return {End::line, std::exchange(typedAhead_, {})};
    }
    if (waitForInput(false) == Round::leave) {
      const std::lock_guard lock(mutex_);
      return {shared_.closing ? End::ended : End::interrupted, {}};
    }
    char chunk[4096];
    const auto size = ::read(settings_.input, chunk, sizeof chunk);
    if (size < 0 && (errno == EINTR || errno == EAGAIN)) continue;
    if (size <= 0) inputEnded_ = true;
    if (size > 0) typedAhead_.append(chunk, static_cast<std::size_t>(size));
    // Beyond the limit by one byte, so that whoever splits it says so; the rest is nobody's.
    if (typedAhead_.size() > limits::kCommandLineBytes &&
        typedAhead_.find('\n') == std::string::npos) {
      typedAhead_.resize(limits::kCommandLineBytes + 1);
    }
  }
}

}  // namespace espalier::command
