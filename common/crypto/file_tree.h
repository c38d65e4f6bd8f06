// The hash tree of a file, as in BitTorrent v2 (BEP 52).
//
//                      root                    BEP 52: pieces root
//              +--------+--------+
//         chunk hash         chunk hash         the chunk list (BEP 52: piece layer)
//         +----+----+        +----+----+
//       block     block    block     zeros      SHA-256 of 16 KiB each
//
// The leaves are the SHA-256 of blocks of 16 KiB; the last block may be short, and is not padded.
// Zero hashes fill the leaves up to a power of two. The root of an empty file is all zero.
//
// A file is transferred in chunks of 2^n blocks. The hash of a chunk is the node above its blocks.
// A receiver checks the list of all chunk hashes against the root before it asks for bytes. The
// list of a file of one chunk is the root alone.
//
// Values without shared state; an object belongs to one thread at a time. No I/O. No function
// fails. chunkListMatches() checks what another peer sent, and asserts nothing about it.
//
// Called by the share (hash_lanes.h) and by transfers at both ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/base/ids.h"
#include "common/base/limits.h"

namespace espalier::crypto {

// The size of the chunks of a file, a power of two: 1 MiB for files up to 4 GiB, then doubling with
// the file's size so that the list stays at 4,096 hashes (128 KiB), but at most 16 MiB. Beyond 64
// GiB the list grows instead; that of 16 TiB has 32 MiB.
//
// With this size a file of some hundred MiB has chunks for many sources, a bad chunk costs little,
// and most files are one chunk and need no list. The maximum bounds what a receiver holds before it
// can verify it.
std::uint64_t chunkBytesFor(std::uint64_t sizeBytes);
// Whether a size that another peer chose is allowed: a power of two from a block to kChunkBytesMax.
bool isChunkBytes(std::uint64_t chunkBytes);
// The number of chunks; 0 for an empty file.
std::uint64_t chunkCount(std::uint64_t sizeBytes, std::uint64_t chunkBytes);

// The root above `leaves`, each of which stands for `leafBytes` of the file: a power of two, at
// least a block. They are filled up to a power of two with the roots of trees of zero hashes. All
// zero if there are no leaves.
Digest merkleRoot(std::span<const Digest> leaves, std::uint64_t leafBytes);

// The hash of one chunk. `data`: `chunkBytes` bytes, fewer only in the last chunk. `fileBytes`: if
// the chunk is the whole file, its tree is only as high as the file needs. Any amount of data gives
// a digest; that of a truncated chunk does not match.
Digest chunkHash(std::span<const std::byte> data, std::uint64_t chunkBytes,
                 std::uint64_t fileBytes);

// Verifies a list of chunk hashes against the root and size of a file. False also for a
// `chunkBytes` that isChunkBytes() rejects. Costs a hash for each chunk.
bool chunkListMatches(const FileRoot& root, std::uint64_t fileBytes, std::uint64_t chunkBytes,
                      std::span<const Digest> chunkHashes);

// The hash of one chunk whose bytes come in pieces, as from a socket. Holds 32 bytes for each block
// and at most one incomplete block. finish() makes it ready for another chunk of that size.
class ChunkHasher {
 public:
  ChunkHasher(std::uint64_t chunkBytes, std::uint64_t fileBytes);

  // At most `chunkBytes` in all. Fastest in multiples of a block, 16 blocks or more at once.
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

// The hashes of one file that is read in order. One object for each file.
class FileHasher {
 public:
  explicit FileHasher(std::uint64_t fileBytes);
  // With chunks of a size that another peer chose; isChunkBytes(chunkBytes) holds.
  FileHasher(std::uint64_t fileBytes, std::uint64_t chunkBytes);

  // The next bytes, in pieces of any size; at most `fileBytes` in all. Fastest in multiples of a
  // block, 16 blocks or more at once.
  void update(std::span<const std::byte> data);

  struct Hashes {
    FileRoot root;
    std::uint64_t chunkBytes = 0;
    std::vector<Digest> chunks;
  };
  // After exactly `fileBytes` bytes, which the caller checks: a file may have changed its size.
  Hashes finish();

 private:
  std::uint64_t fileBytes_;
  std::uint64_t chunkBytes_;
  ChunkHasher chunk_;
  std::vector<Digest> chunks_;
};

}  // namespace espalier::crypto
