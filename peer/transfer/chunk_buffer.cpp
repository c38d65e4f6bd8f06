#include "peer/transfer/chunk_buffer.h"

#include <cstdlib>
#include <new>

namespace espalier::transfer {
namespace {
constexpr std::size_t kPageBytes = 4096;
}  // namespace

void ChunkBuffer::Free::operator()(std::byte* data) const {
  std::free(data);
}

void ChunkBuffer::reserve(std::size_t bytes) {
  if (bytes <= bytes_) return;
  const std::size_t whole = (bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
  data_.reset(static_cast<std::byte*>(std::aligned_alloc(kPageBytes, whole)));
  if (!data_) throw std::bad_alloc();
  bytes_ = whole;
}

}  // namespace espalier::transfer
