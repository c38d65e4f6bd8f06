// Rooms, for commands. Thread rule: see search_service.h. Errors have the code `unavailable` while
// this peer has no home that knows rooms.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/command/history_command.h"
#include "common/wire/room_lists.h"
#include "common/wire/rooms.h"
#include "peer/shell/events.h"

namespace espalier::peer::shell {

struct RoomInfo {
  RoomName room;
  std::uint64_t members = 0;
  std::uint32_t opensAt = 0;  // 0: at once
  bool isOpen = true;
  bool isIn = false;         // this peer is a member
  bool isConfirmed = false;  // a home has said so, or has listed the room
  std::uint64_t unread = 0;
  std::uint64_t naming = 0;  // of them, those that name this peer
};

struct SaidInRoom {
  RoomName room;
  std::uint64_t number = 0;  // in the room; 0: it was not said, for `error`
  Epoch epoch;
  std::uint32_t stored = 0;          // metaservers that have it on disk
  std::chrono::milliseconds wait{};  // until it may be said; zero: not known
  Error error;
};

using command::RoomHistory;

struct RoomListing {
  std::vector<RoomInfo> rooms;  // by name
  std::string problem;          // why it has only those that this peer is in; empty: it has all
};

struct RoomMembers {
  std::uint64_t count = 0;
  std::vector<wire::RoomMember> members;  // by id
};

class RoomService {
 public:
  using OnEvent = std::function<void(const Event&)>;

  virtual ~RoomService() = default;

  // This peer's id, which others see.
  virtual PeerId self() = 0;
  // Durable when it returns. Not confirmed: it is joined when a home is there.
  virtual Result<RoomInfo> join(const RoomName& room, std::uint32_t opensAt,
                                std::stop_token stop) = 0;
  virtual Result<void> part(const RoomName& room) = 0;
  // Returns when it is acknowledged or refused. An error: nothing was said, or, of the codes
  // `timeout` and `interrupted`, what its message says.
  virtual Result<SaidInRoom> say(const RoomName& room, const std::string& text,
                                 std::stop_token stop) = 0;
  // The last `most` entries. The user has read the room then.
  virtual Result<RoomHistory> history(const RoomName& room, std::size_t most,
                                      std::stop_token stop) = 0;
  virtual void read(const RoomName& room) = 0;
  virtual Result<RoomListing> rooms(std::stop_token stop) = 0;
  // Those that this peer is in, as it knows them: asks nobody.
  virtual Result<std::vector<RoomInfo>> own() = 0;
  // Of the network without a room.
  virtual Result<RoomMembers> who(const std::optional<RoomName>& room, std::stop_token stop) = 0;
  // Calls `onBegin`, and for all that happens from then on `onEvent`, until `stop`: RoomHappened,
  // Missed, and, without rooms, PrivateReceived.
  virtual Result<void> watch(const std::vector<RoomName>& rooms,
                             const std::function<void()>& onBegin, const OnEvent& onEvent,
                             std::stop_token stop) = 0;
  // Rooms that this peer is in whose names begin so.
  virtual std::vector<std::string> names(const std::string& prefix) = 0;
};

}  // namespace espalier::peer::shell
