// How the files of a push are cut into chunks. Every peer computes the same chunks from the offer.
// Pure functions, O(1) a file.
#pragma once

#include <cstdint>
#include <vector>

#include "common/wire/push.h"

namespace espalier::peer {

// The size of a chunk of one file: limits::kPushChunkBytes, or more where the list of hashes would
// exceed limits::kPushListHashes.
std::uint64_t pushChunkBytesFor(std::uint64_t sizeBytes);
// The chunks of all files together. An empty file counts as one chunk.
std::uint64_t pushChunks(const std::vector<wire::PushFile>& files);

}  // namespace espalier::peer
