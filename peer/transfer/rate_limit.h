// A limit of bytes a second, shared by any number of threads. A thread asks before it sends or
// receives, and gets a slice in its turn, so that all threads get the same rate.
//
//   pace = {&limit, interrupter.token()};
//   while (left > 0) left -= sendSome(pace.take(left));
//
// One limit for all uploads and one for all downloads, owned by the peer's shell. RateBucket is the
// arithmetic, on its caller's clock. Only RateLimit is thread-safe.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>
#include <stop_token>

#include "common/base/clock.h"

namespace espalier::transfer {

// Grants no more than the rate in any second, plus a tenth of it after a pause.
class RateBucket {
 public:
  // Bytes a second, at least 1. Forgets earlier grants and pauses.
  void set(std::uint64_t bytesPerSecond, TimePoint now);
  // When the next slice may go.
  TimePoint free() const { return free_; }
  // How many of the `wanted` bytes go at that moment, which is free() or later; at least one.
  std::size_t take(std::size_t wanted, TimePoint now);

 private:
  std::uint64_t rate_ = 1;
  TimePoint free_{};
};

class RateLimit {
 public:
  static constexpr std::uint64_t kNone = 0;

  // Bytes a second. Also applies to threads that wait already.
  void set(std::uint64_t bytesPerSecond);
  std::uint64_t get() const { return rate_; }

  // Waits for its turn. Returns how many of the `wanted` bytes may be moved then, at least one: all
  // of them without a limit, or once `stop` is requested.
  std::size_t take(std::size_t wanted, const std::stop_token& stop);

 private:
  std::atomic<std::uint64_t> rate_{kNone};

  std::mutex mutex_;  // guards what follows
  std::condition_variable_any changed_;
  std::uint64_t tickets_ = 0;
  std::deque<std::uint64_t> queue_;  // of tickets; the first one is next
  std::uint64_t changes_ = 0;        // of the rate
  RateBucket bucket_;
};

// A limit, if there is one, and what ends waiting for it.
struct Pace {
  RateLimit* limit = nullptr;
  std::stop_token stop;

  std::size_t take(std::size_t wanted) const {
    return limit == nullptr ? wanted : limit->take(wanted, stop);
  }
  void takeAll(std::size_t bytes) const {
    while (bytes > 0) bytes -= take(bytes);
  }
};

}  // namespace espalier::transfer
