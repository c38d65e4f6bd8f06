// The messages of a transfer connection as plain structs, and their form on the wire
// (transfer.proto). What decodes has been checked: sizes, indices, counts and lengths are within
// limits.h and fit each other. Errors have the code `protocol`. Stateless, so any thread may call.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"

namespace espalier::wire {

struct ChunkListRequest {
  FileRoot root;
  bool operator==(const ChunkListRequest&) const = default;
};

// Chunks first … first + count - 1 of a file that the asker cuts into chunks of `chunkBytes`.
struct ChunkRequest {
  FileRoot root;
  std::uint64_t chunkBytes = 0;
  std::uint64_t first = 0;
  std::uint32_t count = 0;
  std::chrono::milliseconds within{};  // only the first is begun later; 0: all are sent
  bool operator==(const ChunkRequest&) const = default;
};

struct ListRequest {
  std::string after;
  bool operator==(const ListRequest&) const = default;
};

struct ChunksHeldRequest {
  FileRoot root;
  bool operator==(const ChunksHeldRequest&) const = default;
};

// A chunk of it that came did not match its hash: the holder may want to look at the file again.
struct ChunkRejected {
  FileRoot root;
  bool operator==(const ChunkRejected&) const = default;
};

// A request of a later version: answered by a failure, not by closing.
struct UnknownRequest {
  bool operator==(const UnknownRequest&) const = default;
};

using TransferRequest = std::variant<UnknownRequest, ChunkListRequest, ChunkRequest, ListRequest,
                                     ChunksHeldRequest, ChunkRejected>;

// A part of the list: hashes first … first + hashes.size() - 1.
struct ChunkList {
  std::uint64_t size = 0;
  std::uint64_t chunkBytes = 0;
  std::uint64_t first = 0;
  std::vector<Digest> hashes;
  std::string name;
  bool operator==(const ChunkList&) const = default;
};

// `bytes` raw bytes follow the frame.
struct ChunkHeader {
  std::uint64_t chunk = 0;
  std::uint32_t bytes = 0;
  bool operator==(const ChunkHeader&) const = default;
};

// A name is as the holder has it: bytes without NUL, not safe to print or to write to.
struct FileEntry {
  FileRoot root;
  std::uint64_t size = 0;
  std::string name;
  bool operator==(const FileEntry&) const = default;
};

struct FileList {
  std::vector<FileEntry> files;
  bool more = false;
  bool indexing = false;    // the holder has not read all of its share yet
  std::uint64_t total = 0;  // files that it shares; 0 from those that do not say
  bool operator==(const FileList&) const = default;
};

// Which chunks of `chunkBytes` bytes the holder has: a bit each, the lowest of a byte first; what
// lies behind the last byte it lacks.
struct ChunksHeld {
  bool all = false;
  std::uint64_t chunkBytes = 0;
  std::string chunks;  // at most limits::kHeldBytes
  bool operator==(const ChunksHeld&) const = default;
};

// The chunks from here on, of those that were asked for with a time, are not sent.
struct ChunksCut {
  std::uint64_t first = 0;
  bool operator==(const ChunksCut&) const = default;
};

enum class TransferProblem { unknown, notShared, changed, busy, badRequest, io };

struct TransferFailure {
  TransferProblem problem = TransferProblem::unknown;
  std::string message;
  bool operator==(const TransferFailure&) const = default;
};

struct Waiting {
  std::uint32_t position = 0;
  bool operator==(const Waiting&) const = default;
};

using TransferAnswer =
    std::variant<ChunkList, ChunkHeader, FileList, TransferFailure, Waiting, ChunksHeld, ChunksCut>;

// The payload of one frame. The caller keeps within the limits; encode() asserts them.
std::string encode(const TransferRequest& request);
std::string encode(const TransferAnswer& answer);
Result<TransferRequest> decodeTransferRequest(std::string_view payload);
Result<TransferAnswer> decodeTransferAnswer(std::string_view payload);

// What an entry costs in a FileList's frame, at most: the caller fills pages with it.
std::size_t encodedBytesAtMost(const FileEntry& entry);

}  // namespace espalier::wire
