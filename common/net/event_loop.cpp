#include "common/net/event_loop.h"

#include <fmt/format.h>
#include <pthread.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <climits>
#include <csignal>
#include <utility>

#include "common/base/log.h"
#include "common/base/signals.h"
#include "common/net/dialling.h"

namespace espalier::net {
namespace {

// Handlers that are called at the end of a round may send, close and dial again. After so many
// passes the descriptors get their turn, even if such a chain of calls has not ended.
constexpr int kFinishPasses = 4;

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

Result<std::unique_ptr<EventLoop>> EventLoop::create(std::shared_ptr<Budget> budget) {
  auto poller = Poller::create();
  if (!poller) return poller.error();
  auto wakeUp = WakeUp::create();
  if (!wakeUp) return wakeUp.error();
  if (!budget) budget = std::make_shared<Budget>();
  std::unique_ptr<EventLoop> loop(
      new EventLoop(*std::move(poller), std::make_shared<PostedFunctions>(*std::move(wakeUp)),
                    std::move(budget)));
  const auto clear = [posted = loop->posted_.get()] { posted->clearWakeUp(); };
  const auto added = loop->addWatch(loop->posted_->descriptor(), false, clear);
  if (!added) return added.error();
  return loop;
}

EventLoop::EventLoop(Poller poller, std::shared_ptr<PostedFunctions> posted,
                     std::shared_ptr<Budget> budget)
    : poller_(std::move(poller)),
      posted_(std::move(posted)),
      budget_(std::move(budget)),
      readBuffer_(limits::kReadBytes) {}

EventLoop::~EventLoop() {
  posted_->close();
  closing_.clear();
  for (const auto& entry : connections_) costs_.release(*entry.second);
  connections_.clear();
}

void EventLoop::run() {
  posted_->runHere();
  while (!stopping_.load()) round();
  finishRound();
  stopping_ = false;
}

void EventLoop::stop() {
  stopping_ = true;
  posted_->wake();
}

void EventLoop::setTick(std::function<TimePoint()> deadline, std::function<void(TimePoint)> tick) {
  deadline_ = std::move(deadline);
  tick_ = std::move(tick);
}

// --- the steps of a round ---

void EventLoop::round() {
  const bool unfinished = finishRound();
  const bool hurry = unfinished || !pending_.empty() || owing_;
  const int count = poller_.wait(hurry ? 0 : waitMilliseconds());
  deliverPending();
  poller_.dispatch();
  runPosted();
  const TimePoint now = Clock::now();
  const TimePoint due = nextDeadline();
  if (now < due) {
    owing_ = false;
  } else if (mayJudge(now, due, count)) {
    timers_.run(now);
    log::tellLeftOut(now);
    if (deadline_ && deadline_() <= now) tick_(now);
  }
}

// True: something is left to do.
bool EventLoop::finishRound() {
  const auto idle = [&] { return dirty_.empty() && drained_.empty() && closing_.empty(); };
  for (int pass = 0; pass < kFinishPasses && !idle(); ++pass) finishRoundOnce();
  unwatched_.clear();
  return !idle();
}

void EventLoop::finishRoundOnce() {
  flush();
  scratch_.clear();
  scratch_.swap(drained_);
  for (const ConnectionId id : scratch_) {
    FramedConnection* connection = find(id);
    if (connection != nullptr && connection->isOpen()) connection->handler_->onDrained(*connection);
  }
  std::vector<Closing> closing;
  closing.swap(closing_);
  for (Closing& entry : closing) {
    if (entry.isTold) entry.connection->handler_->onClosed(*entry.connection, entry.why);
    entry.connection.reset();
  }
}

void EventLoop::flush() {
  std::vector<ConnectionId> dirty;
  dirty.swap(dirty_);
  for (const ConnectionId id : dirty) {
    if (FramedConnection* connection = find(id)) connection->finishRound();
  }
}

void EventLoop::deliverPending() {
  if (pending_.empty()) return;
  const auto turns = std::min<std::size_t>(pending_.size(), limits::kEventsPerRound);
  const auto end = pending_.begin() + static_cast<std::ptrdiff_t>(turns);
  scratch_.assign(pending_.begin(), end);
  pending_.erase(pending_.begin(), end);
  for (const ConnectionId id : scratch_) {
    FramedConnection* connection = find(id);
    if (connection == nullptr) continue;
    connection->pending_ = false;
    connection->continueReading();
  }
}

void EventLoop::runPosted() {
  for (const auto& function : posted_->take()) function();
}

// Called while a timer is due. False: another round of reading comes first.
bool EventLoop::mayJudge(TimePoint now, TimePoint due, int eventCount) {
  if (!owing_) {
    // `due` may be TimePoint::min(), which nothing may be subtracted from.
    if (due >= now - limits::kStall && eventCount < limits::kEventsPerRound) return true;
    owing_ = true;
    // epoll reports ready descriptors in turn: after so many rounds each connection has had one.
    roundsOwed_ = 1 + connections_.size() / limits::kEventsPerRound;
    return false;
  }
  const bool quiet = eventCount == 0 && pending_.empty();
  if (!quiet && --roundsOwed_ > 0) return false;
  owing_ = false;
  return true;
}

TimePoint EventLoop::nextDeadline() const {
  const TimePoint own = std::min(timers_.next(), log::tellDue());
  return deadline_ ? std::min(own, deadline_()) : own;
}

int EventLoop::waitMilliseconds() const {
  const TimePoint due = nextDeadline();
  if (due == kNever) return -1;
  const TimePoint now = Clock::now();
  if (due <= now) return 0;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(due - now).count();
  return static_cast<int>(std::min<std::int64_t>(left, INT_MAX));
}

// --- signals and watched descriptors ---

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
  const auto added = poller_.add(descriptor, EPOLLIN, *watch);
  if (added) watches_.emplace(descriptor, std::move(watch));
  return added;
}

void EventLoop::unwatch(int descriptor) {
  const auto found = watches_.find(descriptor);
  if (found == watches_.end()) return;
  poller_.remove(descriptor);
  forget(*found->second);
  unwatched_.push_back(std::move(found->second));  // its function may be running now
  watches_.erase(found);
}

// --- connections ---

Result<FramedConnection*> EventLoop::dial(ConnectionId id, const Endpoint& to,
                                          ConnectionHandler& handler, Duration timeout) {
  const auto address = Address::fromEndpoint(to);
  if (!address) return address.error();
  return dial(id, Target{to, {*address}}, handler, timeout);
}

Result<FramedConnection*> EventLoop::dial(ConnectionId id, Target to, ConnectionHandler& handler,
                                          Duration timeout) {
  auto connection = insert(id, handler, FramedConnection::State::connecting);
  if (!connection) return connection;
  if (const auto begun = (*connection)->dial(Dialling(std::move(to), timeout)); !begun) {
    forget(**connection);
    connections_.erase(id);
    return begun.error();
  }
  return connection;
}

Result<FramedConnection*> EventLoop::dialName(ConnectionId id, const Endpoint& to, NamedBy who,
                                              ConnectionHandler& handler, Duration timeout,
                                              Resolver& resolver) {
  if (auto known = resolver.literal(to)) {
    if (!*known) return known->error();
    return dial(id, **std::move(known), handler, timeout);
  }
  auto connection = insert(id, handler, FramedConnection::State::resolving);
  if (!connection) return connection;
  resolver.start(to, who, [this, posted = posted_, id, timeout](Result<Target> target) {
    // Does not run if the loop is closed by then.
    posted->post(
        [this, id, timeout, target = std::move(target)] { resolved(id, target, timeout); });
  });
  return connection;
}

void EventLoop::resolved(ConnectionId id, Result<Target> target, Duration timeout) {
  FramedConnection* connection = find(id);
  if (connection == nullptr) return;  // closed meanwhile
  if (!target) return connection->close(target.error());
  const auto begun = connection->dial(Dialling(*std::move(target), timeout));
  if (!begun) connection->close(begun.error());
}

Result<FramedConnection*> EventLoop::adopt(ConnectionId id, std::unique_ptr<ByteStream> stream,
                                           const Address& remote, ConnectionHandler& handler) {
  auto connection = insert(id, handler, FramedConnection::State::open);
  if (!connection) return connection;
  (*connection)->setRemote(remote);
  if (const auto attached = attach(**connection, std::move(stream)); !attached) {
    connections_.erase(id);
    return attached.error();
  }
  return connection;
}

Result<FramedConnection*> EventLoop::insert(ConnectionId id, ConnectionHandler& handler,
                                            FramedConnection::State state) {
  if (connections_.size() >= limits::kConnections) {
    return Error{ErrorCode::failed,
                 fmt::format("there are {} connections; no more are allowed", connections_.size())};
  }
  std::unique_ptr<FramedConnection> connection(new FramedConnection(*this, id, handler, state));
  const auto [place, isNew] = connections_.emplace(id, std::move(connection));
  assert(isNew);
  return place->second.get();
}

// Replaces the connection's stream; drops this round's events of the old one.
Result<void> EventLoop::attach(FramedConnection& connection, std::unique_ptr<ByteStream> stream) {
  forget(connection);
  connection.stream_ = std::move(stream);
  connection.interest_ = connection.wantedEvents();
  return poller_.add(connection.stream_->descriptor(), connection.interest_, connection);
}

Result<void> EventLoop::changeInterest(FramedConnection& connection, std::uint32_t events) {
  connection.interest_ = events;
  return poller_.change(connection.stream_->descriptor(), events, connection);
}

// The stream goes to another owner.
void EventLoop::release(FramedConnection& connection) {
  poller_.remove(connection.stream_->descriptor());
  remove(connection, {});
  closing_.back().isTold = false;
}

void EventLoop::remove(FramedConnection& connection, Error why) {
  setTimer(connection, kNever);
  costs_.release(connection);
  const auto found = connections_.find(connection.id());
  closing_.push_back({std::move(found->second), std::move(why)});
  connections_.erase(found);
}

void EventLoop::forget(EventSource& source) {
  poller_.forget(source);
  setTimer(source, kNever);
}

FramedConnection* EventLoop::find(ConnectionId id) {
  const auto found = connections_.find(id);
  return found == connections_.end() ? nullptr : found->second.get();
}

void EventLoop::markDirty(FramedConnection& connection) {
  if (std::exchange(connection.dirty_, true)) return;
  dirty_.push_back(connection.id());
}

void EventLoop::markPending(FramedConnection& connection) {
  if (std::exchange(connection.pending_, true)) return;
  pending_.push_back(connection.id());
}

}  // namespace espalier::net
