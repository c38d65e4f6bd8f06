// Lists of rooms and of their members (room_lists.h) as protobuf and back, for the codec of the
// registry. A message that fails is an error of code `protocol`. Stateless; thread-safe; O(size).
#pragma once

#include "common/base/result.h"
#include "common/wire/room_lists.h"

namespace espalier::proto {
class RoomList;
class RoomListRequest;
class RoomWho;
class RoomWhoRequest;
}  // namespace espalier::proto

namespace espalier::wire {

void toProto(const RoomListRequest& message, proto::RoomListRequest& out);
void toProto(const RoomList& message, proto::RoomList& out);
void toProto(const RoomWhoRequest& message, proto::RoomWhoRequest& out);
void toProto(const RoomWho& message, proto::RoomWho& out);
Result<RoomListRequest> fromProto(const proto::RoomListRequest& in);
Result<RoomList> fromProto(const proto::RoomList& in);
Result<RoomWhoRequest> fromProto(const proto::RoomWhoRequest& in);
Result<RoomWho> fromProto(const proto::RoomWho& in);

}  // namespace espalier::wire
