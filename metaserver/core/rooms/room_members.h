// Which members are in which rooms, as the directory tells every metaserver. In the lobby is
// everybody.
//
// Invariant: a member is in limits::kRoomsOfPeer rooms at most; a room is there while somebody is
// in it. Does no I/O. Not thread-safe. O(rooms of the member * log n) each; about 100 bytes for a
// member in a room.
#pragma once

#include <cstddef>
#include <map>
#include <set>
#include <vector>

#include "common/base/ids.h"
#include "metaserver/core/rooms/room_log.h"

namespace espalier::metaserver::rooms {

class RoomMembers {
 public:
  struct Change {
    RoomName room;
    bool isIn = false;
  };
  // It is a member of the network, with these rooms.
  std::vector<Change> set(const PeerId& member, const std::vector<RoomName>& rooms);
  std::vector<Change> remove(const PeerId& member);

  std::size_t countOf(const RoomName& room) const;
  // Without the lobby.
  const std::set<PeerId>* find(const RoomName& room) const;
  // Of that room, or of the lobby, behind that id, in their order; at most so many.
  std::vector<PeerId> membersOf(const RoomName& room, const PeerId& after, std::size_t most) const;
  // All members of the network, with their rooms.
  const std::map<PeerId, std::set<RoomName>>& all() const { return members_; }
  // Without the lobby.
  const std::map<RoomName, std::set<PeerId>>& rooms() const { return rooms_; }

 private:
  std::map<PeerId, std::set<RoomName>> members_;
  std::map<RoomName, std::set<PeerId>> rooms_;
};

}  // namespace espalier::metaserver::rooms
