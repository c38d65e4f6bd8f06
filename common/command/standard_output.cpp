#include "common/command/standard_output.h"

#include <unistd.h>

#include "common/base/limits.h"

namespace espalier::command {

Error cannotWriteOutput(const Error& why) {
  return {why.code, "cannot write to standard output: " + why.message};
}

StandardOutput::StandardOutput(const std::stop_token& stop)
    : out_(STDOUT_FILENO, limits::kControlGrace),
      err_(STDERR_FILENO, limits::kControlGrace),
      onStop_(stop, [this] {
        out_.abort();
        err_.abort();
      }) {}

void StandardOutput::out(std::string_view text) {
  const std::lock_guard lock(outMutex_);
  if (failure_) return;
  if (const auto written = out_.write(text); !written)
    failure_ = cannotWriteOutput(written.error());
}

void StandardOutput::err(std::string_view text) {
  const std::lock_guard lock(errMutex_);
  (void)err_.write(text);
}

std::optional<Error> StandardOutput::failure() {
  const std::lock_guard lock(outMutex_);
  return failure_;
}

Output StandardOutput::output() {
  return {[this](const std::string& text) { out(text); },
          [this](const std::string& text) { err(text); }, [this] { return failure(); }};
}

}  // namespace espalier::command
