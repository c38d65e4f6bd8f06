#include "common/crypto/file_tree.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cassert>

#include "common/crypto/sha256.h"

namespace espalier::crypto {
namespace {

using limits::kBlockBytes;

// padding()[h] is the root of a tree of 2^h zero hashes.
constexpr std::size_t kHeights = 64;
const std::array<Digest, kHeights>& padding() {
  static const auto table = [] {
    std::array<Digest, kHeights> roots{};
    for (std::size_t height = 1; height < kHeights; ++height) {
      const std::array<Digest, 2> children{roots[height - 1], roots[height - 1]};
      sha256Pairs(children, std::span(&roots[height], 1));
    }
    return roots;
  }();
  return table;
}

std::size_t heightOf(std::uint64_t bytes) {
  return static_cast<std::size_t>(std::countr_zero(bytes / kBlockBytes));
}

// Replaces `level`, the nodes at `height` above the blocks, by their parents, `levels` times. Costs
// one hash for each inner node that has more than padding below it.
Digest climb(std::vector<Digest>& level, std::size_t height, std::size_t levels) {
  if (level.empty()) return padding()[height + levels];
  for (std::size_t i = 0; i < levels; ++i) {
    if (level.size() % 2 != 0) level.push_back(padding()[height + i]);
    sha256Pairs(level, std::span(level).first(level.size() / 2));
    level.resize(level.size() / 2);
  }
  assert(level.size() == 1);
  return level.front();
}

std::size_t levelsAbove(std::size_t leaves) {
  return static_cast<std::size_t>(std::bit_width(std::bit_ceil(leaves)) - 1);
}

// `leaves` is consumed.
Digest chunkRoot(std::vector<Digest>& leaves, std::uint64_t chunkBytes, bool wholeFile) {
  if (leaves.empty()) return Digest{};
  return climb(leaves, 0, wholeFile ? levelsAbove(leaves.size()) : heightOf(chunkBytes));
}

}  // namespace

std::uint64_t chunkBytesFor(std::uint64_t sizeBytes) {
  std::uint64_t chunkBytes = limits::kChunkBytesMin;
  while (chunkBytes < limits::kChunkBytesMax && chunkBytes * limits::kChunksWanted < sizeBytes) {
    chunkBytes *= 2;
  }
  return chunkBytes;
}

bool isChunkBytes(std::uint64_t chunkBytes) {
  return std::has_single_bit(chunkBytes) && chunkBytes >= kBlockBytes &&
         chunkBytes <= limits::kChunkBytesMax;
}

std::uint64_t chunkCount(std::uint64_t sizeBytes, std::uint64_t chunkBytes) {
  return sizeBytes / chunkBytes + (sizeBytes % chunkBytes != 0);
}

Digest merkleRoot(std::span<const Digest> leaves, std::uint64_t leafBytes) {
  assert(std::has_single_bit(leafBytes) && leafBytes >= kBlockBytes);
  if (leaves.empty()) return Digest{};
  std::vector<Digest> level(leaves.begin(), leaves.end());
  return climb(level, heightOf(leafBytes), levelsAbove(level.size()));
}

Digest chunkHash(std::span<const std::byte> data, std::uint64_t chunkBytes,
                 std::uint64_t fileBytes) {
  assert(isChunkBytes(chunkBytes) && data.size() <= chunkBytes);
  std::vector<Digest> leaves(chunkCount(data.size(), kBlockBytes));
  sha256Blocks(data, kBlockBytes, leaves);
  return chunkRoot(leaves, chunkBytes, fileBytes <= chunkBytes);
}

bool chunkListMatches(const FileRoot& root, std::uint64_t fileBytes, std::uint64_t chunkBytes,
                      std::span<const Digest> chunkHashes) {
  if (!isChunkBytes(chunkBytes) || chunkHashes.size() != chunkCount(fileBytes, chunkBytes)) {
    return false;
  }
  return merkleRoot(chunkHashes, chunkBytes) == root;
}

ChunkHasher::ChunkHasher(std::uint64_t chunkBytes, std::uint64_t fileBytes)
    : chunkBytes_(chunkBytes), wholeFile_(fileBytes <= chunkBytes) {
  assert(isChunkBytes(chunkBytes));
}

void ChunkHasher::update(std::span<const std::byte> data) {
  bytes_ += data.size();
  assert(bytes_ <= chunkBytes_);
  if (!pending_.empty()) {
    const auto missing = data.first(std::min(data.size(), kBlockBytes - pending_.size()));
    pending_.insert(pending_.end(), missing.begin(), missing.end());
    data = data.subspan(missing.size());
    if (pending_.size() < kBlockBytes) return;
    leaves_.push_back(sha256(pending_));
    pending_.clear();
  }
  const std::size_t blocks = data.size() / kBlockBytes;
  leaves_.resize(leaves_.size() + blocks);
  sha256Blocks(data.first(blocks * kBlockBytes), kBlockBytes, std::span(leaves_).last(blocks));
  const auto rest = data.subspan(blocks * kBlockBytes);
  pending_.assign(rest.begin(), rest.end());
}

Digest ChunkHasher::finish() {
  if (!pending_.empty()) leaves_.push_back(sha256(pending_));
  const Digest root = chunkRoot(leaves_, chunkBytes_, wholeFile_);
  leaves_.clear();
  pending_.clear();
  bytes_ = 0;
  return root;
}

FileHasher::FileHasher(std::uint64_t fileBytes) : FileHasher(fileBytes, chunkBytesFor(fileBytes)) {}

FileHasher::FileHasher(std::uint64_t fileBytes, std::uint64_t chunkBytes)
    : fileBytes_(fileBytes), chunkBytes_(chunkBytes), chunk_(chunkBytes, fileBytes) {}

void FileHasher::update(std::span<const std::byte> data) {
  while (!data.empty()) {
    const auto room = static_cast<std::size_t>(chunkBytes_ - chunk_.bytesSoFar());
    const auto part = data.first(std::min(data.size(), room));
    chunk_.update(part);
    if (chunk_.bytesSoFar() == chunkBytes_) chunks_.push_back(chunk_.finish());
    data = data.subspan(part.size());
  }
}

FileHasher::Hashes FileHasher::finish() {
  assert(chunks_.size() * chunkBytes_ + chunk_.bytesSoFar() == fileBytes_);
  if (chunk_.bytesSoFar() > 0) chunks_.push_back(chunk_.finish());
  Hashes hashes{merkleRoot(chunks_, chunkBytes_), chunkBytes_, std::move(chunks_)};
  chunks_.clear();
  return hashes;
}

}  // namespace espalier::crypto
