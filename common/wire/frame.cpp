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
    clear();
  } else if (consumed_ > buffer_.size() / 2) {
    buffer_.erase(0, consumed_);
    consumed_ = 0;
  }
  buffer_.append(bytes);
}

Result<std::optional<std::string_view>> FrameReader::next() {
  const std::string_view unread = rest();
  if (unread.size() < limits::kFrameHeaderBytes) return std::optional<std::string_view>();
  const auto length = frameLength(unread.substr(0, limits::kFrameHeaderBytes));
  if (!length) return length.error();
  if (unread.size() - limits::kFrameHeaderBytes < *length) {
    return std::optional<std::string_view>();
  }
  consumed_ += limits::kFrameHeaderBytes + *length;
  return std::optional(unread.substr(limits::kFrameHeaderBytes, *length));
}

void FrameReader::clear() {
  buffer_.clear();
  consumed_ = 0;
  // An idle connection holds no buffer: with thousands of peers they would be most of the memory.
  if (buffer_.capacity() > 4096) buffer_.shrink_to_fit();
}

}  // namespace espalier::wire
