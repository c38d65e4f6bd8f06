// The messages of transfer and push connections as plain values, and their codec (transfer.proto).
// The asker sends requests, as many ahead as it likes; the holder answers them in order.
//
// Decoding checks that sizes, indices, counts and lengths are within limits.h and consistent.
// Errors have the code `protocol`. Stateless; thread-safe. Used by both ends in peer/transfer.
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
  std::chrono::milliseconds within{};  // no chunk but the first is begun later; 0: all are sent
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

// A chunk of the file did not match its hash: the holder checks the file again.
struct ChunkRejected {
  FileRoot root;
  bool operator==(const ChunkRejected&) const = default;
};

// A request of a later version: answered by a failure; the connection stays open.
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

// The name is the holder's: bytes without NUL, unsafe to print and unsafe as a path.
struct FileEntry {
  FileRoot root;
  std::uint64_t size = 0;
  std::string name;
  bool operator==(const FileEntry&) const = default;
};

struct FileList {
  std::vector<FileEntry> files;
  bool more = false;
  bool indexing = false;    // the holder is still indexing its share
  std::uint64_t total = 0;  // files that it shares; 0: not told
  bool operator==(const FileList&) const = default;
};

// Which chunks of `chunkBytes` bytes the holder has: one bit each, the lowest bit of a byte first.
// Chunks behind the last byte are missing.
struct ChunksHeld {
  bool all = false;
  std::uint64_t chunkBytes = 0;
  std::string chunks;  // at most limits::kHeldBytes
  bool operator==(const ChunksHeld&) const = default;
};

// The chunks from `first` on are not sent: the time of the request is over.
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

// An upper bound of an entry's size in a FileList's frame, for filling pages.
std::size_t encodedBytesAtMost(const FileEntry& entry);

}  // namespace espalier::wire
