#include "peer/transfer/holder_connection.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <variant>

#include "common/base/text.h"

namespace espalier::transfer {
HolderConnection::HolderConnection(Endpoint endpoint, Timeouts timeouts, Interrupter& interrupter,
                                   wire::Purpose purpose)
    : endpoint_(std::move(endpoint)), timeouts_(timeouts), interrupter_(interrupter) {
  wire::Hello hello;
  hello.purpose = purpose;
  wire::appendFrame(wire::encode(hello), out_);
}

HolderConnection::~HolderConnection() {
  close();
}

void HolderConnection::close() {
  if (socket_) interrupter_.remove(socket_.get());
  socket_.reset();
}

void HolderConnection::queue(const wire::TransferRequest& request) {
  wire::appendFrame(wire::encode(request), out_);
}

Result<void> HolderConnection::open() {
  auto socket = dial(endpoint_, timeouts_.dial, interrupter_);
  if (!socket) return socket.error();
  socket_ = std::move(*socket);
  makeBlocking(socket_.get(), timeouts_.silence);
  if (auto sent = flush(); !sent) return sent;
  auto frame = receiveFrame();
  if (!frame) return frame.error();
  auto welcome = wire::decodeWelcome(*frame);
  if (!welcome) return Error{welcome.error().code, escaped(welcome.error().message)};
  return {};
}

Result<void> HolderConnection::flush() {
  auto sent = sendAll(socket_.get(), out_);
  out_.clear();
  return sent;
}

Result<wire::TransferAnswer> HolderConnection::receive(Duration patience) {
  const TimePoint begun = Clock::now();
  while (true) {
    auto frame = receiveFrame();
    if (!frame) return frame.error();
    auto answer = wire::decodeTransferAnswer(*frame);
    const auto* waiting = answer ? std::get_if<wire::Waiting>(&*answer) : nullptr;
    const std::uint32_t place = waiting == nullptr ? 0 : waiting->place;
    if (std::exchange(place_, place) != place && waiting_) waiting_(place);
    if (waiting == nullptr) return answer;
    if (Clock::now() - begun > patience) return Error{ErrorCode::timeout, "it has nothing to send"};
  }
}

// Valid until the next call.
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
    const auto received =
        receiveSome(socket_.get(), std::as_writable_bytes(std::span(in_)).subspan(before));
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
  return receiveAll(socket_.get(), out.subspan(there), pace, gathering_);
}

Result<std::vector<wire::FileEntry>> listShared(const Holder& holder, Timeouts timeouts,
                                                Interrupter& interrupter, std::string_view below) {
  HolderConnection connection(holder.endpoint, timeouts, interrupter);
  std::vector<wire::FileEntry> files;
  // Nothing has this very name; what comes after it begins with it, as far as that goes.
  wire::ListRequest request{std::string(below)};
  connection.queue(request);
  if (auto opened = connection.open(); !opened) return opened.error();
  while (true) {
    auto answer = connection.receive();
    if (!answer) return answer.error();
    if (const auto* failure = std::get_if<wire::TransferFailure>(&*answer)) {
      return Error{ErrorCode::failed, escaped(failure->message)};
    }
    auto* page = std::get_if<wire::FileList>(&*answer);
    if (!page) return Error{ErrorCode::protocol, "another answer than the list asked for"};
    for (auto& file : page->files) {
      if (files.size() == limits::kListFiles || !file.name.starts_with(below)) return files;
      files.push_back(std::move(file));
    }
    if (!page->more) return files;
    if (files.back().name <= request.after) {
      return Error{ErrorCode::protocol, "a list that does not go on in the order of its names"};
    }
    request.after = files.back().name;
    connection.queue(request);
    if (auto sent = connection.flush(); !sent) return sent.error();
  }
}

}  // namespace espalier::transfer
