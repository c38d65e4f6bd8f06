// What an EventLoop waits for: how connections, watched descriptors and signals get into it and
// out.
#include <fmt/format.h>
#include <pthread.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cassert>
#include <cerrno>
#include <csignal>

#include "common/base/signals.h"
#include "common/net/dialling.h"
#include "common/net/event_loop.h"

namespace espalier::net {
namespace {

class Watch final : public EventSource {
 public:
  Watch(int descriptor, bool owned, std::function<void()> readable)
      : descriptor_(descriptor), owned_(owned), readable_(std::move(readable)) {}
  ~Watch() override {
    if (owned_) ::close(descriptor_);
  }

 private:
  void onEvents(std::uint32_t) override { readable_(); }

  const int descriptor_;
  const bool owned_;
  const std::function<void()> readable_;
};

}  // namespace

Result<void> EventLoop::addSignalHandler(std::initializer_list<int> signals,
                                         std::function<void(int)> handler) {
  const sigset_t set = signalsNotIgnored(signals);
  const int descriptor = ::signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
  if (descriptor < 0) return systemError("cannot create a signalfd", errno);
  if (const int error = ::pthread_sigmask(SIG_BLOCK, &set, nullptr); error != 0) {
    ::close(descriptor);
    return systemError("cannot block signals", error);
  }
  return addWatch(descriptor, true, [descriptor, handler = std::move(handler)] {
    signalfd_siginfo info{};
    while (::read(descriptor, &info, sizeof info) == sizeof info) {
      handler(static_cast<int>(info.ssi_signo));
    }
  });
}

Result<void> EventLoop::watch(int descriptor, std::function<void()> readable) {
  return addWatch(descriptor, false, std::move(readable));
}

Result<void> EventLoop::addWatch(int descriptor, bool owned, std::function<void()> readable) {
  assert(!watches_.contains(descriptor));
  auto watch = std::make_unique<Watch>(descriptor, owned, std::move(readable));
  const auto added = control(EPOLL_CTL_ADD, descriptor, EPOLLIN, watch.get());
  if (added) watches_.emplace(descriptor, std::move(watch));
  return added;
}

void EventLoop::unwatch(int descriptor) {
  const auto found = watches_.find(descriptor);
  if (found == watches_.end()) return;
  [[maybe_unused]] const auto removed = control(EPOLL_CTL_DEL, descriptor, 0, nullptr);
  forget(*found->second);
  unwatched_.push_back(std::move(found->second));  // its function may be the one that runs
  watches_.erase(found);
}

Result<Connection*> EventLoop::dial(ConnectionId id, const Endpoint& to, ConnectionHandler& handler,
                                    Duration timeout) {
  const auto address = Address::fromEndpoint(to);
  if (!address) return address.error();
  return dial(id, Target{to, {*address}}, handler, timeout);
}

Result<Connection*> EventLoop::dial(ConnectionId id, Target to, ConnectionHandler& handler,
                                    Duration timeout) {
  auto dialling = std::make_unique<Dialling>(std::move(to), timeout);
  auto begun = dialling->begin();
  if (!begun) return begun.error();
  const Address address = dialling->address();
  const auto added =
      add(id, std::move(begun->stream), address, handler, Connection::State::connecting);
  if (!added) return added.error();
  (*added)->dial(std::move(dialling), begun->error);
  return added;
}

// Another socket for a connection whose last one did not get through.
Result<void> EventLoop::reconnect(Connection& connection, std::unique_ptr<ByteStream> stream) {
  forget(connection);  // what this round has of the last one
  connection.stream_ = std::move(stream);
  return control(EPOLL_CTL_ADD, connection.stream_->descriptor(), connection.interest_,
                 &connection);
}

Result<Connection*> EventLoop::adopt(ConnectionId id, std::unique_ptr<ByteStream> stream,
                                     const Address& remote, ConnectionHandler& handler) {
  return add(id, std::move(stream), remote, handler, Connection::State::open);
}

Result<Connection*> EventLoop::add(ConnectionId id, std::unique_ptr<ByteStream> stream,
                                   const Address& remote, ConnectionHandler& handler,
                                   Connection::State state) {
  if (connections_.size() >= limits::kConnections) {
    return Error{ErrorCode::failed,
                 fmt::format("there are {} connections; no more are allowed", connections_.size())};
  }
  std::unique_ptr<Connection> connection(
      new Connection(*this, id, handler, std::move(stream), remote, state));
  const auto wanted = connection->wantedEvents();
  const auto added =
      control(EPOLL_CTL_ADD, connection->stream_->descriptor(), wanted, connection.get());
  if (!added) return added.error();
  connection->interest_ = wanted;
  const auto [place, isNew] = connections_.emplace(id, std::move(connection));
  assert(isNew);
  return place->second.get();
}

Result<void> EventLoop::control(int operation, int descriptor, std::uint32_t events,
                                EventSource* source) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = source;
  if (::epoll_ctl(epoll_, operation, descriptor, &event) == 0) return {};
  return systemError("cannot wait for a descriptor", errno);
}

void EventLoop::forget(EventSource& source) {
  for (int i = nextEvent_; i < eventCount_; ++i) {
    epoll_event& event = events_[static_cast<std::size_t>(i)];
    if (event.data.ptr == &source) event.data.ptr = nullptr;
  }
  setTimer(source, kNever);
}

}  // namespace espalier::net
