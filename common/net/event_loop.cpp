#include "common/net/event_loop.h"

#include <Poco/Net/StreamSocketImpl.h>
#include <fmt/format.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <climits>
#include <csignal>

namespace espalier::net {
namespace {

// What handlers do at the end of a round (send, close, dial) makes more to do; enough for chains
// that end, and one that does not leaves the sockets their turn.
constexpr int kSettlePasses = 4;

}  // namespace

class EventLoop::Watch final : public EventSource {
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

Result<std::unique_ptr<EventLoop>> EventLoop::create() {
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) return systemError("cannot create an epoll instance", errno);
  const int wake = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  if (wake < 0) {
    const Error error = systemError("cannot create an eventfd", errno);
    ::close(epoll);
    return error;
  }
  std::unique_ptr<EventLoop> loop(new EventLoop(epoll, wake));
  const auto drain = [wake] {
    std::uint64_t count = 0;
    [[maybe_unused]] const auto got = ::read(wake, &count, sizeof count);
  };
  if (const auto added = loop->addWatch(wake, true, drain); !added) return added.error();
  return loop;
}

EventLoop::EventLoop(int epoll, int wake)
    : epoll_(epoll), wake_(wake), readBuffer_(limits::kReadBytes) {}

EventLoop::~EventLoop() {
  closing_.clear();
  connections_.clear();
  watches_.clear();
  ::close(epoll_);
}

void EventLoop::run() {
  while (!stopping_.load()) round();
  settle();
  stopping_ = false;
}

void EventLoop::stop() {
  stopping_ = true;
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_, &one, sizeof one);
}

void EventLoop::post(std::function<void()> function) {
  const bool first = posted_.with([&](auto& posted) {
    assert(posted.size() < limits::kPostedFunctions);
    posted.push_back(std::move(function));
    return posted.size() == 1;
  });
  if (!first) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const auto written = ::write(wake_, &one, sizeof one);
}

void EventLoop::setTick(std::function<TimePoint()> deadline, std::function<void(TimePoint)> tick) {
  deadline_ = std::move(deadline);
  tick_ = std::move(tick);
}

void EventLoop::round() {
  const bool unsettled = settle();
  const bool hurry = unsettled || !pending_.empty() || owing_;
  const int count =
      ::epoll_wait(epoll_, events_.data(), limits::kEventsPerRound, hurry ? 0 : waitMilliseconds());
  deliverPending();
  dispatch(std::max(count, 0));
  runPosted();
  const TimePoint now = Clock::now();
  const TimePoint due = nextDeadline();
  if (now < due) {
    owing_ = false;
  } else if (mayJudge(now, due, count)) {
    runTimers(now);
  }
}

void EventLoop::dispatch(int count) {
  eventCount_ = count;
  for (nextEvent_ = 0; nextEvent_ < eventCount_;) {
    const epoll_event& event = events_[static_cast<std::size_t>(nextEvent_++)];
    auto* source = static_cast<EventSource*>(event.data.ptr);
    if (source != nullptr) source->onEvents(event.events);
  }
}

void EventLoop::deliverPending() {
  scratch_.clear();
  scratch_.swap(pending_);
  for (const ConnectionId id : scratch_) {
    Connection* connection = find(id);
    if (connection == nullptr) continue;
    connection->pending_ = false;
    connection->deliver();
  }
}

void EventLoop::runPosted() {
  std::vector<std::function<void()>> functions;
  posted_.with([&](auto& posted) { posted.swap(functions); });
  for (const auto& function : functions) function();
}

// Called while something is due; false: another round of reading comes first.
bool EventLoop::mayJudge(TimePoint now, TimePoint due, int eventCount) {
  if (!owing_) {
    if (now - due <= limits::kStall && eventCount < limits::kEventsPerRound) return true;
    owing_ = true;
    // epoll hands out what is ready in turn: after so many rounds each connection has had one.
    roundsOwed_ = 1 + connections_.size() / limits::kEventsPerRound;
    return false;
  }
  const bool quiet = eventCount <= 0 && pending_.empty();
  if (!quiet && --roundsOwed_ > 0) return false;
  owing_ = false;
  return true;
}

void EventLoop::runTimers(TimePoint now) {
  while (!timers_.empty() && timers_.begin()->first <= now) {
    EventSource* source = timers_.begin()->second;
    timers_.erase(timers_.begin());
    source->timer_ = kNever;
    source->onTimer(now);
  }
  if (deadline_ && deadline_() <= now) tick_(now);
}

TimePoint EventLoop::nextDeadline() const {
  const TimePoint timer = timers_.empty() ? kNever : timers_.begin()->first;
  return deadline_ ? std::min(timer, deadline_()) : timer;
}

int EventLoop::waitMilliseconds() const {
  const TimePoint due = nextDeadline();
  if (due == kNever) return -1;
  const TimePoint now = Clock::now();
  if (due <= now) return 0;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(due - now).count();
  return static_cast<int>(std::min<std::int64_t>(left, INT_MAX));
}

// Whether something is left to do.
bool EventLoop::settle() {
  const auto idle = [&] { return dirty_.empty() && drained_.empty() && closing_.empty(); };
  for (int pass = 0; pass < kSettlePasses && !idle(); ++pass) settleOnce();
  unwatched_.clear();
  return !idle();
}

void EventLoop::settleOnce() {
  scratch_.clear();
  scratch_.swap(dirty_);
  for (const ConnectionId id : scratch_) {
    if (Connection* connection = find(id)) connection->settle();
  }
  scratch_.clear();
  scratch_.swap(drained_);
  for (const ConnectionId id : scratch_) {
    Connection* connection = find(id);
    if (connection != nullptr && connection->isOpen()) connection->handler_->onDrained(*connection);
  }
  std::vector<Closing> closing;
  closing.swap(closing_);
  for (Closing& entry : closing) {
    if (!entry.told) entry.connection->handler_->onClosed(*entry.connection, entry.why);
    entry.connection.reset();
  }
}

Result<void> EventLoop::addSignalHandler(std::initializer_list<int> signals,
                                         std::function<void(int)> handler) {
  sigset_t set;
  ::sigemptyset(&set);
  for (const int signal : signals) ::sigaddset(&set, signal);
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
  sockaddr_storage native;
  const socklen_t length = address->toNative(native);
  const int descriptor =
      ::socket(native.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
  if (descriptor < 0) return systemError("cannot create a socket", errno);
  Poco::Net::StreamSocket socket(new Poco::Net::StreamSocketImpl(descriptor));
  const int on = 1;
  ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  const int error =
      ::connect(descriptor, reinterpret_cast<const sockaddr*>(&native), length) == 0 ? 0 : errno;
  const auto added = add(id, std::move(socket), *address, handler, Connection::State::connecting);
  if (!added) return added.error();
  if (error != 0 && error != EINPROGRESS && error != EINTR) {
    (*added)->close((*added)->connectError(error));
  } else {
    const auto seconds = std::chrono::duration<double>(timeout).count();
    (*added)->closeAt(Clock::now() + timeout,
                      {ErrorCode::timeout, fmt::format("cannot connect to {}: no answer in {:g} s",
                                                       to.text(), seconds)});
  }
  return added;
}

Result<Connection*> EventLoop::adopt(ConnectionId id, Poco::Net::StreamSocket socket,
                                     const Address& remote, ConnectionHandler& handler) {
  socket.setBlocking(false);
  return add(id, std::move(socket), remote, handler, Connection::State::open);
}

Connection* EventLoop::find(ConnectionId id) {
  const auto found = connections_.find(id);
  return found == connections_.end() ? nullptr : found->second.get();
}

Result<Connection*> EventLoop::add(ConnectionId id, Poco::Net::StreamSocket socket,
                                   const Address& remote, ConnectionHandler& handler,
                                   Connection::State state) {
  if (connections_.size() >= limits::kConnections) {
    return Error{ErrorCode::failed,
                 fmt::format("there are {} connections; no more are allowed", connections_.size())};
  }
  std::unique_ptr<Connection> connection(
      new Connection(*this, id, handler, std::move(socket), remote, state));
  const auto wanted = connection->wantedEvents();
  const auto added = control(EPOLL_CTL_ADD, connection->descriptor(), wanted, connection.get());
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

void EventLoop::setTimer(EventSource& source, TimePoint at) {
  if (source.timer_ == at) return;
  if (source.timer_ != kNever) timers_.erase({source.timer_, &source});
  source.timer_ = at;
  if (at != kNever) timers_.emplace(at, &source);
}

void EventLoop::remove(Connection& connection, Error why, bool told) {
  setTimer(connection, kNever);
  const auto found = connections_.find(connection.id());
  closing_.push_back({std::move(found->second), std::move(why), told});
  connections_.erase(found);
}

void EventLoop::markDirty(Connection& connection) {
  if (std::exchange(connection.dirty_, true)) return;
  dirty_.push_back(connection.id());
}

void EventLoop::markPending(Connection& connection) {
  if (std::exchange(connection.pending_, true)) return;
  pending_.push_back(connection.id());
}

}  // namespace espalier::net
