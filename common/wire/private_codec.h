// The messages of a private connection (private.h) as the payload of a frame, and back.
//
// decodePrivate() is the only place that checks their form: ids, instances, numbers, and the length
// and the UTF-8 of texts. A message that fails, or of an unknown kind, is an error of code
// `protocol`, safe to print. What it decodes encodes to at most as many bytes as it came from.
//
// encode() needs values within limits.h; its result is within limits::kFrameBytes. Stateless;
// linear in the size. Called by the shells of peers.
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/wire/private.h"

namespace espalier::wire {

// What is wrong with the text of a message: an error of code `usage`.
Result<void> checkPrivateText(std::string_view text);

std::string encode(const PrivateFrame& frame);
Result<PrivateFrame> decodePrivate(std::string_view payload);

}  // namespace espalier::wire
