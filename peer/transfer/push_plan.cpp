#include "peer/transfer/push_plan.h"

#include <algorithm>

#include "common/base/limits.h"
#include "common/crypto/file_tree.h"
#include "peer/core/push.h"

namespace espalier::transfer {

std::optional<ChunkPlan> pushPlanOfSmall(const FileRoot& root, std::uint64_t size) {
  const std::uint64_t chunkBytes = peer::pushChunkBytesFor(size);
  if (size > chunkBytes) return std::nullopt;
  ChunkPlan plan{root, size, chunkBytes, {}};
  if (size > 0) plan.hashes.push_back(root);
  return plan;
}

std::vector<Digest> coarser(const ChunkPlan& plan) {
  const std::uint64_t wanted = crypto::chunkBytesFor(plan.size);
  if (plan.size == 0) return {};
  if (plan.size <= wanted) return {plan.root};
  if (plan.chunkBytes >= wanted)
    return plan.chunkBytes == wanted ? plan.hashes : std::vector<Digest>();
  const std::size_t group = wanted / plan.chunkBytes;
  const std::vector<Digest> zeros(plan.chunkBytes / limits::kBlockBytes);
  const Digest absent = crypto::merkleRoot(zeros, limits::kBlockBytes);
  std::vector<Digest> result;
  for (std::size_t i = 0; i < plan.hashes.size(); i += group) {
    const auto end = std::min(i + group, plan.hashes.size());
    std::vector<Digest> part(plan.hashes.begin() + static_cast<std::ptrdiff_t>(i),
                             plan.hashes.begin() + static_cast<std::ptrdiff_t>(end));
    part.resize(group, absent);
    result.push_back(crypto::merkleRoot(part, plan.chunkBytes));
  }
  return result;
}

}  // namespace espalier::transfer
