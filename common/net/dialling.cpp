#include "common/net/dialling.h"

#include <Poco/Net/StreamSocketImpl.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <chrono>

namespace espalier::net {

Result<Dialling::Begun> Dialling::begin() {
  while (true) {
    sockaddr_storage native;
    const socklen_t length = address().toNative(native);
    const int descriptor =
        ::socket(native.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (descriptor < 0) {
      const Error error = systemError("cannot create a socket", errno);
      if (why.size() + 1 == to.addresses.size()) return error;
      failed(error.message);
      continue;
    }
    Begun begun{Poco::Net::StreamSocket(new Poco::Net::StreamSocketImpl(descriptor)), 0};
    const int on = 1;
    ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (::connect(descriptor, reinterpret_cast<const sockaddr*>(&native), length) != 0 &&
        errno != EINPROGRESS && errno != EINTR) {
      begun.error = errno;
    }
    return begun;
  }
}

std::string Dialling::silence() const {
  return fmt::format("no answer in {:g} s", std::chrono::duration<double>(patience).count());
}

}  // namespace espalier::net
