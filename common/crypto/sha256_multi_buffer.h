// The multi-buffer backend of sha256.h. If the library was not found at build time, its functions
// say that nothing works. Thread-safe. Of the programs only
// sha256.cpp calls it.
#pragma once

#include <cstddef>
#include <span>

#include "common/base/ids.h"

namespace espalier::crypto::internal {

// Whether the library is present and supports the processor, and a known digest was correct.
bool multiBufferWorks();

// For tests and benchmarks: threads that have not hashed yet use SHA-NI only, even if the processor
// has AVX.
void multiBufferWithoutAvx();

// Fewer blocks than this are faster with OpenSSL: a round over all lanes takes the same time
// however few of them are used. Measured: so for blocks shorter
// than a kilobyte, and for longer ones.
inline constexpr std::size_t kMultiBufferFewest = 6;

// As sha256Blocks(). False if the library has not hashed all blocks; `out` is then undefined.
bool multiBufferBlocks(std::span<const std::byte> data, std::size_t blockBytes,
                       std::span<Digest> out);

}  // namespace espalier::crypto::internal
