#include "common/net/connection.h"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cassert>
#include <cerrno>
#include <system_error>
#include <utility>

#include "common/base/text.h"
#include "common/net/dialling.h"
#include "common/net/event_loop.h"

namespace espalier::net {
namespace {

std::string reasonText(int errnoValue) {
  return std::generic_category().message(errnoValue);
}

int socketError(int descriptor) {
  int error = 0;
  socklen_t length = sizeof error;
  ::getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length);
  return error;
}

Address localOf(int descriptor) {
  sockaddr_storage native{};
  socklen_t length = sizeof native;
  if (::getsockname(descriptor, reinterpret_cast<sockaddr*>(&native), &length) != 0) return {};
  return Address::fromNative(native);
}

}  // namespace

Connection::Connection(EventLoop& loop, ConnectionId id, ConnectionHandler& handler,
                       Poco::Net::StreamSocket socket, const Address& remote, State state)
    : loop_(&loop),
      handler_(&handler),
      id_(id),
      socket_(std::move(socket)),
      remote_(remote),
      descriptor_(socket_.impl()->sockfd()),
      state_(state) {}

Connection::~Connection() = default;

Endpoint Connection::localAddress() const {
  return localOf(descriptor_).endpoint();
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
  socket_.close();
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

Detached Connection::detach() {
  assert(state_ == State::open);
  Detached result{socket_, std::string(reader_.rest()), queue_.substr(sent_)};
  state_ = State::closed;
  [[maybe_unused]] const auto removed = loop_->control(EPOLL_CTL_DEL, descriptor_, 0, nullptr);
  result.socket.setBlocking(true);
  loop_->remove(*this, {}, true);
  return result;
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
    close(endError(socketError(descriptor_)));
  }
}

void Connection::onTimer(TimePoint) {
  if (dialling_ && !reason_) {
    return connectFailed(dialling_->silence(), ErrorCode::timeout);
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
  loop_->setTimer(*this, Clock::now() + dialling_->patience);
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
    if (const auto added = loop_->reconnect(*this, std::move(begun->socket)); !added) {
      return close(added.error());
    }
    if (error == 0) return loop_->setTimer(*this, Clock::now() + dialling_->patience);
    dialling_->failed(reasonText(error));
  }
  close({code, dialling_->failure()});
}

void Connection::finishConnecting() {
  if (const int error = socketError(descriptor_); error != 0) {
    return connectFailed(reasonText(error), ErrorCode::unavailable);
  }
  // A port of the ephemeral range on which nobody listens may be given to the very socket that
  // dials it: TCP then connects it to itself.
  if (remote_.port() != 0 && localOf(descriptor_) == remote_) {
    return connectFailed(reasonText(ECONNREFUSED), ErrorCode::unavailable);
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
  const auto count = ::recv(descriptor_, buffer.data(), buffer.size(), 0);
  if (count > 0) {
    reader_.append(std::string_view(buffer.data(), static_cast<std::size_t>(count)));
    deliver();
  } else if (count == 0) {
    close(endError(0));
  } else if (errno != EAGAIN && errno != EINTR) {
    close(endError(errno));
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
  const auto count = ::recv(descriptor_, buffer.data(), buffer.size(), 0);
  if (count > 0 || (count < 0 && (errno == EAGAIN || errno == EINTR))) return;
  if (count < 0 || queue_.empty()) return close(std::move(*reason_));
  ended_ = true;  // it sends no more, but may still read
  loop_->markDirty(*this);
}

bool Connection::flush() {
  const auto count =
      ::send(descriptor_, queue_.data() + sent_, queue_.size() - sent_, MSG_NOSIGNAL);
  if (count < 0) {
    if (errno == EAGAIN || errno == EINTR) {
      blocked_ = true;
      return true;
    }
    if (errno != EPIPE && errno != ECONNRESET) {
      close(state_ == State::finishing ? std::move(*reason_) : endError(errno));
      return false;
    }
    // It reads no more, but what it said before it went is still to be read; the end follows.
    shutDown_ = true;
    sent_ = queue_.size();
  } else {
    sent_ += static_cast<std::size_t>(count);
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
    ::shutdown(descriptor_, SHUT_WR);
    shutDown_ = true;
  }
  const auto wanted = wantedEvents();
  if (wanted == interest_) return;
  if (const auto changed = loop_->control(EPOLL_CTL_MOD, descriptor_, wanted, this); !changed) {
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
