// Messages of pushes (push.h) as protobuf and back, for link_codec.cpp, which embeds them. Decoding
// checks every id, length and count against limits.h, so cores get only well-formed messages. A
// message that fails is an error of code `protocol`. Stateless; thread-safe.
#pragma once

#include "common/base/result.h"
#include "common/wire/push.h"

namespace espalier::proto {
class Push;
}

namespace espalier::wire {

void toProto(const PushMessage& message, proto::Push& out);
Result<PushMessage> fromProto(const proto::Push& in);

}  // namespace espalier::wire
