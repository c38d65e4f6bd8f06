// The bytes that a FramedConnection has queued for its stream, and whether they are too many.
//
//   flowing --more than limits::kQueueHighBytes queued--> congested
//      ^----------less than limits::kQueueLowBytes-----------'
//
// An empty queue holds no buffer. Not thread-safe. Cost: each byte is moved O(1) times.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/limits.h"
#include "common/wire/frame.h"

namespace espalier::net {

class SendQueue {
 public:
  void appendFrame(std::string_view payload) { wire::appendFrame(payload, bytes_); }
  std::string_view unsent() const { return std::string_view(bytes_).substr(sent_); }
  std::size_t size() const { return bytes_.size() - sent_; }
  bool isEmpty() const { return size() == 0; }
  // Of the buffer; 0 when it is empty.
  std::size_t capacityBytes() const { return isEmpty() ? 0 : bytes_.capacity(); }

  // The first `count` bytes were written.
  void remove(std::size_t count) {
    sent_ += static_cast<std::uint32_t>(count);
    if (sent_ == bytes_.size()) {
      std::string().swap(bytes_);
      sent_ = 0;
    } else if (sent_ > bytes_.size() / 2) {
      bytes_.erase(0, sent_);
      sent_ = 0;
    }
  }

  bool isCongested() const { return congested_; }
  void checkHigh() { congested_ = congested_ || size() > limits::kQueueHighBytes; }
  // True once, when the congestion has ended.
  bool checkLow() {
    if (!congested_ || size() >= limits::kQueueLowBytes) return false;
    congested_ = false;
    return true;
  }

 private:
  std::string bytes_;       // the first sent_ bytes were written
  std::uint32_t sent_ = 0;  // a queue is closed long before 4 GiB
  bool congested_ = false;
};

}  // namespace espalier::net
