#include "peer/core/push_chunks.h"

#include <algorithm>

#include "common/base/limits.h"

namespace espalier::peer {

std::uint64_t pushChunkBytesFor(std::uint64_t sizeBytes) {
  std::uint64_t chunkBytes = limits::kPushChunkBytes;
  while (chunkBytes < limits::kChunkBytesMax && sizeBytes / chunkBytes >= limits::kPushListHashes) {
    chunkBytes *= 2;
  }
  return chunkBytes;
}

std::uint64_t pushChunks(const std::vector<wire::PushFile>& files) {
  std::uint64_t chunks = 0;
  for (const auto& file : files) {
    const std::uint64_t chunkBytes = pushChunkBytesFor(file.sizeBytes);
    chunks += std::max<std::uint64_t>((file.sizeBytes + chunkBytes - 1) / chunkBytes, 1);
  }
  return chunks;
}

}  // namespace espalier::peer
