// Messages of a link (link.h) as the payload of a frame, and back.
//
// decodeLink() is the one place where what a neighbour sent is checked for form: lengths of ids,
// hosts and lists, ports, orders, heartbeats and depths that nothing later can overflow. What fails
// is an error of code `protocol`, safe to print; so is a message of no kind that this version
// knows. Fields that it does not know are skipped. Whether a message makes sense where it arrives
// is the core's business.
//
// encode() wants values within limits.h and then stays within limits::kFrameBytes; counts of
// members above limits::kMembers are sent as that, since they are sums of what others claim.
// Stateless; linear in the size.
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/wire/link.h"

namespace espalier::wire {

std::string encode(const LinkMessage& message);
Result<LinkMessage> decodeLink(std::string_view payload);

}  // namespace espalier::wire
