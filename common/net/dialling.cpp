#include "common/net/dialling.h"

#include <Poco/Net/StreamSocketImpl.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>

namespace espalier::net {

Dialling::Dialling(Target to, Duration timeout)
    : to_(std::move(to)), patience_(timeout / static_cast<Duration::rep>(to_.addresses.size())) {}

Result<Dialling::Begun> Dialling::begin() {
  while (true) {
    sockaddr_storage native;
    const socklen_t length = address().toNative(native);
    const int descriptor =
        ::socket(native.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (descriptor < 0) {
      const Error error = systemError("cannot create a socket", errno);
      if (why_.size() + 1 == to_.addresses.size()) return error;
      failed(error.message);
      continue;
    }
    Begun begun{std::make_unique<TcpStream>(
                    Poco::Net::StreamSocket(new Poco::Net::StreamSocketImpl(descriptor))),
                0};
    const int on = 1;
    ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&native), length) != 0 &&
        errno != EINPROGRESS && errno != EINTR) {
      begun.error = errno;
    }
    return begun;
  }
}

int Dialling::outcome(const ByteStream& stream) const {
  int error = 0;
  socklen_t length = sizeof error;
  ::getsockopt(stream.descriptor(), SOL_SOCKET, SO_ERROR, &error, &length);
  if (error != 0) return error;
  // Without a listener, the kernel may assign the dialled port, if it is ephemeral, to the dialling
  // socket itself. TCP then connects the socket to itself.
  const bool isItself = address().port() != 0 && stream.local() == address();
  return isItself ? ECONNREFUSED : 0;
}

}  // namespace espalier::net
