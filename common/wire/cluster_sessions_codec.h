// Batches of messages about sessions (cluster_sessions.h) as protobuf and back, for
// cluster_codec.cpp, the header of which says what decoding checks. A message that fails is an
// error of code `protocol`. Stateless; thread-safe.
#pragma once

#include "common/base/result.h"
#include "common/wire/cluster_sessions.h"

namespace espalier::proto {
class SessionAnswers;
class SessionRequests;
}  // namespace espalier::proto

namespace espalier::wire {

void toProto(const SessionRequests& batch, proto::SessionRequests& out);
void toProto(const SessionAnswers& batch, proto::SessionAnswers& out);
Result<SessionRequests> fromProto(const proto::SessionRequests& in);
Result<SessionAnswers> fromProto(const proto::SessionAnswers& in);

}  // namespace espalier::wire
