// What the codecs of rooms share: names, positions, ids, entries. For rooms_codec.cpp and
// rooms_server_codec.cpp only. Stateless.
#pragma once

#include <string>

#include "common/base/result.h"
#include "common/wire/rooms.h"
#include "rooms.pb.h"

namespace espalier::wire {

inline constexpr std::uint64_t kTimesMost = 1ull << 53;  // milliseconds since 1970: below

Result<RoomName> readRoom(const std::string& in);
Result<std::uint64_t> readRoomNumber(std::uint64_t in);
Result<std::uint32_t> readGate(std::uint32_t in);
std::string readSentence(const std::string& in);

void fill(const LogPosition& position, proto::LogPosition& out);
Result<LogPosition> readPosition(const proto::LogPosition& in);
void fill(const RoomEntryId& id, proto::RoomEntryId& out);
Result<RoomEntryId> readEntryId(const proto::RoomEntryId& in);
void fill(const RoomEntry& entry, proto::RoomEntry& out);
Result<RoomEntry> readEntry(const proto::RoomEntry& in);
void fill(const RoomSay& say, proto::RoomSay& out);
Result<RoomSay> readSay(const proto::RoomSay& in);
void fill(const RoomsWanted& wanted, proto::RoomsWanted& out);
Result<RoomsWanted> readWanted(const proto::RoomsWanted& in);
void fill(const RoomSaidReply& reply, proto::RoomSaidReply& out);
Result<RoomSaidReply> readSaidReply(const proto::RoomSaidReply& in);

// Each of `in` by `read`, at most `most` of them.
template <typename Out, typename Fields, typename Read>
Result<std::vector<Out>> readEach(const Fields& in, std::size_t most, Read read) {
  if (static_cast<std::size_t>(in.size()) > most) {
    return Error{ErrorCode::protocol, "a list of " + std::to_string(in.size()) + " in a message"};
  }
  std::vector<Out> out;
  out.reserve(static_cast<std::size_t>(in.size()));
  for (const auto& one : in) {
    auto value = read(one);
    if (!value) return value.error();
    out.push_back(*std::move(value));
  }
  return out;
}

}  // namespace espalier::wire
