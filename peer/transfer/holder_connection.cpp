#include "peer/transfer/holder_connection.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <variant>

#include "common/base/text.h"
#include "common/net/handshake.h"
#include "peer/transfer/fetch_problem.h"
#include "peer/transfer/paced_stream.h"

namespace espalier::transfer {
namespace {

// An answer may be short, and be awaited for a round trip around the world: so many bytes it
// counts.
constexpr std::uint64_t kAnswerCredit = 1024;

}  // namespace

HolderConnection::HolderConnection(Endpoint endpoint, Timeouts timeouts,
                                   net::Interrupter& interrupter, wire::Purpose purpose)
    : endpoint_(std::move(endpoint)),
      timeouts_(timeouts),
      interrupter_(interrupter),
      isPush_(purpose == wire::Purpose::push) {
  out_ = net::helloFrame(purpose);
}

void HolderConnection::queue(const wire::TransferRequest& request) {
  wire::appendFrame(wire::encode(request), out_);
}

Result<void> HolderConnection::open() {
  auto dialled = net::dialBlocking(endpoint_, timeouts_.dial, interrupter_);
  if (!dialled) return dialled.error();
  stream_.emplace(std::move(*dialled), timeouts_.silence, interrupter_);
  stream_->atLeast(timeouts_.rateLeast, timeouts_.rateWindow);
  if (auto sent = flush(); !sent) return sent;
  auto frame = receiveFrame();
  if (!frame) return frame.error();
  auto welcome = net::readWelcome(*frame);
  isBusy_ = !welcome && welcome.error().code == ErrorCode::timeout;
  return welcome;
}

Result<void> HolderConnection::flush() {
  auto sent = stream_->write(out_);
  out_.clear();
  return sent;
}

Result<wire::TransferAnswer> HolderConnection::receive(Duration patience) {
  const TimePoint begun = Clock::now();
  if (!isPush_) patience = std::min(patience, timeouts_.waiting);
  while (true) {
    auto frame = receiveFrame();
    if (!frame) return frame.error();
    auto answer = wire::decodeTransferAnswer(*frame);
    const auto* waiting = answer ? std::get_if<wire::Waiting>(&*answer) : nullptr;
    const std::uint32_t position = waiting == nullptr ? 0 : waiting->position;
    if (std::exchange(position_, position) != position && waiting_) waiting_(position);
    if (waiting == nullptr) {
      stream_->credit(kAnswerCredit);
      return answer;
    }
    stream_->measureAgain();
    if (Clock::now() - begun > patience) return Error{ErrorCode::timeout, "it has nothing to send"};
  }
}

bool HolderConnection::saysChanged(Duration within) {
  if (used_ == in_.size() && !stream_->awaitReadable(within)) return false;
  const auto answer = receive(within);
  const auto* failure = answer ? std::get_if<wire::TransferFailure>(&*answer) : nullptr;
  return failure != nullptr && failure->problem == wire::TransferProblem::changed;
}

void HolderConnection::drain(Duration within) {
  const TimePoint end = Clock::now() + within;
  stream_->endWriting();
  std::array<std::byte, 64 * 1024> dropped;
  for (TimePoint now = Clock::now(); now < end; now = Clock::now()) {
    if (!stream_->awaitReadable(end - now) || !stream_->read(dropped)) return;
  }
}

// Reads a whole frame. Its payload is valid until the next call.
Result<std::string_view> HolderConnection::receiveFrame() {
  std::size_t wanted = limits::kFrameHeaderBytes;
  while (true) {
    const std::string_view unread = std::string_view(in_).substr(used_);
    if (unread.size() >= limits::kFrameHeaderBytes) {
      const auto length = wire::frameLength(unread.substr(0, limits::kFrameHeaderBytes));
      if (!length) return length.error();
      wanted = limits::kFrameHeaderBytes + *length;
      if (unread.size() >= wanted) {
        used_ += wanted;
        return unread.substr(limits::kFrameHeaderBytes, *length);
      }
    }
    in_.erase(0, std::exchange(used_, 0));
    const std::size_t before = in_.size();
    in_.resize(std::max(before + readAhead_, wanted));
    const auto received = stream_->read(std::as_writable_bytes(std::span(in_)).subspan(before));
    in_.resize(before + (received ? *received : 0));
    if (!received) return received.error();
  }
}

Result<void> HolderConnection::receiveBytes(std::span<std::byte> out) {
  const Pace pace{rate_, interrupter_.token()};
  const std::size_t there = std::min(out.size(), in_.size() - used_);
  pace.takeAll(there);
  std::memcpy(out.data(), in_.data() + used_, there);
  used_ += there;
  return receiveAll(*stream_, out.subspan(there), pace, gathering_);
}

}  // namespace espalier::transfer
