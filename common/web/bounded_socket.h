// The sockets of the page's server: POCO's, with bounds that hold whatever POCO's parsers read.
//
//   accepted --header--> asked --allowBody()--> body
//
//   an exception: limits::kWebHeaderBytes were read, with a body kWebBodyBytes more; or
//   limits::kWebRequestTime is over
//
// A piece of an answer has to be taken within limits::kWebTakeTime, and all pieces of one answer
// within twelve times as long, unless it is a stream.
//
// Exceptions are POCO's; they end the connection, and nothing else. A socket belongs to the thread
// that serves it, but for cut().
#pragma once

#include <Poco/Net/ServerSocket.h>
#include <Poco/Net/ServerSocketImpl.h>
#include <Poco/Net/StreamSocketImpl.h>

#include <cstddef>
#include <cstdint>

#include "common/base/clock.h"
#include "common/base/endpoint.h"
#include "common/base/limits.h"
#include "common/base/result.h"

namespace espalier::web {

class BoundedSocketImpl final : public Poco::Net::StreamSocketImpl {
 public:
  explicit BoundedSocketImpl(int descriptor);

  // The body may come, too. Its time is part of that of the request.
  void allowBody() { bytesMost_ = limits::kWebHeaderBytes + limits::kWebBodyBytes; }
  // An answer without an end: each piece has its own time, and nothing else counts.
  void answerForever() { isStream_ = true; }
  // Whether the client has closed, or sent what nobody asked for.
  bool hasClosed() const;
  int descriptor() const { return sockfd(); }

  int receiveBytes(void* buffer, int length, int flags) override;
  int sendBytes(const void* buffer, int length, int flags) override;

 private:
  void awaitReady(short event, TimePoint until) const;

  const TimePoint askedUntil_;
  std::size_t bytesMost_ = limits::kWebHeaderBytes;
  std::size_t bytes_ = 0;
  Duration waited_{};  // for the client to take the answer
  bool isStream_ = false;
};

// Accepts such sockets. Copies share one socket.
class BoundedServerSocket final : public Poco::Net::ServerSocket {
 public:
  // Binds and listens. `unavailable`: the address is taken.
  static Result<BoundedServerSocket> listen(const Endpoint& at);

 private:
  explicit BoundedServerSocket(Poco::Net::SocketImpl* impl) : ServerSocket(impl, true) {}
};

}  // namespace espalier::web
