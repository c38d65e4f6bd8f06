// The journal of a file that is being received (part_file.h): how it is cut, and which chunks were
// written. It lies beside the part, so that a later run can resume.
//
//   "ESPJRNL1" | root, 32 bytes | size u64 | bytes of a chunk u64 | a hash of 32 bytes a chunk |
//   a byte a chunk: 1 once it is written                                  (integers little-endian)
//
// A mark is written after its chunk, without syncing, so a reader verifies the chunks again.
// Formatting and parsing only, no I/O. Used by PartFile. Any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/limits.h"
#include "common/base/result.h"
#include "peer/transfer/core/chunk_plan.h"

namespace espalier::transfer {

struct Journal {
  ChunkPlan plan;
  std::vector<char> marks;

  static constexpr std::size_t kHeaderBytes = 8 + Digest::kSizeBytes + 8 + 8;
  // The most that is read: a header, and a hash and a mark for each possible chunk.
  static constexpr std::uint64_t kMostBytes =
      kHeaderBytes + limits::kFileChunks * (Digest::kSizeBytes + 1);

  static std::string format(const ChunkPlan& plan, const std::vector<char>& marks);
  // Nothing if it is damaged, or of another file.
  static std::optional<Journal> parse(std::string_view text, const FileRoot& root,
                                      std::uint64_t sizeBytes);
  // An error of code `configuration` if a newer version wrote it. `path` is used in its message.
  static Result<void> checkVersion(std::string_view path, std::string_view text);
};

}  // namespace espalier::transfer
