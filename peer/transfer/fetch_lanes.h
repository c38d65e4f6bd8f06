// The threads that hash and write the chunks of one fetch while its sources receive the next ones.
//
//   ChunkBuffer buffer = lanes.take();           // a source's thread; waits while all are in use
//   ... receive into it ...
//   lanes.put({index, chunk, bytes, now, std::move(buffer)});
//
// finish(chunk) is called once for each that was put, in the order of arrival by as many threads as
// there are lanes. Buffers go round, the one used last first, since it is still in a cache.
//
// A lane starts when there is work for it and all others are busy. A file of one chunk needs none:
// its source finishes it itself.
//
// Thread-safe. The destructor finishes what was put, then joins.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "common/base/clock.h"
#include "peer/transfer/chunk_buffer.h"

namespace espalier::transfer {

struct ArrivedChunk {
  std::size_t source = 0;
  std::uint64_t chunk = 0;
  std::size_t bytes = 0;
  TimePoint arrived;
  ChunkBuffer buffer;
};

class FetchLanes {
 public:
  using Finish = std::function<void(ArrivedChunk&)>;

  // `sources` threads take buffers at the same time; each has one to fill while the lanes work.
  FetchLanes(std::size_t sources, Finish finish);
  ~FetchLanes();
  FetchLanes(const FetchLanes&) = delete;
  FetchLanes& operator=(const FetchLanes&) = delete;

  // Of at least `bytes`.
  ChunkBuffer take(std::size_t bytes);
  // Where the system has no thread left, not even one, the caller's does the work.
  void put(ArrivedChunk chunk);
  // What was taken and is not needed.
  void giveBack(ChunkBuffer buffer);

 private:
  void run();
  void work(std::unique_lock<std::mutex>& lock);

  const std::size_t mostLanes_;
  const Finish finish_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable work_;
  std::condition_variable freed_;
  bool stopping_ = false;
  std::size_t buffersLeft_;  // that may still be made
  std::vector<ChunkBuffer> free_;
  std::deque<ArrivedChunk> arrived_;
  std::size_t idle_ = 0;
  std::vector<std::jthread> threads_;
};

}  // namespace espalier::transfer
