// Reads a whole file in order and hashes it, on the calling thread. (HashLanes hashes many files,
// and the chunks of large ones in parallel.)
//
// Stateless, so any thread may call. Blocks on the disk: not for the event loop.
#pragma once

#include <cstdint>
#include <functional>
#include <stop_token>
#include <string_view>

#include "common/base/result.h"
#include "common/crypto/file_tree.h"

namespace espalier::share {

// How many bytes have been hashed so far; called after each read.
using HashedBytes = std::function<void(std::uint64_t bytes)>;

// Hashes the first `sizeBytes` bytes of an open file. `name` is used in messages. Errors, by code:
// `interrupted`; `io` when it cannot be read; `failed` when it is shorter.
Result<crypto::FileHasher::Hashes> hashFile(int file, std::string_view name,
                                            std::uint64_t sizeBytes, std::uint64_t chunkBytes,
                                            std::stop_token stop, const HashedBytes& hashed = {});

}  // namespace espalier::share
