// How files of a push are cut: small chunks, and from their hashes those of the larger ones that a
// share knows. Pure functions.
#pragma once

#include <optional>
#include <vector>

#include "peer/transfer/staging.h"

namespace espalier::transfer {

// How a file is cut for a push, where that is known without asking: one chunk at most.
std::optional<ChunkPlan> pushPlanOfSmall(const FileRoot& root, std::uint64_t size);

// The hashes of chunks of crypto::chunkBytesFor(size) bytes, from those of a push's smaller ones.
std::vector<Digest> coarser(const ChunkPlan& plan);

}  // namespace espalier::transfer
