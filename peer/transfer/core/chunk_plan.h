// How a file is cut into chunks, and the hash of each chunk.
//
// ChunkPlan is a value. A plan that a peer sent is trusted only after matches() returned true.
// ChunkListParts assembles a plan from the parts in which a peer sends it, and checks each part.
// Used by fetches, pushes and journals. Pure functions and values: any thread may use its own.
// Nothing fails or allocates more than limits::kFileChunks hashes.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/wire/transfer.h"

namespace espalier::transfer {

struct ChunkPlan {
  FileRoot root;
  std::uint64_t sizeBytes = 0;
  std::uint64_t chunkBytes = 0;
  std::vector<Digest> hashes;

  // The plan of a file of at most one chunk, whose only hash is the root. Nothing for a larger one.
  static std::optional<ChunkPlan> ofOneChunk(const FileRoot& root, std::uint64_t sizeBytes,
                                             std::uint64_t chunkBytes);
  // The same, cut as a share cuts it (crypto::chunkBytesFor).
  static std::optional<ChunkPlan> ofSmall(const FileRoot& root, std::uint64_t sizeBytes);

  // Whether the hashes belong to the root.
  bool matches() const;
  std::uint64_t offset(std::uint64_t chunk) const { return chunk * chunkBytes; }
  // The last chunk is as short as the file makes it.
  std::uint64_t bytesOf(std::uint64_t chunk) const;
  // Whether `data` is that chunk: hashes it.
  bool isRight(std::uint64_t chunk, std::span<const std::byte> data) const;

  // The hashes of chunks of crypto::chunkBytesFor(sizeBytes) bytes, computed from those of this
  // plan, whose chunks are smaller (a push's). Empty when this plan's chunks are larger.
  std::vector<Digest> hashesOfShare() const;
};

// A plan that arrives in parts, in order.
class ChunkListParts {
 public:
  // `chunkBytes`: 0 when the first part says it.
  ChunkListParts(const FileRoot& root, std::uint64_t sizeBytes, std::uint64_t chunkBytes = 0)
      : plan_{root, sizeBytes, chunkBytes, {}} {}

  enum class Added {
    more,       // further parts follow
    complete,   // take() returns the plan, which matches its root
    tooMany,    // more hashes than any file has
    notOfFile,  // another size, other chunks, or not the next part
    notOfRoot,  // complete, but the hashes do not belong to the root
  };
  Added add(const wire::ChunkList& part);
  ChunkPlan take() { return std::move(plan_); }

 private:
  ChunkPlan plan_;
};

// What a peer did that sent such a part: the end of the sentence "it sent …".
std::string_view describe(ChunkListParts::Added problem);

}  // namespace espalier::transfer
