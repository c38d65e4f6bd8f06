#include "common/web/bounded_socket.h"

#include <Poco/Exception.h>
#include <Poco/Net/NetException.h>
#include <Poco/Net/SocketAddress.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>

namespace espalier::web {
namespace {

constexpr int kBacklog = 64;
constexpr int kTakeTimes = 12;  // tuning: of a whole answer

// In one call, so that no program that is started meanwhile inherits the socket.
class BoundedServerImpl final : public Poco::Net::ServerSocketImpl {
 public:
  Poco::Net::SocketImpl* acceptConnection(Poco::Net::SocketAddress& client) override {
    sockaddr_storage address{};
    socklen_t length = sizeof address;
    int accepted = -1;
    do {
      accepted = ::accept4(sockfd(), reinterpret_cast<sockaddr*>(&address), &length, SOCK_CLOEXEC);
    } while (accepted < 0 && errno == EINTR);
    if (accepted < 0) error();
    // What a client does not read takes no more of the system's memory than this.
    const int unsent = limits::kWebBodyBytes;
    ::setsockopt(accepted, SOL_SOCKET, SO_SNDBUF, &unsent, sizeof unsent);
    client = Poco::Net::SocketAddress(reinterpret_cast<sockaddr*>(&address), length);
    return new BoundedSocketImpl(accepted);
  }
};

}  // namespace

BoundedSocketImpl::BoundedSocketImpl(int descriptor)
    : StreamSocketImpl(descriptor), askedUntil_(Clock::now() + limits::kWebRequestTime) {}

void BoundedSocketImpl::awaitReady(short event, TimePoint until) const {
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - Clock::now());
    if (left.count() <= 0) throw Poco::TimeoutException("the client is too slow");
    pollfd waiting{sockfd(), event, 0};
    const int ready = ::poll(&waiting, 1, static_cast<int>(left.count()));
    if (ready > 0) return;
    if (ready < 0 && errno != EINTR) throw Poco::Net::NetException("poll failed");
  }
}

bool BoundedSocketImpl::hasClosed() const {
  pollfd waiting{sockfd(), POLLIN | POLLRDHUP, 0};
  return ::poll(&waiting, 1, 0) > 0;
}

int BoundedSocketImpl::receiveBytes(void* buffer, int length, int flags) {
  const std::size_t left = bytesMost_ - std::min(bytesMost_, bytes_);
  if (left == 0) throw Poco::Net::MessageException("the request is too long");
  const auto most = std::min(left, static_cast<std::size_t>(std::max(length, 0)));
  while (true) {
    awaitReady(POLLIN, askedUntil_);
    const auto got = ::recv(sockfd(), buffer, most, flags | MSG_DONTWAIT);
    if (got >= 0) {
      bytes_ += static_cast<std::size_t>(got);
      return static_cast<int>(got);
    }
    if (errno != EAGAIN && errno != EINTR) throw Poco::Net::ConnectionResetException();
  }
}

int BoundedSocketImpl::sendBytes(const void* buffer, int length, int flags) {
  const TimePoint begun = Clock::now();
  TimePoint until = begun + limits::kWebTakeTime;
  if (!isStream_) until = std::min(until, begun + kTakeTimes * limits::kWebTakeTime - waited_);
  const char* next = static_cast<const char*>(buffer);
  int left = length;
  while (left > 0) {
    const auto sent =
        ::send(sockfd(), next, static_cast<std::size_t>(left), flags | MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent >= 0) {
      next += sent;
      left -= static_cast<int>(sent);
    } else if (errno == EAGAIN) {
      awaitReady(POLLOUT, until);
    } else if (errno != EINTR) {
      throw Poco::Net::ConnectionResetException();
    }
  }
  waited_ += Clock::now() - begun;
  return length;
}

Result<BoundedServerSocket> BoundedServerSocket::listen(const Endpoint& at) {
  BoundedServerSocket socket(new BoundedServerImpl);
  try {
    const Poco::Net::SocketAddress address(at.host, at.port);
    socket.impl()->bind(address, true);
    socket.impl()->listen(kBacklog);
  } catch (const Poco::Exception& exception) {
    return Error{ErrorCode::unavailable, fmt::format("cannot listen on {} for the page: {}",
                                                     at.text(), exception.displayText())};
  }
  return socket;
}

}  // namespace espalier::web
