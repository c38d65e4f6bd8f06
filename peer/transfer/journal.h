// The journal of a file that is being fetched: how it is cut, and which chunks are written. It lies
// beside the part, so that a later run goes on.
//
//   "ESPJRNL1" | root, 32 bytes | size u64 | bytes of a chunk u64 | a hash of 32 bytes a chunk |
//   a byte a chunk: 1 once it is written                                  (integers little-endian)
//
// A mark is written after its chunk, without syncing: who reads them verifies the chunks again.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/limits.h"
#include "peer/transfer/staging.h"

namespace espalier::transfer {

struct Journal {
  ChunkPlan plan;
  std::vector<char> marks;

  static constexpr std::size_t kHeaderBytes = 8 + Digest::kSizeBytes + 8 + 8;
  // The most that is read: the header, and a hash and a mark for each chunk there can be.
  static constexpr std::uint64_t kMostBytes =
      kHeaderBytes + limits::kFileChunks * (Digest::kSizeBytes + 1);

  static std::string format(const ChunkPlan& plan, const std::vector<char>& marks);
  // None if it is damaged, or of another file.
  static std::optional<Journal> parse(std::string_view text, const FileRoot& root,
                                      std::uint64_t size);
  // An error of code `configuration` if a newer version wrote it; `path` for its sentence.
  static Result<void> checkVersion(std::string_view path, std::string_view text);
};

}  // namespace espalier::transfer
