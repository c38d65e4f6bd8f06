// A frame: a 4-byte big-endian length, then that many bytes of one protobuf message.
//
//   00 00 00 05  68 65 6c 6c 6f
//
// The length is checked against limits::kFrameBytes before anything is allocated. An empty frame is
// allowed. The first frame of a connection is a Hello (hello.h), which has the purpose of the
// connection.
//
// Used by common/net and by the blocking streams of transfers.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/limits.h"
#include "common/base/result.h"

namespace espalier::wire {

// Appends the frame of `payload` to `out`. Asserts that the payload is within the limit.
void appendFrame(std::string_view payload, std::string& out);

// Reads the length in a frame header (exactly 4 bytes). An error of code `protocol` if it is above
// the limit.
Result<std::size_t> frameLength(std::string_view header);

// Cuts a stream of bytes into frames.
//
//   reader.append(received);
//   while (true) {
//     auto frame = reader.next();
//     if (!frame) return drop(frame.error());   // all later calls fail, too
//     if (!*frame) break;                       // needs more bytes
//     use(**frame);                             // valid until the next call of append or next
//   }
//
// Holds the bytes that were appended and not returned yet. When next() needs more bytes, that is
// less than one frame; between frames it holds no buffer. Not thread-safe. Cost: each byte is
// copied O(1) times.
class FrameReader {
 public:
  void append(std::string_view bytes);
  Result<std::optional<std::string_view>> next();

  // The bytes that were appended and not returned yet: raw bytes behind a frame.
  std::string_view rest() const { return std::string_view(buffer_).substr(consumed_); }
  void clear();
  std::size_t capacityBytes() const { return buffer_.capacity(); }

 private:
  void release();

  std::string buffer_;
  std::size_t consumed_ = 0;
};

}  // namespace espalier::wire
