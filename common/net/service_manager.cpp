#include "common/net/service_manager.h"

#include <fmt/format.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <utility>

namespace espalier::net {
namespace {

constexpr int kBeats = 2;  // tuning: in the time of the watchdog

std::string takeVariable(const char* name) {
  const char* const value = std::getenv(name);
  std::string text = value == nullptr ? "" : value;
  ::unsetenv(name);
  return text;
}

std::int64_t numberIn(std::string_view text) {
  std::int64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  return error == std::errc() && end == text.data() + text.size() ? number : 0;
}

}  // namespace

ServiceManager ServiceManager::ofEnvironment() {
  auto socket = takeVariable("NOTIFY_SOCKET");
  auto time = numberIn(takeVariable("WATCHDOG_USEC"));
  const auto process = takeVariable("WATCHDOG_PID");
  if (!process.empty() && numberIn(process) != ::getpid()) time = 0;
  return ServiceManager(std::move(socket), std::chrono::microseconds(time));
}

ServiceManager::ServiceManager(std::string socket, std::chrono::microseconds watchdog)
    : name_(std::move(socket)), watchdog_(watchdog) {
  if (name_.empty() || name_.size() >= sizeof(sockaddr_un::sun_path)) return;
  socket_ = FileDescriptor(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
}

ServiceManager::~ServiceManager() {
  send("STOPPING=1");
}

Result<void> ServiceManager::watch(EventLoop& loop) {
  if (!socket_ || watchdog_.count() <= 0) return {};
  FileDescriptor timer(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
  if (!timer) return systemError("cannot make a timer for the watchdog", errno);
  const auto beat = watchdog_ / kBeats;
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(beat);
  itimerspec every{};
  every.it_interval.tv_sec = seconds.count();
  every.it_interval.tv_nsec = std::chrono::nanoseconds(beat - seconds).count();
  every.it_value = every.it_interval;
  if (::timerfd_settime(timer.get(), 0, &every, nullptr) != 0) {
    return systemError("cannot set the timer of the watchdog", errno);
  }
  timer_ = std::move(timer);
  return loop.watch(timer_.get(), [this] {
    std::uint64_t beats = 0;
    if (::read(timer_.get(), &beats, sizeof beats) > 0) send("WATCHDOG=1");
  });
}

void ServiceManager::ready(std::string_view status) {
  send(fmt::format("READY=1\nSTATUS={}", status));
}

void ServiceManager::send(std::string_view text) const {
  if (!socket_) return;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, name_.data(), name_.size());
  if (name_[0] == '@') address.sun_path[0] = '\0';
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name_.size());
  (void)::sendto(socket_.get(), text.data(), text.size(), MSG_NOSIGNAL,
                 reinterpret_cast<const sockaddr*>(&address), length);
}

}  // namespace espalier::net
