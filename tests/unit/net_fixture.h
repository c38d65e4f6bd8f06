// Helpers of the tests of common/net: a loopback of their own. A handler that records its calls,
// a client that is nothing but a socket, and a loop with a listener.
#pragma once

#include <doctest/doctest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/net/address.h"
#include "common/net/event_loop.h"
#include "common/net/listener.h"

namespace espalier::net::test {

inline const Endpoint kAnyPort{"127.0.0.1", 0};

inline std::string framed(std::string_view payload) {
  std::string bytes;
  wire::appendFrame(payload, bytes);
  return bytes;
}

// A handler made of functions, which records its calls.
struct Recorder : ConnectionHandler, ListenerHandler {
  std::function<void(FramedConnection&)> opened;
  std::function<void(FramedConnection&, std::string_view)> frame;
  std::function<void(FramedConnection&)> drained;
  std::function<void(FramedConnection&, const Error&)> closed;
  std::uint64_t nextId = 2;
  int openedCount = 0;
  int frameCount = 0;
  int drainedCount = 0;
  std::vector<Error> ends;
  std::map<ConnectionId, int> endsOf;

  std::optional<Admission> onAccept(const Address&) override {
    const ConnectionId id{nextId};
    nextId += 2;
    return Admission{id, this};
  }
  void onOpened(FramedConnection& connection) override {
    ++openedCount;
    if (opened) opened(connection);
  }
  void onFrame(FramedConnection& connection, std::string_view payload) override {
    ++frameCount;
    if (frame) frame(connection, payload);
  }
  void onDrained(FramedConnection& connection) override {
    ++drainedCount;
    if (drained) drained(connection);
  }
  void onClosed(FramedConnection& connection, const Error& why) override {
    ends.push_back(why);
    ++endsOf[connection.id()];
    if (closed) closed(connection, why);
  }
};

// A client that is a plain socket, so that it can misbehave.
class RawClient {
 public:
  // `receiveBufferBytes`: the kernel's buffer for a client that does not read; 0: the default.
  explicit RawClient(const Endpoint& to, int receiveBufferBytes = 0)
      : descriptor_(::socket(AF_INET, SOCK_STREAM, 0)) {
    if (receiveBufferBytes != 0) {
      ::setsockopt(descriptor_, SOL_SOCKET, SO_RCVBUF, &receiveBufferBytes,
                   sizeof receiveBufferBytes);
    }
    sockaddr_storage native;
    const auto length = Address::fromEndpoint(to)->toNative(native);
    connected_ = ::connect(descriptor_, reinterpret_cast<sockaddr*>(&native), length) == 0;
  }
  ~RawClient() { close(); }
  RawClient(RawClient&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)), connected_(other.connected_) {}

  bool connected() const { return connected_; }
  int descriptor() const { return descriptor_; }
  void write(std::string_view bytes) const {
    while (!bytes.empty()) {
      const auto count = ::send(descriptor_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (count <= 0) return;
      bytes.remove_prefix(static_cast<std::size_t>(count));
    }
  }
  std::string read(std::size_t size) const {
    std::string bytes(size, '\0');
    const auto count = ::recv(descriptor_, bytes.data(), size, MSG_WAITALL);
    bytes.resize(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
    return bytes;
  }
  void finish() const { ::shutdown(descriptor_, SHUT_WR); }
  void close() {
    if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
  }
  void reset() {
    const linger now{1, 0};
    ::setsockopt(descriptor_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
  }

 private:
  int descriptor_;
  bool connected_;
};

// A loop with one listener. The recorder gets its connections.
struct Server : Recorder {
  std::unique_ptr<EventLoop> loop;
  std::unique_ptr<Listener> listener;
  explicit Server(std::shared_ptr<Budget> budget = nullptr)
      : loop(std::move(*EventLoop::create(std::move(budget)))) {
    auto opening = Listener::open(*loop, kAnyPort, *this);
    REQUIRE(opening.ok());
    listener = std::move(*opening);
  }
  const Endpoint& address() const { return listener->localAddress(); }
  // The loop is ended by an event, never by time.
  void stopOnceClosed() {
    closed = [this](FramedConnection&, const Error&) { loop->stop(); };
  }
};

inline void echo(FramedConnection& connection, std::string_view payload) {
  connection.send(payload);
}

}  // namespace espalier::net::test
