// The messages between a peer and its metaserver (registry.h) as the payload of a frame, and back.
//
// Decoding is the only place that checks the form: lengths, ports, counts, orders, intervals. A
// message that fails, or of a kind that this version does not know, is an error of code `protocol`,
// safe to print. Unknown fields are skipped. A wait's reason, a failure's message and the join word
// are bounded, but may contain any bytes: escape them before printing.
//
// encode() needs values within limits.h; its result is within limits::kFrameBytes. The caller cuts
// a Topology into pages (encodedBytesAtMost). A Failure in a registry's reply has another form than
// hello.h's: encode it as RegistryReply(failure). Stateless; linear in the size. Called by the
// shells of both programs.
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

// An upper bound of an entry's size in the frame of a Topology.
std::size_t encodedBytesAtMost(const TopologyEntry& entry);

}  // namespace espalier::wire
