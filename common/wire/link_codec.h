// Messages of a link (link.h) as the payload of a frame, and back.
//
// decodeLink() is the only place that checks the form of a neighbour's message: lengths of ids,
// hosts and lists, ports, orders, and sequence numbers and depths that cannot overflow later. A
// message that fails, or of an unknown kind, is an error of code `protocol`, safe to print. Unknown
// fields are skipped. The core checks whether a message makes sense.
//
// encode() needs values within limits.h; its result is within limits::kFrameBytes. Counts of
// members are sums of other peers' counts: a sum above limits::kMembers is sent as that limit.
// Stateless; linear in the size. Called by the shells of peers, and by the simulation.
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/wire/link.h"

namespace espalier::wire {

std::string encode(const LinkMessage& message);
Result<LinkMessage> decodeLink(std::string_view payload);

}  // namespace espalier::wire
