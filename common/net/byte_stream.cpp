#include "common/net/byte_stream.h"

#include <Poco/Net/StreamSocketImpl.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/sendfile.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace espalier::net {
namespace {

using State = IoResult::State;

// The result of a system call on a non-blocking descriptor.
IoResult outcomeOf(ssize_t count, State whenFull, State whenNone) {
  if (count > 0) return {State::done, 0, static_cast<std::size_t>(count)};
  if (count == 0) return {whenNone, 0, 0};
  if (errno == EAGAIN || errno == EWOULDBLOCK) return {whenFull, 0, 0};
  return {State::failed, errno, 0};
}

template <typename Call>
ssize_t uninterrupted(Call call) {
  ssize_t count = 0;
  do {
    count = call();
  } while (count < 0 && errno == EINTR);
  return count;
}

}  // namespace

std::string reasonText(int errnoValue) {
  return std::generic_category().message(errnoValue);
}

IoResult ByteStream::read(std::span<std::byte> out) {
  if (!unread_) return readMore(out);
  const std::size_t bytes = std::min(out.size(), unread_->size());
  std::memcpy(out.data(), unread_->data(), bytes);
  unread_->erase(0, bytes);
  if (unread_->empty()) unread_.reset();
  return {State::done, 0, bytes};
}

void ByteStream::unread(std::string_view bytes) {
  if (bytes.empty()) return;
  if (!unread_) unread_ = std::make_unique<std::string>();
  unread_->insert(0, bytes);
}

void boundUnsent(int socket, std::size_t bytes) {
  const auto most = static_cast<int>(bytes);
  ::setsockopt(socket, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &most, sizeof most);
}

void ByteStream::cut() const {
  ::shutdown(descriptor(), SHUT_RDWR);
}

Address ByteStream::local() const {
  sockaddr_storage native{};
  socklen_t length = sizeof native;
  if (::getsockname(descriptor(), reinterpret_cast<sockaddr*>(&native), &length) != 0) return {};
  return Address::fromNative(native);
}

Address ByteStream::remote() const {
  sockaddr_storage native{};
  socklen_t length = sizeof native;
  if (::getpeername(descriptor(), reinterpret_cast<sockaddr*>(&native), &length) != 0) return {};
  return Address::fromNative(native);
}

TcpStream::TcpStream(Poco::Net::StreamSocket socket)
    : socket_(std::move(socket)), descriptor_(socket_.impl()->sockfd()) {}

TcpStream::~TcpStream() = default;

std::unique_ptr<TcpStream> TcpStream::adopt(FileDescriptor socket) {
  ::fcntl(socket.get(), F_SETFL, ::fcntl(socket.get(), F_GETFL) | O_NONBLOCK);
  const int on = 1;
  ::setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return std::make_unique<TcpStream>(
      Poco::Net::StreamSocket(new Poco::Net::StreamSocketImpl(socket.release())));
}

IoResult TcpStream::readMore(std::span<std::byte> out) {
  const auto count =
      uninterrupted([&] { return ::recv(descriptor_, out.data(), out.size(), MSG_DONTWAIT); });
  return outcomeOf(count, State::wantRead, State::ended);
}

IoResult TcpStream::write(std::string_view bytes, bool moreFollows) {
  const int flags = MSG_DONTWAIT | MSG_NOSIGNAL | (moreFollows ? MSG_MORE : 0);
  const auto count =
      uninterrupted([&] { return ::send(descriptor_, bytes.data(), bytes.size(), flags); });
  return outcomeOf(count, State::wantWrite, State::wantWrite);
}

IoResult TcpStream::sendFile(int file, std::uint64_t offset, std::size_t bytes) {
  auto at = static_cast<off_t>(offset);
  const auto count = uninterrupted([&] { return ::sendfile(descriptor_, file, &at, bytes); });
  return outcomeOf(count, State::wantWrite, State::ended);
}

IoResult TcpStream::endWriting() {
  ::shutdown(descriptor_, SHUT_WR);
  return {};
}

}  // namespace espalier::net
