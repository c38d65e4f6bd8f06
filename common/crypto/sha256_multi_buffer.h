// The multi-buffer backend of sha256.h, or, where it was not found at build time, nothing that
// works. Internal to common/crypto.
#pragma once

#include <cstddef>
#include <span>

#include "common/base/ids.h"

namespace espalier::crypto::internal {

// Whether the library is there, the processor suits it, and a digest came out right.
bool multiBufferWorks();

// Threads that have not hashed yet do so as on a processor with SHA-NI alone: to measure and test
// that where there is more.
void multiBufferWithoutAvx();

// Fewer blocks than this are faster one after the other: the lanes run at the speed of all, however
// few are filled. For blocks of a kilobyte and more, and for shorter ones.
inline constexpr std::size_t kMultiBufferFewest = 6;

// False when the library did not do all of it; `out` is then undefined.
bool multiBufferBlocks(std::span<const std::byte> data, std::size_t blockBytes,
                       std::span<Digest> out);

}  // namespace espalier::crypto::internal
