#include "peer/transfer/core/chunk_plan.h"

#include <algorithm>

#include "common/crypto/file_tree.h"

namespace espalier::transfer {

std::optional<ChunkPlan> ChunkPlan::ofOneChunk(const FileRoot& root, std::uint64_t sizeBytes,
                                               std::uint64_t chunkBytes) {
  if (sizeBytes > chunkBytes) return std::nullopt;
  ChunkPlan plan{root, sizeBytes, chunkBytes, {}};
  if (sizeBytes > 0) plan.hashes.push_back(root);
  return plan;
}

std::optional<ChunkPlan> ChunkPlan::ofSmall(const FileRoot& root, std::uint64_t sizeBytes) {
  return ofOneChunk(root, sizeBytes, crypto::chunkBytesFor(sizeBytes));
}

bool ChunkPlan::matches() const {
  return crypto::chunkListMatches(root, sizeBytes, chunkBytes, hashes);
}

std::uint64_t ChunkPlan::bytesOf(std::uint64_t chunk) const {
  return std::min(chunkBytes, sizeBytes - offset(chunk));
}

bool ChunkPlan::isRight(std::uint64_t chunk, std::span<const std::byte> data) const {
  return data.size() == bytesOf(chunk) &&
         crypto::chunkHash(data, chunkBytes, sizeBytes) == hashes[chunk];
}

std::vector<Digest> ChunkPlan::hashesOfShare() const {
  const std::uint64_t wanted = crypto::chunkBytesFor(sizeBytes);
  if (sizeBytes == 0) return {};
  if (sizeBytes <= wanted) return {root};
  if (chunkBytes == wanted) return hashes;
  if (chunkBytes > wanted) return {};
  const std::size_t group = wanted / chunkBytes;
  const std::vector<Digest> zeros(chunkBytes / limits::kBlockBytes);
  const Digest absent = crypto::merkleRoot(zeros, limits::kBlockBytes);
  std::vector<Digest> result;
  for (std::size_t i = 0; i < hashes.size(); i += group) {
    const auto end = std::min(i + group, hashes.size());
    std::vector<Digest> part(hashes.begin() + static_cast<std::ptrdiff_t>(i),
                             hashes.begin() + static_cast<std::ptrdiff_t>(end));
    part.resize(group, absent);
    result.push_back(crypto::merkleRoot(part, chunkBytes));
  }
  return result;
}

ChunkListParts::Added ChunkListParts::add(const wire::ChunkList& part) {
  if (plan_.chunkBytes == 0) plan_.chunkBytes = part.chunkBytes;
  const std::uint64_t wanted = crypto::chunkCount(plan_.sizeBytes, plan_.chunkBytes);
  if (wanted > limits::kFileChunks) return Added::tooMany;
  if (part.size != plan_.sizeBytes || part.chunkBytes != plan_.chunkBytes ||
      part.first != plan_.hashes.size() || part.hashes.empty() ||
      part.hashes.size() > wanted - plan_.hashes.size()) {
    return Added::notOfFile;
  }
  plan_.hashes.insert(plan_.hashes.end(), part.hashes.begin(), part.hashes.end());
  if (plan_.hashes.size() < wanted) return Added::more;
  return plan_.matches() ? Added::complete : Added::notOfRoot;
}

std::string_view describe(ChunkListParts::Added problem) {
  switch (problem) {
    case ChunkListParts::Added::tooMany:
      return "a list of too many hashes";
    case ChunkListParts::Added::notOfRoot:
      return "a list of hashes that does not belong to the root";
    case ChunkListParts::Added::notOfFile:
    case ChunkListParts::Added::more:
    case ChunkListParts::Added::complete:
      break;
  }
  return "a list of hashes that is not this file's";
}

}  // namespace espalier::transfer
