#include "common/command/liveness.h"

#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "common/command/control_channel.h"

namespace espalier::command {
namespace {

using namespace std::chrono_literals;

constexpr auto kAgain = 100ms;  // between two attempts to connect

}  // namespace

void Liveness::heard() {
  heard_ = Clock::now();
  giveUp_ = kNever;
  probe_.reset();
}

bool Liveness::look() {
  if (giveUp_ == kNever) {
    if (Clock::now() - heard_ < times_.probe) return true;
    giveUp_ = Clock::now() + times_.patience;
  }
  if (!probe_) connect();
  if (probe_) receive();
  return Clock::now() < giveUp_;
}

// A probe is refused while the program ends. The command's own connection ends soon after.
void Liveness::connect() {
  auto socket = connectControl(folder_);
  if (!socket) return;
  if (sendLine(socket->get(), {{"run", ""}})) probe_ = std::move(*socket);
}

void Liveness::receive() {
  std::array<char, 256> bytes;
  const auto size = ::recv(probe_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
  if (size > 0) {
    ++answers_;
    return heard();
  }
  if (size == 0 || (errno != EAGAIN && errno != EINTR)) probe_.reset();
}

Duration Liveness::pause(Duration most) const {
  const Duration left = giveUp_ == kNever ? heard_ + times_.probe - Clock::now()
                        : probe_          ? giveUp_ - Clock::now()
                                          : Duration(kAgain);
  return std::clamp(left, Duration(1ms), std::max(most, Duration(1ms)));
}

Result<FileDescriptor> connectPatiently(int folder, Duration patience,
                                        const std::stop_token& stop) {
  const TimePoint end = Clock::now() + patience;
  while (true) {
    auto socket = connectControl(folder);
    if (socket || socket.error().code != ErrorCode::timeout) return socket;
    if (stop.stop_requested()) return Error{ErrorCode::interrupted, "interrupted"};
    if (Clock::now() >= end) return socket;
    ::poll(nullptr, 0, static_cast<int>(std::chrono::milliseconds(kAgain).count()));
  }
}

}  // namespace espalier::command
