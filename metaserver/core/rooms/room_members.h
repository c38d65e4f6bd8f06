// Which members are in which rooms, as the directory tells every metaserver. In the lobby is
// everybody who has told its rooms: before that a home tells a member nothing, so nothing may open
// because of it.
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
  // It is a member of the network, with these rooms. `hasTold`: they are its own list, may be an
  // empty one.
  std::vector<Change> set(const PeerId& member, const std::vector<RoomName>& rooms, bool hasTold);
  std::vector<Change> remove(const PeerId& member);

  std::size_t countOf(const RoomName& room) const;
  // Without the lobby.
  const std::set<PeerId>* find(const RoomName& room) const;
  // Of that room, or for the lobby of the network, behind that id, in their order; at most so many.
  std::vector<PeerId> membersOf(const RoomName& room, const PeerId& after, std::size_t most) const;
  struct Member {
    std::set<RoomName> rooms;
    bool hasTold = false;
  };
  // All members of the network.
  const std::map<PeerId, Member>& all() const { return members_; }
  // Without the lobby.
  const std::map<RoomName, std::set<PeerId>>& rooms() const { return rooms_; }

 private:
  std::map<PeerId, Member> members_;
  std::size_t told_ = 0;  // of them
  std::map<RoomName, std::set<PeerId>> rooms_;
};

}  // namespace espalier::metaserver::rooms
