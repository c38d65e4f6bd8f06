// The messages of rooms (rooms.h) as protobuf and back. Decoding checks the form: names, numbers,
// positions, texts, and the lengths of lists; whatever it returns keeps the limits that rooms.proto
// names. A message that fails is an error of code `protocol`, safe to print. Whether it makes sense
// is for the cores.
//
// encode() needs values within limits.h, and lists that fit a frame: what BatchFiller
// (metaserver/core/rooms/room_store.h) cuts does. toProto() and fromProto() are for the frames that
// embed these messages. Stateless; thread-safe; O(size).
#pragma once

#include <string>
#include <string_view>

#include "common/base/result.h"
#include "common/wire/rooms.h"

namespace espalier::proto {
class RoomAnswer;
class RoomPassed;
class RoomReply;
class RoomRequest;
class RoomServerMessage;
}  // namespace espalier::proto

namespace espalier::wire {

void toProto(const RoomRequest& message, proto::RoomRequest& out);
void toProto(const RoomReply& message, proto::RoomReply& out);
void toProto(const RoomPassed& message, proto::RoomPassed& out);
void toProto(const RoomAnswer& message, proto::RoomAnswer& out);
void toProto(const RoomServerMessage& message, proto::RoomServerMessage& out);
Result<RoomRequest> fromProto(const proto::RoomRequest& in);
Result<RoomReply> fromProto(const proto::RoomReply& in);
Result<RoomPassed> fromProto(const proto::RoomPassed& in);
Result<RoomAnswer> fromProto(const proto::RoomAnswer& in);
Result<RoomServerMessage> fromProto(const proto::RoomServerMessage& in);

// How many bytes encoding may add to what was decoded: positions of zero, which may be absent.
std::size_t zeroPositionBytes(const proto::RoomServerMessage& in);

std::string encode(const RoomRequest& message);
std::string encode(const RoomReply& message);
std::string encode(const RoomPassed& message);
std::string encode(const RoomAnswer& message);
std::string encode(const RoomServerMessage& message);
Result<RoomRequest> decodeRoomRequest(std::string_view payload);
Result<RoomReply> decodeRoomReply(std::string_view payload);
Result<RoomPassed> decodeRoomPassed(std::string_view payload);
Result<RoomAnswer> decodeRoomAnswer(std::string_view payload);
Result<RoomServerMessage> decodeRoomServerMessage(std::string_view payload);

}  // namespace espalier::wire
