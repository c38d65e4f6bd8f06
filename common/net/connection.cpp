#include "common/net/connection.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cassert>
#include <cerrno>
#include <chrono>
#include <span>
#include <utility>

#include "common/base/text.h"
#include "common/net/dialling.h"
#include "common/net/event_loop.h"

namespace espalier::net {
namespace {

int socketError(int descriptor) {
  int error = 0;
  socklen_t length = sizeof error;
  ::getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length);
  return error;
}

}  // namespace

Connection::Connection(EventLoop& loop, ConnectionId id, ConnectionHandler& handler,
                       std::unique_ptr<ByteStream> stream, const Address& remote, State state)
    : loop_(&loop),
      handler_(&handler),
      id_(id),
      stream_(std::move(stream)),
      remote_(remote),
      state_(state) {}

Connection::~Connection() = default;

Endpoint Connection::localAddress() const {
  return stream_ ? stream_->local().endpoint() : Endpoint();
}

void Connection::send(std::string_view payload) {
  if ((state_ != State::open && state_ != State::connecting) || shutDown_) return;
  wire::appendFrame(payload, queue_);
  // A burst larger than the queue may be what the socket takes at once: then nobody is too slow.
  if (queuedBytes() > limits::kQueueHighBytes && !blocked_ && state_ == State::open && !flush()) {
    return;
  }
  if (queuedBytes() > limits::kQueueCloseBytes) {
    return close({ErrorCode::unavailable, fmt::format("{} reads too slowly: {} were waiting for it",
                                                      remote_.text(), formatSize(queuedBytes()))});
  }
  if (queuedBytes() > limits::kQueueHighBytes) congested_ = true;
  loop_->markDirty(*this);
}

void Connection::pauseReading() {
  paused_ = true;
  loop_->markDirty(*this);
}

void Connection::resumeReading() {
  if (!paused_) return;
  paused_ = false;
  if (state_ != State::open) return;
  if (!reader_.rest().empty()) loop_->markPending(*this);
  loop_->markDirty(*this);
}

void Connection::close(Error why) {
  if (state_ == State::closed) return;
  state_ = State::closed;
  stream_.reset();
  loop_->remove(*this, std::move(why), false);
}

void Connection::closeAfterFlush(Error why) {
  if (state_ == State::connecting) return close(std::move(why));
  if (state_ != State::open) return;
  state_ = State::finishing;
  reason_ = std::make_unique<Error>(std::move(why));
  loop_->setTimer(*this, Clock::now() + limits::kGoodbyeTimeout);
  loop_->markDirty(*this);
}

void Connection::closeAt(TimePoint deadline, Error why) {
  if (state_ != State::open && state_ != State::connecting) return;
  reason_ = std::make_unique<Error>(std::move(why));
  loop_->setTimer(*this, deadline);
}

void Connection::keepOpen() {
  if (state_ != State::open) return;
  reason_.reset();
  loop_->setTimer(*this, kNever);
}

std::unique_ptr<ByteStream> Connection::detach() {
  assert(state_ == State::open);
  if (!queue_.empty() && !flush()) return nullptr;
  if (!queue_.empty()) {
    close({ErrorCode::unavailable, fmt::format("{} reads too slowly", remote_.text())});
    return nullptr;
  }
  stream_->unread(reader_.rest());
  state_ = State::closed;
  [[maybe_unused]] const auto removed =
      loop_->control(EPOLL_CTL_DEL, stream_->descriptor(), 0, nullptr);
  loop_->remove(*this, {}, true);
  return std::move(stream_);
}

void Connection::onEvents(std::uint32_t events) {
  if (state_ == State::connecting) return finishConnecting();
  if ((events & EPOLLOUT) != 0) {
    blocked_ = false;
    loop_->markDirty(*this);
  }
  const bool broken = (events & (EPOLLERR | EPOLLHUP)) != 0;
  if ((events & EPOLLIN) == 0 && !broken) return;
  if (state_ == State::finishing) {
    discard();
  } else if (state_ == State::open && !paused_ && !ended_) {
    receive();
  } else if (state_ == State::open && broken && !pending_) {
    // It is not being read, and would come up in every round.
    close(endError(socketError(stream_->descriptor())));
  }
}

void Connection::onTimer(TimePoint) {
  if (dialling_ && !reason_) {
    const std::chrono::duration<double> seconds = dialling_->patience();
    return connectFailed(fmt::format("no answer in {:g} s", seconds.count()), ErrorCode::timeout);
  }
  close(std::move(*reason_));
}

Error Connection::endError(int errnoValue) const {
  return {ErrorCode::unavailable,
          errnoValue == 0 ? fmt::format("{} closed the connection{}", remote_.text(),
                                        reader_.rest().empty() ? "" : " in the middle of a frame")
                          : fmt::format("the connection to {} broke: {}", remote_.text(),
                                        reasonText(errnoValue))};
}

// The first of its addresses is being connected to, or failed at once.
void Connection::dial(std::unique_ptr<Dialling> dialling, int errnoValue) {
  dialling_ = std::move(dialling);
  if (errnoValue != 0) return connectFailed(reasonText(errnoValue), ErrorCode::unavailable);
  loop_->setTimer(*this, Clock::now() + dialling_->patience());
}

// On to the next address, if there is one.
void Connection::connectFailed(std::string why, ErrorCode code) {
  dialling_->failed(std::move(why));
  while (!dialling_->isOver()) {
    auto begun = dialling_->begin();
    if (!begun) {
      dialling_->failed(begun.error().message);
      break;
    }
    const int error = begun->error;
    remote_ = dialling_->address();
    if (const auto added = loop_->reconnect(*this, std::move(begun->stream)); !added) {
      return close(added.error());
    }
    if (error == 0) return loop_->setTimer(*this, Clock::now() + dialling_->patience());
    dialling_->failed(reasonText(error));
  }
  close({code, dialling_->failure()});
}

void Connection::finishConnecting() {
  if (const int error = dialling_->outcome(*stream_); error != 0) {
    return connectFailed(reasonText(error), ErrorCode::unavailable);
  }
  state_ = State::open;
  dialling_.reset();
  keepOpen();
  loop_->markDirty(*this);
  handler_->onOpened(*this);
}

void Connection::receive() {
  if (pending_) return;  // what came before has to be delivered first
  auto& buffer = loop_->readBuffer_;
  const auto got = stream_->read(std::as_writable_bytes(std::span(buffer)));
  switch (got.state) {
    case IoResult::State::done:
      reader_.append(std::string_view(buffer.data(), got.bytes));
      return deliver();
    case IoResult::State::ended:
    case IoResult::State::failed:
      return close(endError(got.error));
    default:
      return;
  }
}

void Connection::deliver() {
  for (int delivered = 0; delivered < limits::kFramesPerRound; ++delivered) {
    if (state_ != State::open || paused_) return;
    const auto frame = reader_.next();
    if (!frame) {
      return close(
          {frame.error().code, fmt::format("{} sent {}", remote_.text(), frame.error().message)});
    }
    if (!*frame) return;
    handler_->onFrame(*this, **frame);
  }
  loop_->markPending(*this);
}

void Connection::discard() {
  auto& buffer = loop_->readBuffer_;
  const auto got = stream_->read(std::as_writable_bytes(std::span(buffer)));
  if (got.state == IoResult::State::failed) return close(std::move(*reason_));
  if (got.state != IoResult::State::ended) return;
  if (queue_.empty()) return close(std::move(*reason_));
  ended_ = true;  // it sends no more, but may still read
  loop_->markDirty(*this);
}

bool Connection::flush() {
  const auto put = stream_->write(std::string_view(queue_).substr(sent_));
  if (put.state == IoResult::State::failed) {
    if (put.error != EPIPE && put.error != ECONNRESET) {
      close(state_ == State::finishing ? std::move(*reason_) : endError(put.error));
      return false;
    }
    // It reads no more, but what it said before it went is still to be read; the end follows.
    shutDown_ = true;
    sent_ = queue_.size();
  } else if (put.state != IoResult::State::done) {
    blocked_ = true;
    return true;
  } else {
    sent_ += put.bytes;
  }
  if (sent_ == queue_.size()) {
    std::string().swap(queue_);  // an idle connection holds no buffer
    sent_ = 0;
  } else {
    blocked_ = true;
    if (sent_ > queue_.size() / 2) {
      queue_.erase(0, sent_);
      sent_ = 0;
    }
  }
  if (congested_ && queuedBytes() < limits::kQueueLowBytes) {
    congested_ = false;
    loop_->drained_.push_back(id_);
  }
  return true;
}

void Connection::finishRound() {
  dirty_ = false;
  if (state_ == State::connecting) return;
  if (!queue_.empty() && !blocked_ && !flush()) return;
  if (state_ == State::finishing && queue_.empty() && !shutDown_) {
    if (ended_) return close(std::move(*reason_));
    stream_->endWriting();
    shutDown_ = true;
  }
  const auto wanted = wantedEvents();
  if (wanted == interest_) return;
  if (const auto changed = loop_->control(EPOLL_CTL_MOD, stream_->descriptor(), wanted, this);
      !changed) {
    return close(changed.error());
  }
  interest_ = wanted;
}

std::uint32_t Connection::wantedEvents() const {
  if (state_ == State::connecting) return EPOLLOUT;
  const bool reading = !ended_ && (!paused_ || state_ == State::finishing);
  return (reading ? EPOLLIN : 0u) | (blocked_ ? EPOLLOUT : 0u);
}

}  // namespace espalier::net
