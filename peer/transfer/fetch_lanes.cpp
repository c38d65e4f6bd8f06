#include "peer/transfer/fetch_lanes.h"

#include <algorithm>
#include <utility>

#include "common/base/limits.h"
#include "common/base/signals.h"
#include "common/base/thread.h"

namespace espalier::transfer {
namespace {

std::size_t lanesHere() {
  return std::clamp<std::size_t>(std::thread::hardware_concurrency(), 1, limits::kFetchLanes);
}

}  // namespace

FetchLanes::FetchLanes(std::size_t sources, Finish finish)
    : mostLanes_(lanesHere()),
      finish_(std::move(finish)),
      buffersLeft_(sources + mostLanes_ + limits::kChunksForLanes) {}

FetchLanes::~FetchLanes() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
    work_.notify_all();
  }
  threads_.clear();
}

ChunkBuffer FetchLanes::take(std::size_t bytes) {
  ChunkBuffer buffer;
  {
    std::unique_lock lock(mutex_);
    freed_.wait(lock, [this] { return !free_.empty() || buffersLeft_ > 0; });
    if (free_.empty()) {
      --buffersLeft_;
    } else {
      buffer = std::move(free_.back());
      free_.pop_back();
    }
  }
  buffer.reserve(bytes);
  return buffer;
}

void FetchLanes::giveBack(ChunkBuffer buffer) {
  const std::lock_guard lock(mutex_);
  free_.push_back(std::move(buffer));
  freed_.notify_one();
}

void FetchLanes::put(ArrivedChunk chunk) {
  std::unique_lock lock(mutex_);
  arrived_.push_back(std::move(chunk));
  if (idle_ < arrived_.size() && threads_.size() < mostLanes_) {
    const auto started = startThread(threads_, [this] { run(); });
    if (!started && threads_.empty()) return work(lock);
  }
  work_.notify_one();
}

// On the oldest chunk, whose buffer is free then.
void FetchLanes::work(std::unique_lock<std::mutex>& lock) {
  ArrivedChunk chunk = std::move(arrived_.front());
  arrived_.pop_front();
  lock.unlock();
  finish_(chunk);
  lock.lock();
  free_.push_back(std::move(chunk.buffer));
  freed_.notify_one();
}

void FetchLanes::run() {
  const QuietSignals quiet;
  std::unique_lock lock(mutex_);
  while (true) {
    ++idle_;
    work_.wait(lock, [this] { return stopping_ || !arrived_.empty(); });
    --idle_;
    if (arrived_.empty()) return;
    work(lock);
  }
}

}  // namespace espalier::transfer
