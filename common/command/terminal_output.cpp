#include "common/command/terminal_output.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>

namespace espalier::command {
namespace {

constexpr int kTerminalPauseMilliseconds = 10;

ssize_t writeCookie(void* cookie, const char* data, std::size_t size) {
  static_cast<TerminalOutput*>(cookie)->write({data, size});
  return static_cast<ssize_t>(size);
}

}  // namespace

TerminalOutput::TerminalOutput(int output) : output_(output), aborted_(::eventfd(0, EFD_CLOEXEC)) {
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

void TerminalOutput::write(std::string_view text) {
  // What a pipe takes at once when it is ready for anything.
  constexpr std::size_t kAtOnce = 4096;
  while (!text.empty()) {
    pollfd waiting[] = {{output_, POLLOUT, 0}, {aborted_.get(), POLLIN, 0}};
    if (::poll(waiting, 2, -1) < 0 && errno != EINTR) return;
    const bool aborted = waiting[1].revents != 0;
    if (waiting[0].revents == 0) {
      if (aborted) return;
      continue;
    }
    const auto written = ::write(output_, text.data(), std::min(text.size(), kAtOnce));
    if (written > 0) {
      text.remove_prefix(static_cast<std::size_t>(written));
    } else if (written < 0 && errno == EAGAIN) {
      // A terminal with room for one byte is ready, and yet takes no line feed, which is two.
      if (::poll(&waiting[1], 1, kTerminalPauseMilliseconds) > 0) return;
    } else if (written == 0 || errno != EINTR) {
      return;
    }
  }
}

void TerminalOutput::abort() {
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(aborted_.get(), &one, sizeof one);
}

}  // namespace espalier::command
