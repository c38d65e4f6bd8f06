#include "common/net/listener.h"

#include <Poco/Exception.h>
#include <Poco/Net/SocketAddress.h>
#include <Poco/Net/StreamSocketImpl.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <utility>

#include "common/base/file_descriptor.h"
#include "common/base/log.h"
#include "common/net/address.h"
#include "common/net/byte_stream.h"

namespace espalier::net {
namespace {

constexpr rlim_t kDescriptorsKept = 48;

Error listenError(const Endpoint& at, const Poco::Exception& exception) {
  // Only these two failures concern the port.
  const bool isPort = exception.code() == EADDRINUSE || exception.code() == EACCES;
  std::string why = std::generic_category().message(exception.code());
  if (exception.code() == 0) why = exception.displayText();
  if (exception.code() == EADDRINUSE) why = "the port is in use by another process";
  if (exception.code() == EADDRNOTAVAIL) why = "this machine has no such address";
  return {isPort ? ErrorCode::unavailable : ErrorCode::io,
          fmt::format("cannot listen on {}: {}", at.text(), why)};
}

// The last descriptors are for the program's files and for what it dials. The kernel gives the
// lowest free one, so one of the last means that all before it are in use. This is the first of
// them, or none is.
int firstOfTheLast() {
  rlimit limit{};
  const bool isKnown = ::getrlimit(RLIMIT_NOFILE, &limit) == 0;
  if (!isKnown || limit.rlim_cur < 8 * kDescriptorsKept || limit.rlim_cur > INT_MAX) return INT_MAX;
  return static_cast<int>(limit.rlim_cur - kDescriptorsKept);
}

}  // namespace

Result<std::unique_ptr<Listener>> Listener::open(EventLoop& loop, const Endpoint& at,
                                                 ListenerHandler& handler) {
  const auto address = Address::fromEndpoint(at);
  if (!address) return address.error();
  try {
    sockaddr_storage native;
    const socklen_t length = address->toNative(native);
    const Poco::Net::SocketAddress bound(reinterpret_cast<const sockaddr*>(&native), length);
    Poco::Net::ServerSocket socket;
    // Address reuse lets a restart take the port at once; port reuse would let two processes share
    // it unnoticed.
    socket.bind(bound, true, false);
    socket.setNoDelay(true);  // what it accepts inherits it
    socket.listen(limits::kListenBacklog);
    return adopt(loop, std::move(socket), handler);
  } catch (const Poco::Exception& exception) {
    return listenError(at, exception);
  }
}

Result<std::unique_ptr<Listener>> Listener::open(EventLoop& loop, const Target& at,
                                                 ListenerHandler& handler) {
  auto addresses = at.addresses;
  std::stable_partition(addresses.begin(), addresses.end(),
                        [](const Address& address) { return !address.isV6(); });
  Error last;
  for (const auto& address : addresses) {
    auto listener = open(loop, address.endpoint(), handler);
    // Where the port is in use, listening on another address of the name would split it between two
    // processes.
    if (listener || listener.error().code == ErrorCode::unavailable) return listener;
    last = listener.error();
  }
  if (addresses.size() == 1 && addresses[0].text() == at.asked.text()) return last;
  return Error{last.code, fmt::format("cannot listen on {}: {}", at.text(), last.message)};
}

Result<std::unique_ptr<Listener>> Listener::adopt(EventLoop& loop, Poco::Net::ServerSocket socket,
                                                  ListenerHandler& handler) {
  const int descriptor = socket.impl()->sockfd();
  socket.setBlocking(false);
  ::fcntl(descriptor, F_SETFD, FD_CLOEXEC);
  boundUnsent(descriptor, limits::kQueueLowBytes);  // what it accepts inherits it
  std::unique_ptr<Listener> listener(new Listener(loop, std::move(socket), handler));
  if (const auto added = loop.poller_.add(descriptor, EPOLLIN, *listener); !added) {
    return added.error();
  }
  return listener;
}

Listener::Listener(EventLoop& loop, Poco::Net::ServerSocket socket, ListenerHandler& handler)
    : loop_(loop),
      handler_(handler),
      socket_(std::move(socket)),
      firstOfTheLast_(firstOfTheLast()) {
  sockaddr_storage native{};
  socklen_t length = sizeof native;
  ::getsockname(socket_.impl()->sockfd(), reinterpret_cast<sockaddr*>(&native), &length);
  local_ = Address::fromNative(native).endpoint();
}

Listener::~Listener() {
  loop_.forget(*this);
  if (destroyed_ != nullptr) *destroyed_ = true;
}

void Listener::onEvents(std::uint32_t) {
  for (int accepted = 0; accepted < limits::kAcceptsPerRound; ++accepted) {
    if (!acceptOne()) return;
  }
}

void Listener::onTimer(TimePoint) {
  if (const auto resumed = loop_.poller_.change(socket_.impl()->sockfd(), EPOLLIN, *this);
      !resumed) {
    pause(resumed.error());
  }
}

// Whether to accept another one in this round.
bool Listener::acceptOne() {
  if (loop_.connectionCount() >= limits::kConnections && !loop_.costs_.closeOldestGuest()) {
    pause({ErrorCode::failed, fmt::format("{} connections are open", loop_.connectionCount())});
    return false;
  }
  if (fewDescriptors_ && !isRoomForDescriptors()) return false;
  sockaddr_storage native{};
  socklen_t length = sizeof native;
  const int descriptor = ::accept4(socket_.impl()->sockfd(), reinterpret_cast<sockaddr*>(&native),
                                   &length, SOCK_NONBLOCK | SOCK_CLOEXEC);
  if (descriptor < 0) {
    if (errno == EAGAIN) return false;
    const bool exhausted =
        errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
    if (!exhausted) return true;  // the error is of that connection alone
    const Error why = systemError("accept", errno);
    if (loop_.costs_.closeOldestGuest()) return true;
    pause(why);
    return false;
  }
  if (std::exchange(paused_, false)) {
    log::info(Payer(), "accepting connections on {} again", local_.text());
  }
  fewDescriptors_ = descriptor >= firstOfTheLast_;

  auto stream = std::make_unique<TcpStream>(
      Poco::Net::StreamSocket(new Poco::Net::StreamSocketImpl(descriptor)));
  const Address remote = Address::fromNative(native);
  EventLoop& loop = loop_;
  bool destroyed = false;
  destroyed_ = &destroyed;
  const auto admission = handler_.onAccept(remote);
  if (admission) {
    const auto added = loop.adopt(admission->id, std::move(stream), remote, *admission->handler);
    if (added && loop.costs_.chargeGuest(**added)) {
      admission->handler->onOpened(**added);
    } else if (!added) {
      log::warning(Payer::host(remote.endpoint().host), "dropped a connection from {}: {}",
                   remote.text(), added.error().message);
    }
  }
  if (destroyed) return false;
  destroyed_ = nullptr;
  return true;
}

// The last accepted connection had one of the last descriptors. True: it is not so any more, or a
// guest was closed.
bool Listener::isRoomForDescriptors() {
  const FileDescriptor next(::fcntl(socket_.impl()->sockfd(), F_DUPFD_CLOEXEC, 0));
  // Without any, accept4() tells the reason.
  if (!next || next.get() < firstOfTheLast_) return true;
  if (loop_.costs_.closeOldestGuest()) return true;
  pause({ErrorCode::failed, fmt::format("{} connections are open, and few descriptors are left",
                                        loop_.connectionCount())});
  return false;
}

void Listener::pause(const Error& why) {
  if (!std::exchange(paused_, true)) {
    log::warning(Payer(), "not accepting connections on {}: {}; trying again until it works",
                 local_.text(), why.message);
  }
  [[maybe_unused]] const auto changed = loop_.poller_.change(socket_.impl()->sockfd(), 0, *this);
  loop_.setTimer(*this, Clock::now() + limits::kAcceptPause);
}

}  // namespace espalier::net
