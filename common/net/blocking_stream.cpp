#include "common/net/blocking_stream.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <climits>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "common/base/text.h"
#include "common/net/dialling.h"

namespace espalier::net {
namespace {

using State = IoResult::State;

Error interruptedError() {
  return {ErrorCode::interrupted, "interrupted"};
}

// True: one of `events` (or an error) came. False: the time has passed, or it was interrupted.
bool pollFor(int descriptor, short events, int interrupter, Duration within) {
  std::array<pollfd, 2> polled{pollfd{descriptor, events, 0}, pollfd{interrupter, POLLIN, 0}};
  const TimePoint now = Clock::now();
  const TimePoint end = within < kNever - now ? now + within : kNever;
  while (true) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - Clock::now()).count();
    const auto milliseconds = static_cast<int>(std::clamp<std::int64_t>(left, 0, INT_MAX));
    const int ready = ::poll(polled.data(), polled.size(), milliseconds);
    if (ready >= 0 || errno != EINTR) return ready > 0 && polled[0].revents != 0;
  }
}

}  // namespace

BlockingStream::BlockingStream(std::unique_ptr<ByteStream> stream, Duration silence,
                               const Interrupter& interrupter)
    : stream_(std::move(stream)), silence_(silence), interrupter_(interrupter) {}

// Until it moved bytes or ended, or nothing came `within` that time.
template <typename Call>
Result<IoResult> BlockingStream::attempt(Call call, Duration within) const {
  while (true) {
    if (interrupter_.interrupted()) return interruptedError();
    const IoResult result = call();
    switch (result.state) {
      case State::done:
      case State::ended:
        return result;
      case State::failed:
        return systemError("the connection failed", result.error);
      case State::wantRead:
      case State::wantWrite: {
        const short events = result.state == State::wantRead ? POLLIN : POLLOUT;
        if (within > Duration::zero() &&
            pollFor(stream_->descriptor(), events, interrupter_.descriptor(), within)) {
          continue;
        }
        if (interrupter_.interrupted()) return interruptedError();
        return result;
      }
    }
  }
}

// Until it moved bytes or ended.
template <typename Call>
Result<IoResult> BlockingStream::repeat(Call call) const {
  auto result = attempt(call, silence_);
  if (result && result->state != State::done && result->state != State::ended) {
    return Error{ErrorCode::timeout, "nothing came for too long"};
  }
  return result;
}

Result<std::size_t> BlockingStream::read(std::span<std::byte> out) {
  std::optional<TimePoint> begun;
  const auto result = repeat([&] {
    const IoResult got = stream_->read(out);
    if (leastRate_ > 0 && !begun && got.state != State::done) begun = Clock::now();
    return got;
  });
  if (!result) return result.error();
  if (result->state == State::ended) return Error{ErrorCode::io, "the connection was closed"};
  std::atomic_ref(received_).fetch_add(result->bytes, std::memory_order_relaxed);
  if (leastRate_ > 0) {
    const Duration waited = begun ? Clock::now() - *begun : Duration::zero();
    if (auto judged = judgeRate(waited, result->bytes); !judged) return judged.error();
  }
  return result->bytes;
}

std::uint64_t BlockingStream::receivedBytes() const {
  return std::atomic_ref(received_).load(std::memory_order_relaxed);
}

void BlockingStream::atLeast(std::uint64_t bytesPerSecond, Duration window) {
  leastRate_ = bytesPerSecond;
  window_ = window;
  measureAgain();
}

void BlockingStream::measureAgain() {
  waited_ = Duration::zero();
  came_ = 0;
}

Result<void> BlockingStream::judgeRate(Duration waited, std::size_t bytes) {
  waited_ += waited;
  came_ += bytes;
  if (waited_ < window_) return {};
  const std::chrono::duration<double> seconds(waited_);
  if (static_cast<double>(came_) < seconds.count() * static_cast<double>(leastRate_)) {
    return Error{ErrorCode::timeout, fmt::format("sends less than {} bytes a second", leastRate_)};
  }
  measureAgain();
  return {};
}

Result<IoResult> BlockingStream::readSome(std::span<std::byte> out, Duration within) {
  return attempt([&] { return stream_->read(out); }, within);
}

Result<IoResult> BlockingStream::writeSome(std::string_view bytes, Duration within,
                                           bool moreFollows) {
  return attempt([&] { return stream_->write(bytes, moreFollows); }, within);
}

Result<IoResult> BlockingStream::sendFileSome(int file, std::uint64_t offset, std::uint64_t bytes,
                                              Duration within) {
  return attempt([&] { return stream_->sendFile(file, offset, bytes); }, within);
}

Result<void> BlockingStream::readAll(std::span<std::byte> out, Duration gathering) {
  while (!out.empty()) {
    if (gathering > Duration{} && stream_->pending() == 0) {
      int there = 0;
      ::ioctl(stream_->descriptor(), FIONREAD, &there);
      if (static_cast<std::size_t>(there) < std::min(out.size(), kGatherBytes)) {
        std::this_thread::sleep_for(gathering);
      }
    }
    const auto got = read(out);
    if (!got) return got.error();
    out = out.subspan(*got);
  }
  return {};
}

bool BlockingStream::awaitReadable(Duration within) const {
  return stream_->pending() > 0 ||
         pollFor(stream_->descriptor(), POLLIN, interrupter_.descriptor(), within);
}

Result<void> BlockingStream::write(std::string_view bytes, bool moreFollows) {
  while (!bytes.empty()) {
    const auto result = repeat([&] { return stream_->write(bytes, moreFollows); });
    if (!result) return result.error();
    bytes.remove_prefix(result->bytes);
  }
  return {};
}

bool BlockingStream::isWritable() const {
  return pollFor(stream_->descriptor(), POLLOUT, -1, {});
}

bool BlockingStream::tryWrite(std::string_view bytes) {
  const auto result = stream_->write(bytes);
  return result.state == State::done && result.bytes == bytes.size();
}

void BlockingStream::endWriting() {
  (void)repeat([&] { return stream_->endWriting(); });
}

namespace {

// The reason why the address could not be connected to, with the code `io`, `timeout` or
// `interrupted`.
Result<std::unique_ptr<ByteStream>> connectNext(Dialling& dialling,
                                                const Interrupter& interrupter) {
  auto begun = dialling.begin();
  if (!begun) return Error{ErrorCode::io, begun.error().message};
  int error = begun->error;
  if (error == 0) {
    const bool answered = pollFor(begun->stream->descriptor(), POLLOUT, interrupter.descriptor(),
                                  dialling.patience());
    if (interrupter.interrupted()) return interruptedError();
    if (!answered) {
      return Error{ErrorCode::timeout,
                   fmt::format("no answer within {}", formatDuration(dialling.patience()))};
    }
    error = dialling.outcome(*begun->stream);
  }
  if (error != 0) return Error{ErrorCode::io, reasonText(error)};
  return std::unique_ptr<ByteStream>(std::move(begun->stream));
}

}  // namespace

Result<std::unique_ptr<ByteStream>> dialBlocking(const Endpoint& to, Duration timeout,
                                                 const Interrupter& interrupter,
                                                 Resolver& resolver) {
  auto target = resolver.resolve(to, NamedBy::others, interrupter.token(), timeout);
  if (!target) {
    const auto& error = target.error();
    return error.code == ErrorCode::unavailable ? Error{ErrorCode::io, error.message} : error;
  }
  Dialling dialling(*std::move(target), timeout);
  ErrorCode code = ErrorCode::io;
  while (!dialling.isOver()) {
    auto stream = connectNext(dialling, interrupter);
    if (stream || stream.error().code == ErrorCode::interrupted) return stream;
    code = stream.error().code;
    dialling.failed(stream.error().message);
  }
  return Error{code, dialling.failure()};
}

}  // namespace espalier::net
