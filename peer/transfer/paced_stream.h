// Receives the bytes of files over a BlockingStream, no faster than a rate limit allows. Used by
// HolderConnection. Stateless; blocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/net/blocking_stream.h"
#include "peer/transfer/rate_limit.h"

namespace espalier::transfer {

// As BlockingStream::readAll().
Result<void> receiveAll(net::BlockingStream& stream, std::span<std::byte> out, const Pace& pace,
                        Duration gathering = {});

}  // namespace espalier::transfer
