#include "common/net/framed_connection.h"

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

// The turn of a guest, or of a connection that sends requests, in a round: there may be thousands.
constexpr int kFramesPerSlice = 8;
constexpr std::size_t kReadSliceBytes = 16 * 1024;

int socketError(int descriptor) {
  int error = 0;
  socklen_t length = sizeof error;
  ::getsockopt(descriptor, SOL_SOCKET, SO_ERROR, &error, &length);
  return error;
}

std::uint32_t eventFor(IoResult::State wanted) {
  return wanted == IoResult::State::wantRead ? EPOLLIN : EPOLLOUT;
}

}  // namespace

FramedConnection::FramedConnection(EventLoop& loop, ConnectionId id, ConnectionHandler& handler,
                                   State state)
    : loop_(&loop),
      handler_(&handler),
      id_(id),
      readOn_(EPOLLIN),
      writeOn_(EPOLLOUT),
      state_(state) {}

FramedConnection::~FramedConnection() = default;

Endpoint FramedConnection::localAddress() const {
  return stream_ ? stream_->local().endpoint() : Endpoint();
}

void FramedConnection::setRemote(const Address& remote) {
  remote_ = remote;
  account_ = loop_->budget_->account(Payer::host(remote.endpoint().host));
}

void FramedConnection::admit(const Payer& payer) {
  loop_->costs_.admit(*this, loop_->budget_->account(payer));
}

void FramedConnection::send(std::string_view payload) {
  const bool mayQueue =
      state_ == State::resolving || state_ == State::connecting || state_ == State::open;
  if (!mayQueue || sending_ == Sending::ended) return;
  queue_.appendFrame(payload);
  // The stream may take a burst larger than the queue at once: then the other end is not too slow.
  if (queue_.size() > limits::kQueueHighBytes && sending_ == Sending::ready &&
      state_ == State::open && !flush()) {
    return;
  }
  if (queue_.size() > limits::kQueueCloseBytes) {
    return close({ErrorCode::unavailable, fmt::format("{} reads too slowly: {} were waiting for it",
                                                      remote_.text(), formatSize(queue_.size()))});
  }
  queue_.checkHigh();
  loop_->markDirty(*this);
}

void FramedConnection::pauseReading() {
  if (receiving_ == Receiving::frames) receiving_ = Receiving::paused;
  loop_->markDirty(*this);
}

void FramedConnection::resumeReading() {
  if (receiving_ != Receiving::paused) return;
  receiving_ = Receiving::frames;
  if (state_ != State::open) return;
  if (frameSince_ != kNever) frameSince_ = Clock::now();
  if (!reader_.rest().empty() || stream_->pending() > 0) loop_->markPending(*this);
  loop_->markDirty(*this);
}

void FramedConnection::close(Error why) {
  if (state_ == State::closed) return;
  state_ = State::closed;
  stream_.reset();
  loop_->remove(*this, std::move(why));
}

void FramedConnection::closeAfterFlush(Error why) {
  if (state_ == State::resolving || state_ == State::connecting) return close(std::move(why));
  if (state_ != State::open) return;
  state_ = State::finishing;
  receiving_ = Receiving::discarding;
  reason_ = std::make_unique<Error>(std::move(why));
  loop_->setTimer(*this, Clock::now() + limits::kGoodbyeTimeout);
  loop_->markDirty(*this);
}

void FramedConnection::closeAt(TimePoint deadline, const char* why) {
  if (state_ == State::finishing || state_ == State::closed) return;
  lateFor_ = why;
  loop_->setTimer(*this, deadline);
}

void FramedConnection::keepOpen() {
  if (state_ != State::open) return;
  lateFor_ = nullptr;
  loop_->setTimer(*this, kNever);
}

std::unique_ptr<ByteStream> FramedConnection::detach() {
  assert(state_ == State::open);
  if (!queue_.isEmpty() && !flush()) return nullptr;
  if (!queue_.isEmpty()) {
    close({ErrorCode::unavailable, fmt::format("{} reads too slowly", remote_.text())});
    return nullptr;
  }
  stream_->unread(reader_.rest());
  stream_->boundUnsent(0);
  state_ = State::closed;
  loop_->release(*this);
  return std::move(stream_);
}

// --- connecting ---

// To the first of the addresses that does not refuse at once. An error if this machine cannot
// connect.
Result<void> FramedConnection::dial(Dialling dialling) {
  state_ = State::connecting;
  dialling_ = std::make_unique<Dialling>(std::move(dialling));
  return connectNext(ErrorCode::unavailable);
}

// Closes with `code` if no address is left.
Result<void> FramedConnection::connectNext(ErrorCode code) {
  while (!dialling_->isOver()) {
    auto begun = dialling_->begin();
    if (!begun) return begun.error();
    setRemote(dialling_->address());
    begun->stream->boundUnsent(limits::kQueueLowBytes);
    if (const auto attached = loop_->attach(*this, std::move(begun->stream)); !attached) {
      return attached;
    }
    if (begun->error == 0) {
      loop_->setTimer(*this, Clock::now() + dialling_->patience());
      return {};
    }
    code = ErrorCode::unavailable;
    dialling_->failed(reasonText(begun->error));
  }
  close({code, dialling_->failure()});
  return {};
}

void FramedConnection::connectFailed(std::string why, ErrorCode code) {
  dialling_->failed(std::move(why));
  if (const auto next = connectNext(code); !next) {
    dialling_->failed(next.error().message);
    close({code, dialling_->failure()});
  }
}

void FramedConnection::finishConnecting() {
  if (const int error = dialling_->outcome(*stream_); error != 0) {
    return connectFailed(reasonText(error), ErrorCode::unavailable);
  }
  state_ = State::open;
  dialling_.reset();
  keepOpen();
  loop_->markDirty(*this);
  handler_->onOpened(*this);
}

// --- called by the loop ---

void FramedConnection::onEvents(std::uint32_t events) {
  if (state_ == State::closed) return;  // by another handler, in this round
  if (state_ == State::connecting) return finishConnecting();
  if ((events & writeOn_) != 0 && sending_ == Sending::waiting) {
    sending_ = Sending::ready;
    loop_->markDirty(*this);
  }
  const bool broken = (events & (EPOLLERR | EPOLLHUP)) != 0;
  if ((events & readOn_) == 0 && !broken) return;
  switch (receiving_) {
    case Receiving::frames:
      if (!isHeldBack()) return receive();
      [[fallthrough]];
    case Receiving::paused:
      // It is not read, so epoll would report it in every round.
      if (broken && !pending_) close(endError(socketError(stream_->descriptor())));
      return;
    case Receiving::discarding:
    case Receiving::ended:
      return discard();
  }
}

void FramedConnection::onTimer(TimePoint) {
  if (state_ == State::finishing) return close(std::move(*reason_));
  if (lateFor_ == nullptr) {  // while connecting
    const std::chrono::duration<double> seconds = dialling_->patience();
    return connectFailed(fmt::format("no answer in {:g} s", seconds.count()), ErrorCode::timeout);
  }
  close({ErrorCode::timeout, lateFor_});
}

void FramedConnection::continueReading() {
  deliver();
  if (state_ == State::open && receiving_ == Receiving::frames && !pending_ &&
      stream_->pending() > 0) {
    receive();
  }
}

void FramedConnection::finishRound() {
  dirty_ = false;
  if (state_ == State::resolving || state_ == State::connecting) return;
  if (!queue_.isEmpty() && sending_ == Sending::ready && !flush()) return;
  if (state_ == State::finishing && queue_.isEmpty() && sending_ == Sending::ready) {
    if (receiving_ == Receiving::ended) return close(std::move(*reason_));
    sendEnd();
  }
  if (!loop_->costs_.chargeQueue(*this)) return;
  continueHeldBack();
  const auto wanted = wantedEvents();
  if (wanted == interest_) return;
  if (const auto changed = loop_->changeInterest(*this, wanted); !changed) close(changed.error());
}

std::uint32_t FramedConnection::wantedEvents() const {
  if (state_ == State::connecting) return EPOLLOUT;
  const bool reads =
      (receiving_ == Receiving::frames && !isHeldBack()) || receiving_ == Receiving::discarding;
  return (reads ? readOn_ : 0u) | (sending_ == Sending::waiting ? writeOn_ : 0u);
}

// --- receiving ---

void FramedConnection::receive() {
  if (pending_) return;  // the frames that came before are delivered first
  auto& buffer = loop_->readBuffer_;
  const auto slice = isServedInSlices() ? kReadSliceBytes : buffer.size();
  const auto got = stream_->read(std::as_writable_bytes(std::span(buffer).first(slice)));
  switch (got.state) {
    case IoResult::State::done:
      readOn_ = EPOLLIN;
      reader_.append(std::string_view(buffer.data(), got.bytes));
      if (stream_->pending() > 0) loop_->markPending(*this);
      return deliver();
    case IoResult::State::wantRead:
    case IoResult::State::wantWrite:
      readOn_ = eventFor(got.state);
      return loop_->markDirty(*this);
    case IoResult::State::ended:
    case IoResult::State::failed:
      return close(endError(got.error));
  }
}

void FramedConnection::deliver() {
  const int most = isServedInSlices() ? kFramesPerSlice : limits::kFramesPerRound;
  for (int delivered = 0; delivered < most; ++delivered) {
    if (state_ != State::open) return;
    if (receiving_ != Receiving::frames) return awaitOwner();
    if (isHeldBack() && sending_ == Sending::ready && !flush()) return;
    if (isHeldBack()) return awaitReader();
    const auto frame = reader_.next();
    if (!frame) {
      return close(
          {frame.error().code, fmt::format("{} sent {}", remote_.text(), frame.error().message)});
    }
    if (!*frame) return awaitFrame(delivered > 0);
    handler_->onFrame(*this, **frame);
  }
  if (state_ != State::open) return;
  frameSince_ = kNever;
  if (loop_->costs_.chargeReceived(*this)) loop_->markPending(*this);
}

// The owner has paused it. Of links there are few, and what waits there is bounded by their number.
void FramedConnection::awaitOwner() {
  if (isServedInSlices()) (void)loop_->costs_.chargeReceived(*this);
}

// What has arrived is less than a frame.
void FramedConnection::awaitFrame(bool delivered) {
  if (reader_.rest().empty()) {
    frameSince_ = kNever;
    return;
  }
  if (delivered || frameSince_ == kNever) frameSince_ = Clock::now();
  (void)loop_->costs_.chargeReceived(*this);
}

bool FramedConnection::isHeldBack() const {
  return answers_ && queue_.size() > limits::kUnreadAnswers;
}

// Until finishRound() finds that the other end has read its answers.
void FramedConnection::awaitReader() {
  if (state_ != State::open) return;
  heldBack_ = true;
  frameSince_ = kNever;
  if (loop_->costs_.chargeReceived(*this)) loop_->markDirty(*this);
}

void FramedConnection::continueHeldBack() {
  if (!heldBack_ || isHeldBack() || state_ != State::open) return;
  heldBack_ = false;
  if (!reader_.rest().empty() || stream_->pending() > 0) loop_->markPending(*this);
}

void FramedConnection::discard() {
  auto& buffer = loop_->readBuffer_;
  const auto got = stream_->read(std::as_writable_bytes(std::span(buffer)));
  if (got.state == IoResult::State::failed) return close(std::move(*reason_));
  if (got.state != IoResult::State::ended) return;
  if (queue_.isEmpty()) return close(std::move(*reason_));
  receiving_ = Receiving::ended;  // the other end may still read
  loop_->markDirty(*this);
}

Error FramedConnection::endError(int errnoValue) const {
  return {ErrorCode::unavailable,
          errnoValue == 0 ? fmt::format("{} closed the connection{}", remote_.text(),
                                        reader_.rest().empty() ? "" : " in the middle of a frame")
                          : fmt::format("the connection to {} broke: {}", remote_.text(),
                                        reasonText(errnoValue))};
}

// --- sending ---

bool FramedConnection::flush() {
  const auto put = stream_->write(queue_.unsent());
  switch (put.state) {
    case IoResult::State::done:
      queue_.remove(put.bytes);
      if (!queue_.isEmpty()) {
        sending_ = Sending::waiting;
        writeOn_ = EPOLLOUT;
      }
      break;
    case IoResult::State::wantRead:
    case IoResult::State::wantWrite:
      sending_ = Sending::waiting;
      writeOn_ = eventFor(put.state);
      return true;
    case IoResult::State::ended:
    case IoResult::State::failed:
      if (put.error != EPIPE && put.error != ECONNRESET) {
        close(state_ == State::finishing ? std::move(*reason_) : endError(put.error));
        return false;
      }
      // The other end has closed. What it sent before is still to be read; the end of the stream
      // follows.
      sending_ = Sending::ended;
      queue_.remove(queue_.size());
      break;
  }
  if (queue_.checkLow()) loop_->drained_.push_back(id_);
  return true;
}

// Once the queue of a finishing connection is empty.
void FramedConnection::sendEnd() {
  const auto put = stream_->endWriting();
  const bool waits =
      put.state == IoResult::State::wantRead || put.state == IoResult::State::wantWrite;
  sending_ = waits ? Sending::waiting : Sending::ended;
  if (waits) writeOn_ = eventFor(put.state);
}

}  // namespace espalier::net
