// The threads that hash and write the chunks of one fetch while its sources receive the next ones.
//
//   ChunkBuffer buffer = lanes.take(bytes);      // a source's thread; waits while all are in use
//   ... receive into it ...
//   lanes.put({index, chunk, bytes, now, std::move(buffer)});
//
// finish(chunk) is called once for each chunk that was put, in the order of arrival, by as many
// threads as there are lanes. Buffers are reused, the one used last first, because it is still in a
// cache.
//
// A lane starts when there is work and all others are busy. A file of one chunk needs none: its
// source's thread finishes it.
//
// Owned by FetchWork. Thread-safe. The destructor finishes what was put, then joins.
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

  // `sources`: how many threads take buffers at the same time. Each can fill one while all lanes
  // work.
  FetchLanes(std::size_t sources, Finish finish);
  ~FetchLanes();
  FetchLanes(const FetchLanes&) = delete;
  FetchLanes& operator=(const FetchLanes&) = delete;

  // Of at least `bytes`.
  ChunkBuffer take(std::size_t bytes);
  // When the system has no thread for any lane, the calling thread does the work.
  void put(ArrivedChunk chunk);
  // Returns a buffer that was taken and is not needed.
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
