#include "peer/transfer/sockets.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

#include "common/base/text.h"

namespace espalier::transfer {
namespace {

std::string reasonText(int errnoValue) {
  return std::generic_category().message(errnoValue);
}

// A socket that is connecting was connected, refused, interrupted or given up.
Result<void> awaitConnection(int socket, Duration timeout, const Interrupter& interrupter) {
  std::array<pollfd, 2> polled{pollfd{socket, POLLOUT, 0},
                               pollfd{interrupter.descriptor(), POLLIN, 0}};
  const TimePoint end = Clock::now() + timeout;
  int ready = 0;
  do {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now()).count();
    ready = ::poll(polled.data(), polled.size(), left > 0 ? static_cast<int>(left) : 0);
  } while (ready < 0 && errno == EINTR);
  if (interrupter.interrupted()) return Error{ErrorCode::interrupted, "interrupted"};
  if (ready == 0) {
    return Error{ErrorCode::timeout, fmt::format("no answer within {}", formatDuration(timeout))};
  }
  int error = 0;
  socklen_t length = sizeof error;
  ::getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &length);
  if (error != 0) return Error{ErrorCode::io, reasonText(error)};
  return {};
}

// `io`, `timeout` or `interrupted`, with a reason only.
Result<FileDescriptor> connectTo(const net::Address& address, Duration timeout,
                                 const Interrupter& interrupter) {
  sockaddr_storage native;
  const socklen_t length = address.toNative(native);
  FileDescriptor socket(::socket(native.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return Error{ErrorCode::io, reasonText(errno)};
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&native), length) != 0 &&
      errno != EINPROGRESS) {
    return Error{ErrorCode::io, reasonText(errno)};
  }
  if (auto done = awaitConnection(socket.get(), timeout, interrupter); !done) return done.error();
  return socket;
}

Error receiveError(int error) {
  if (error == EAGAIN || error == EWOULDBLOCK) {
    return {ErrorCode::timeout, "nothing came for too long"};
  }
  return systemError("the connection failed", error);
}

}  // namespace

Interrupter::Interrupter() : event_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

void Interrupter::add(int socket) {
  state_.with([&](State& state) {
    state.sockets.insert(socket);
    if (state.interrupted) ::shutdown(socket, SHUT_RDWR);
  });
}

void Interrupter::remove(int socket) {
  state_.with([&](State& state) { state.sockets.erase(socket); });
}

void Interrupter::interrupt() {
  state_.with([&](State& state) {
    state.interrupted = true;
    for (const int socket : state.sockets) ::shutdown(socket, SHUT_RDWR);
  });
  stop_.request_stop();
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(event_.get(), &one, sizeof one);
}

bool Interrupter::interrupted() const {
  return state_.with([](const State& state) { return state.interrupted; });
}

QuietSignals::QuietSignals() {
  sigset_t quiet;
  sigemptyset(&quiet);
  sigaddset(&quiet, SIGPIPE);
  sigaddset(&quiet, SIGXFSZ);
  ::pthread_sigmask(SIG_BLOCK, &quiet, nullptr);
}

Result<FileDescriptor> dial(const Endpoint& endpoint, Duration timeout, Interrupter& interrupter,
                            net::Resolver& resolver) {
  const auto target =
      resolver.resolve(endpoint, net::NamedBy::others, interrupter.token(), timeout);
  if (!target) {
    const auto& error = target.error();
    return error.code == ErrorCode::unavailable ? Error{ErrorCode::io, error.message} : error;
  }
  const Duration each = timeout / static_cast<Duration::rep>(target->addresses.size());
  std::vector<std::string> why;
  ErrorCode code = ErrorCode::io;
  for (const auto& address : target->addresses) {
    auto socket = connectTo(address, each, interrupter);
    if (socket) {
      interrupter.add(socket->get());
      return socket;
    }
    code = socket.error().code;
    if (code == ErrorCode::interrupted) return socket.error();
    why.push_back(socket.error().message);
  }
  return Error{code, net::connectFailure(*target, why)};
}

std::string remoteAddress(int socket) {
  sockaddr_storage address{};
  socklen_t length = sizeof address;
  auto* const generic = reinterpret_cast<sockaddr*>(&address);
  std::array<char, NI_MAXHOST> host{};
  if (::getpeername(socket, generic, &length) != 0 ||
      ::getnameinfo(generic, length, host.data(), host.size(), nullptr, 0, NI_NUMERICHOST) != 0) {
    return {};
  }
  return host.data();
}

void makeBlocking(int socket, Duration silence) {
  ::fcntl(socket, F_SETFL, ::fcntl(socket, F_GETFL) & ~O_NONBLOCK);
  const int on = 1;
  ::setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(silence).count();
  timeval time{};
  time.tv_sec = micros / 1'000'000;
  time.tv_usec = micros % 1'000'000;
  ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &time, sizeof time);
  ::setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &time, sizeof time);
}

Result<void> sendAll(int socket, std::string_view data, bool moreFollows) {
  while (!data.empty()) {
    const auto sent =
        ::send(socket, data.data(), data.size(), MSG_NOSIGNAL | (moreFollows ? MSG_MORE : 0));
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0) return receiveError(errno);
    data.remove_prefix(static_cast<std::size_t>(sent));
  }
  return {};
}

Result<std::uint64_t> sendFile(int socket, int file, std::uint64_t offset, std::uint64_t bytes,
                               const Pace& pace) {
  auto at = static_cast<off_t>(offset);
  while (bytes > 0) {
    for (std::uint64_t slice = pace.take(bytes); slice > 0;) {
      const auto sent = ::sendfile(socket, file, &at, slice);
      if (sent < 0 && errno == EINTR) continue;
      if (sent < 0) return systemError("cannot send a chunk", errno);
      if (sent == 0) return bytes;
      slice -= static_cast<std::uint64_t>(sent);
      bytes -= static_cast<std::uint64_t>(sent);
    }
  }
  return 0;
}

Result<void> receiveAll(int socket, std::span<std::byte> out, const Pace& pace,
                        Duration gathering) {
  const bool gathers = gathering > Duration{};
  while (!out.empty()) {
    for (std::size_t slice = pace.take(out.size()); slice > 0;) {
      if (gathers) {
        int there = 0;
        ::ioctl(socket, FIONREAD, &there);
        if (static_cast<std::size_t>(there) < std::min(slice, kGatherBytes)) {
          std::this_thread::sleep_for(gathering);
        }
      }
      const auto received = ::recv(socket, out.data(), slice, gathers ? 0 : MSG_WAITALL);
      if (received < 0 && errno == EINTR) continue;
      if (received < 0) return receiveError(errno);
      if (received == 0) return Error{ErrorCode::io, "the connection was closed"};
      slice -= static_cast<std::size_t>(received);
      out = out.subspan(static_cast<std::size_t>(received));
    }
  }
  return {};
}

Result<std::size_t> receiveSome(int socket, std::span<std::byte> out) {
  while (true) {
    const auto received = ::recv(socket, out.data(), out.size(), 0);
    if (received > 0) return static_cast<std::size_t>(received);
    if (received == 0) return Error{ErrorCode::io, "the connection was closed"};
    if (errno != EINTR) return receiveError(errno);
  }
}

}  // namespace espalier::transfer
