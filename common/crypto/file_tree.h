// The hash tree of a file, as BitTorrent v2 has it (BEP 52): SHA-256 over 16 KiB leaves (the last
// one over what is left, not padded), a binary tree, the leaves padded with zero hashes to a power
// of two. Its top is the file's root (`pieces root`). An empty file has a root of 64 zeros.
//
// A file travels in chunks of 2^n blocks. The hash of a chunk is the node of the tree above its
// blocks; the list of all chunk hashes (BEP 52: the `piece layer`) is what a receiver checks
// against the root before it asks for bytes. A file of at most one chunk has a list of one: its
// root.
//
// Values without shared state: any thread may use its own. Nothing fails; what a peer sent is
// checked by chunkListMatches(), which asserts nothing about it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/base/ids.h"
#include "common/base/limits.h"

namespace espalier::crypto {

// How a file of `sizeBytes` is cut: a power of two, 1 MiB up to files of 4 GiB, then doubling with
// the size so that the list stays at 4,096 hashes (128 KiB), 16 MiB at most. Small enough that a
// file of some hundred MiB has chunks for many sources and a bad one costs little; large enough
// that small files, most of all, are one chunk without a list. The cap bounds what a receiver must
// hold before it may trust it; beyond 64 GiB the list grows instead (16 TiB: 32 MiB of it).
std::uint64_t chunkBytesFor(std::uint64_t sizeBytes);
// Whether another peer's choice can be taken: a power of two from a block to kChunkBytesMax.
bool isChunkBytes(std::uint64_t chunkBytes);
// How many chunks; 0 for an empty file.
std::uint64_t chunkCount(std::uint64_t sizeBytes, std::uint64_t chunkBytes);

// The root of `leaves`, padded to the next power of two with nodes that stand for absent subtrees
// of `leafBytes` file bytes each (blocks: zero hashes; chunks: the root of a tree of zero hashes).
// `leafBytes` is a power of two of at least a block. No leaves: all zero.
Digest merkleRoot(std::span<const Digest> leaves, std::uint64_t leafBytes);

// The hash of one chunk. `data` is the chunk's bytes: chunkBytes of them, fewer only in the last
// chunk. `fileBytes` tells whether the chunk is the whole file (then the tree is only as high as
// the file needs). Any amount of data gives a digest, so a chunk that was cut short is just wrong.
Digest chunkHash(std::span<const std::byte> data, std::uint64_t chunkBytes,
                 std::uint64_t fileBytes);

// Whether a list of chunk hashes belongs to `root` and a file of that size: the check that makes
// the list trustworthy. False too for a chunkBytes that isChunkBytes() rejects.
bool chunkListMatches(const FileRoot& root, std::uint64_t fileBytes, std::uint64_t chunkBytes,
                      std::span<const Digest> chunkHashes);

// The hash of one chunk whose bytes come a piece at a time, as from a socket. Holds 32 bytes a
// block and at most one unfinished block. Can be used again after finish().
class ChunkHasher {
 public:
  ChunkHasher(std::uint64_t chunkBytes, std::uint64_t fileBytes);

  // At most chunkBytes in all. Fastest in multiples of a block, 16 blocks and more at once.
  void update(std::span<const std::byte> data);
  std::uint64_t bytesSoFar() const { return bytes_; }
  Digest finish();

 private:
  std::uint64_t chunkBytes_;
  bool wholeFile_;
  std::uint64_t bytes_ = 0;
  std::vector<std::byte> pending_;  // less than a block
  std::vector<Digest> leaves_;
};

// Builds the tree of a file that is read in order. One object a file; not thread-safe.
class FileHasher {
 public:
  explicit FileHasher(std::uint64_t fileBytes);
  // With chunks of a size that another peer chose; isChunkBytes() holds.
  FileHasher(std::uint64_t fileBytes, std::uint64_t chunkBytes);

  // The next bytes, in pieces of any size; at most fileBytes in all. Fastest in multiples of a
  // block, 16 blocks and more at once.
  void update(std::span<const std::byte> data);

  struct Hashes {
    FileRoot root;
    std::uint64_t chunkBytes = 0;
    std::vector<Digest> chunks;
  };
  // After exactly `fileBytes` bytes. (A file that turned out longer or shorter has changed: the
  // caller tells.)
  Hashes finish();

 private:
  std::uint64_t fileBytes_;
  std::uint64_t chunkBytes_;
  ChunkHasher chunk_;
  std::vector<Digest> chunks_;
};

}  // namespace espalier::crypto
