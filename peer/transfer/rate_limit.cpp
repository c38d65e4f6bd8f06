#include "peer/transfer/rate_limit.h"

#include <algorithm>
#include <chrono>

namespace espalier::transfer {
namespace {

// Turns are short, so that among many threads each moves some bytes before its peer times out.
constexpr std::uint64_t kTurnsPerSecond = 32;
constexpr std::uint64_t kSliceLeast = 1024;
constexpr std::uint64_t kSliceMost = 1 << 20;
constexpr auto kBurst = std::chrono::milliseconds(100);

}  // namespace

void RateBucket::set(std::uint64_t bytesPerSecond, TimePoint now) {
  rate_ = bytesPerSecond;
  free_ = now;
}

std::size_t RateBucket::take(std::size_t wanted, TimePoint now) {
  const std::uint64_t slice = std::clamp(rate_ / kTurnsPerSecond, kSliceLeast, kSliceMost);
  const std::size_t granted = std::min<std::uint64_t>(wanted, slice);
  const std::chrono::duration<double> cost(static_cast<double>(granted) /
                                           static_cast<double>(rate_));
  free_ = std::max(free_, now - kBurst) + std::chrono::duration_cast<Duration>(cost);
  return granted;
}

void RateLimit::set(std::uint64_t bytesPerSecond) {
  const std::lock_guard lock(mutex_);
  rate_ = bytesPerSecond;
  if (bytesPerSecond != kNone) bucket_.set(bytesPerSecond, Clock::now());
  ++changes_;
  changed_.notify_all();
}

std::size_t RateLimit::take(std::size_t wanted, const std::stop_token& stop) {
  if (rate_ == kNone) return wanted;
  std::unique_lock lock(mutex_);
  const std::uint64_t ticket = tickets_++;
  queue_.push_back(ticket);
  while (rate_ != kNone && !stop.stop_requested()) {
    if (queue_.front() != ticket) {
      changed_.wait(lock, stop, [&] { return queue_.front() == ticket || rate_ == kNone; });
      continue;
    }
    const std::uint64_t seen = changes_;
    if (Clock::now() >= bucket_.free()) break;
    changed_.wait_until(lock, stop, bucket_.free(), [&] { return changes_ != seen; });
  }
  std::erase(queue_, ticket);
  changed_.notify_all();
  if (rate_ == kNone || stop.stop_requested()) return wanted;
  return bucket_.take(wanted, Clock::now());
}

}  // namespace espalier::transfer
