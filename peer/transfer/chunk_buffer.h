// Memory for one chunk: aligned to pages, so that the kernel can fill it fast. It grows, and never
// shrinks. Used by all that receive or hash chunks; by one thread at a time.
#pragma once

#include <cstddef>
#include <memory>
#include <span>

namespace espalier::transfer {

class ChunkBuffer {
 public:
  ChunkBuffer() = default;
  // Makes it at least `bytes` long. What was in it is lost when it grows.
  void reserve(std::size_t bytes);
  std::span<std::byte> first(std::size_t bytes) { return {data_.get(), bytes}; }

 private:
  struct Free {
    void operator()(std::byte* data) const;
  };
  std::unique_ptr<std::byte, Free> data_;
  std::size_t bytes_ = 0;
};

}  // namespace espalier::transfer
