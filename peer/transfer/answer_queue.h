// The answers to one asker that were not sent yet: frames, small chunks among them, then the body
// of a large chunk, which is sent from its file (sendfile(2)).
//
// flush() sends what the asker takes, and stops at any byte; the next call goes on there. Bound:
// the owner queues nothing more once isMuch(), so it holds kMuchBytes, a frame and a small chunk
// more. Used by Upload, by one thread at a time. Blocks for the slice's patience, and in the rate
// limit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "common/base/result.h"
#include "common/net/blocking_stream.h"
#include "common/wire/transfer.h"
#include "peer/transfer/rate_limit.h"
#include "peer/transfer/upload_slots.h"

namespace espalier::transfer {

class AnswerQueue {
 public:
  static constexpr std::size_t kMuchBytes = 256 * 1024;

  // Both outlive this.
  AnswerQueue(net::BlockingStream& stream, const Pace& pace) : stream_(stream), pace_(pace) {}

  void add(const wire::TransferAnswer& answer);
  // Adds a chunk that `read` copies into the queue, or nothing if that returns false. Returns the
  // same.
  template <typename Read>
  bool addSmall(const wire::ChunkHeader& header, Read read) {
    const std::size_t before = frames_.size();
    add(header);
    const std::size_t start = frames_.size();
    frames_.resize(start + header.bytes);
    const bool isRead = read(std::as_writable_bytes(std::span(frames_).subspan(start)));
    if (!isRead) frames_.resize(before);
    return isRead;
  }
  // Adds a chunk whose bytes are in `file`. Nothing is added before it was flushed. If the file is
  // shorter by then, zeros are sent in place of the rest, or, without `mayLack`, flush() fails.
  void addLarge(const wire::ChunkHeader& header, int file, std::uint64_t offset, bool mayLack);

  bool empty() const { return frames_.empty() && !body_; }
  bool isMuch() const { return body_ || frames_.size() - sent_ >= kMuchBytes; }
  std::size_t heldBytes() const { return frames_.capacity(); }
  // Gives the memory of what was sent back, for an asker that asks for nothing more.
  void releaseSent() {
    if (frames_.empty()) std::string().swap(frames_);
  }
  // Whether nothing of a frame or a chunk was sent without the rest.
  bool isBetweenFrames() const { return sent_ == 0 && (!body_ || !frames_.empty()); }

  struct Flushed {
    std::uint64_t bytes = 0;  // that were taken
    // Nothing: all was sent.
    std::optional<UploadSlots::Next> paused = {};
    // The body of that many bytes was sent, and whether it was all of the file.
    std::uint64_t bodyBytes = 0;
    bool isWhole = true;
  };
  Result<Flushed> flush(const UploadSlots::Slice& slice);

 private:
  struct Body {
    int file = -1;
    std::uint64_t offset = 0;
    std::uint64_t left = 0;
    std::uint64_t bytes = 0;
    bool mayLack = false;
    bool isZeros = false;
  };
  Result<net::IoResult> sendSome(const UploadSlots::Slice& slice);

  net::BlockingStream& stream_;
  const Pace& pace_;
  std::string frames_;
  std::size_t sent_ = 0;  // of frames_
  std::optional<Body> body_;
  std::uint64_t granted_ = 0;  // of the body, by the rate limit
};

}  // namespace espalier::transfer
