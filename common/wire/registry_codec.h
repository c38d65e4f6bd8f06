// What a peer and its metaserver say to each other (registry.h) as the payload of a frame, and
// back.
//
// Decoding is the one place where forms are checked: lengths, ports, counts, orders, intervals.
// What fails is an error of code `protocol`, safe to print; so is a message of no kind that this
// version knows. Fields that it does not know are skipped. A wait's reason, a failure's message and
// the join word are bounded, but any bytes: escape them before they are printed.
//
// encode() wants values within limits.h and then stays within limits::kFrameBytes; a Topology is
// cut into pages by who fills it (encodedBytesAtMost). A failure inside of a registry's reply is
// not hello.h's: write encode(RegistryReply(failure)). Stateless; linear in the size.
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/wire/registry.h"

namespace espalier::wire {

std::string encode(const RegistryRequest& request);
std::string encode(const RegistryReply& reply);
Result<RegistryRequest> decodeRegistryRequest(std::string_view payload);
Result<RegistryReply> decodeRegistryReply(std::string_view payload);

// What an entry takes in the frame of a Topology, at most.
std::size_t encodedBytesAtMost(const TopologyEntry& entry);

}  // namespace espalier::wire
