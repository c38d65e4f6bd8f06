#include "common/wire/frame.h"

#include <fmt/format.h>

#include <cassert>
#include <cstdint>

namespace espalier::wire {

void appendFrame(std::string_view payload, std::string& out) {
  assert(payload.size() <= limits::kFrameBytes);
  const auto length = static_cast<std::uint32_t>(payload.size());
  const char header[limits::kFrameHeaderBytes] = {
      static_cast<char>(length >> 24), static_cast<char>(length >> 16),
      static_cast<char>(length >> 8), static_cast<char>(length)};
  out.append(header, sizeof header);
  out.append(payload);
}

Result<std::size_t> frameLength(std::string_view header) {
  assert(header.size() == limits::kFrameHeaderBytes);
  std::size_t length = 0;
  for (const char c : header) length = length << 8 | static_cast<unsigned char>(c);
  if (length > limits::kFrameBytes) {
    return Error{ErrorCode::protocol, fmt::format("a frame of {} bytes; at most {} are allowed",
                                                  length, limits::kFrameBytes)};
  }
  return length;
}

void FrameReader::append(std::string_view bytes) {
  if (consumed_ == buffer_.size()) {
    buffer_.clear();
    consumed_ = 0;
  } else if (consumed_ > buffer_.size() / 2) {
    buffer_.erase(0, consumed_);
    consumed_ = 0;
  }
  buffer_.append(bytes);
}

Result<std::optional<std::string_view>> FrameReader::next() {
  const std::string_view unread = rest();
  std::size_t wanted = limits::kFrameHeaderBytes;
  if (unread.size() >= wanted) {
    const auto length = frameLength(unread.substr(0, wanted));
    if (!length) return length.error();
    wanted += *length;
  }
  if (unread.size() < wanted) {
    release();
    return std::optional<std::string_view>();
  }
  consumed_ += wanted;
  return std::optional(
      unread.substr(limits::kFrameHeaderBytes, wanted - limits::kFrameHeaderBytes));
}

void FrameReader::clear() {
  std::string().swap(buffer_);
  consumed_ = 0;
}

// An idle connection holds no buffer. One that received many frames and then the first byte of
// another one keeps a small buffer. With thousands of connections, buffers would be most of the
// memory.
void FrameReader::release() {
  if (consumed_ == buffer_.size()) return clear();
  if (consumed_ == 0 || rest().size() > buffer_.capacity() / 4) return;
  std::string(rest()).swap(buffer_);  // an assignment would keep the large buffer
  consumed_ = 0;
}

}  // namespace espalier::wire
