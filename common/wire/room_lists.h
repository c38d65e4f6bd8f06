// Which rooms there are, and who is in them or in the network: questions of a peer to its home,
// which answers from its copy of the directory. docs/protocol.md describes the messages;
// registry_codec.h has the frames that contain them. Plain values without protobuf, so that cores
// can use them.
//
// A list longer than limits::kRoomListPage is asked for page by page: the next request names the
// last row of the page before. Pages are not of one moment: who comes or goes meanwhile may be on
// one of them or on none.
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "common/base/ids.h"

namespace espalier::wire {

struct RoomListRequest {
  RoomName after;            // rows behind this name; empty: from the first one on
  std::uint64_t number = 0;  // not 0; the answer repeats it

  bool operator==(const RoomListRequest&) const = default;
};

struct RoomRow {
  RoomName room;
  std::uint64_t members = 0;  // at most limits::kMembers
  std::uint32_t opensAt = 0;  // how many members it waits, or has waited, for; 0: it has no gate
  bool isOpen = true;
  std::uint64_t last = 0;  // number of the last entry that may be shown; 0: there is none

  bool operator==(const RoomRow&) const = default;
};

struct RoomList {
  std::uint64_t number = 0;    // of the request
  std::vector<RoomRow> rooms;  // by name, each once; with the lobby
  bool isMore = false;         // behind the last row

  bool operator==(const RoomList&) const = default;
};

struct RoomWhoRequest {
  RoomName room;             // empty: the network
  PeerId after;              // members behind this id; empty: from the first one on
  std::uint64_t number = 0;  // not 0; the answer repeats it

  bool operator==(const RoomWhoRequest&) const = default;
};

struct RoomMember {
  PeerId id;
  ServerName home;                    // empty: it is away
  std::chrono::milliseconds since{};  // when its session has begun, since 1970; 0: not known

  bool operator==(const RoomMember&) const = default;
};

struct RoomWho {
  std::uint64_t number = 0;         // of the request
  std::uint64_t count = 0;          // of all members of the room, or of the network
  std::vector<RoomMember> members;  // by id, each once
  bool isMore = false;              // behind the last one

  bool operator==(const RoomWho&) const = default;
};

}  // namespace espalier::wire
