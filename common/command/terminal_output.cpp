#include "common/command/terminal_output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <system_error>

namespace espalier::command {
namespace {

constexpr int kPauseMilliseconds = 10;

Error failure(int errnoValue) {
  return {ErrorCode::io, std::generic_category().message(errnoValue)};
}

// Errors of a terminal are ignored: its input ends as well.
ssize_t writeCookie(void* cookie, const char* data, std::size_t size) {
  (void)static_cast<TerminalOutput*>(cookie)->write({data, size});
  return static_cast<ssize_t>(size);
}

}  // namespace

TerminalOutput::TerminalOutput(int output, Duration grace)
    : output_(output), grace_(::isatty(output) != 0 ? Duration() : grace) {
  if (::isatty(output) != 0) {
    const auto path = fmt::format("/proc/self/fd/{}", output);
    own_ = FileDescriptor(::open(path.c_str(), O_RDWR | O_NONBLOCK | O_NOCTTY | O_CLOEXEC));
    if (own_) output_ = own_.get();
  }
  stream_ = ::fopencookie(this, "w", {nullptr, writeCookie, nullptr, nullptr});
  assert(aborted_ && stream_ != nullptr);
}

TerminalOutput::~TerminalOutput() {
  std::fclose(stream_);
}

Result<void> TerminalOutput::write(std::string_view text) {
  // A pipe that is ready takes at least that much.
  constexpr std::size_t kAtOnce = 4096;
  while (!text.empty()) {
    const bool aborted = end_ != kNever;
    pollfd waiting[] = {{output_, POLLOUT, 0}, {aborted_.descriptor(), POLLIN, 0}};
    const int ready = ::poll(waiting, aborted ? 1 : 2, aborted ? kPauseMilliseconds : -1);
    if (ready < 0 && errno != EINTR) return failure(errno);
    if (waiting[1].revents != 0) end_ = Clock::now() + grace_;
    if (ready > 0 && waiting[0].revents != 0) {
      const auto written = ::write(output_, text.data(), std::min(text.size(), kAtOnce));
      if (written > 0) {
        text.remove_prefix(static_cast<std::size_t>(written));
        continue;
      }
      if (written < 0 && errno != EAGAIN && errno != EINTR) {
        return failure(errno);
      }
      // A terminal with room for one byte is ready, but takes no line feed, which it writes as two.
      ::poll(&waiting[1], end_ == kNever ? 1 : 0, kPauseMilliseconds);
    }
    if (Clock::now() >= end_) return Error{ErrorCode::interrupted, "interrupted"};
  }
  return {};
}

void TerminalOutput::abort() {
  aborted_.wake();
}

}  // namespace espalier::command
