// The messages between a peer and its metaserver as protobuf and back: registry_codec.h for the
// codecs of messages that contain them. A message that fails is an error of code `protocol`.
// Stateless; thread-safe.
#pragma once

#include "common/base/result.h"
#include "common/wire/registry.h"

namespace espalier::proto {
class Join;
class RegistryReplyFrame;
class RegistryRequestFrame;
}  // namespace espalier::proto

namespace espalier::wire {

void toProto(const Join& join, proto::Join& out);
void toProto(const RegistryRequest& request, proto::RegistryRequestFrame& out);
void toProto(const RegistryReply& reply, proto::RegistryReplyFrame& out);
Result<Join> fromProto(const proto::Join& in);
Result<RegistryRequest> fromProto(const proto::RegistryRequestFrame& in);
Result<RegistryReply> fromProto(const proto::RegistryReplyFrame& in);

}  // namespace espalier::wire
