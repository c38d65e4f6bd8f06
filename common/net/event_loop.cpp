#include "common/net/event_loop.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

namespace espalier::net {
namespace {

// What handlers do at the end of a round (send, close, dial) makes more to do; enough for chains
// that end, and one that does not leaves the sockets their turn.
constexpr int kFinishPasses = 4;

}  // namespace

Result<std::unique_ptr<EventLoop>> EventLoop::create() {
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  if (epoll < 0) return systemError("cannot create an epoll instance", errno);
  FileDescriptor wake(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!wake) {
    const Error error = systemError("cannot create an eventfd", errno);
    ::close(epoll);
    return error;
  }
  std::unique_ptr<EventLoop> loop(new EventLoop(epoll, std::move(wake)));
  const auto drain = [posted = loop->posted_.get()] { posted->drain(); };
  const auto added = loop->addWatch(loop->posted_->descriptor(), false, drain);
  if (!added) return added.error();
  return loop;
}

EventLoop::EventLoop(int epoll, FileDescriptor wake)
    : epoll_(epoll),
      posted_(std::make_shared<PostedFunctions>(std::move(wake))),
      readBuffer_(limits::kReadBytes) {}

EventLoop::~EventLoop() {
  posted_->close();
  closing_.clear();
  connections_.clear();
  watches_.clear();
  ::close(epoll_);
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

void EventLoop::round() {
  const bool unfinished = finishRound();
  const bool hurry = unfinished || !pending_.empty() || owing_;
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
  for (const auto& function : posted_->take()) function();
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
bool EventLoop::finishRound() {
  const auto idle = [&] { return dirty_.empty() && drained_.empty() && closing_.empty(); };
  for (int pass = 0; pass < kFinishPasses && !idle(); ++pass) finishRoundOnce();
  unwatched_.clear();
  return !idle();
}

void EventLoop::flush() {
  std::vector<ConnectionId> dirty;
  dirty.swap(dirty_);
  for (const ConnectionId id : dirty) {
    if (Connection* connection = find(id)) connection->finishRound();
  }
}

void EventLoop::finishRoundOnce() {
  flush();
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

Connection* EventLoop::find(ConnectionId id) {
  const auto found = connections_.find(id);
  return found == connections_.end() ? nullptr : found->second.get();
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
