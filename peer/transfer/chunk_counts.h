// How many chunks of a peer's downloads and pushes were right, and how many were not, since the
// start. Any thread.
#pragma once

#include <atomic>
#include <cstdint>

namespace espalier::transfer {

struct ChunkCounts {
  std::atomic<std::uint64_t> verified{0};
  std::atomic<std::uint64_t> bad{0};

  void count(bool isRight) { ++(isRight ? verified : bad); }
};

}  // namespace espalier::transfer
