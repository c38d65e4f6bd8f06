// Which members are in which rooms, as the directory tells every metaserver. In the lobby is
// everybody who has told its rooms: before that a home tells a member nothing, so nothing may open
// because of it.
//
// Invariant: a member is in limits::kRoomsOfPeer rooms at most; a room is there while somebody is
// in it. Does no I/O. Not thread-safe. A change O(log n) for each room of the member, and moves
// four bytes for each member of such a room. Some 7 bytes for a member in a room.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <vector>

#include "common/base/ids.h"
#include "metaserver/core/rooms/room_log.h"
#include "metaserver/core/rooms/room_numbers.h"

namespace espalier::metaserver::rooms {

class RoomMembers {
 public:
  struct Change {
    RoomName room;
    bool isIn = false;
  };
  struct Changes {
    const PeerId& member;  // as it is kept until it is removed
    std::vector<Change> rooms;
  };
  // It is a member of the network, with these rooms. `hasTold`: they are its own list, may be an
  // empty one.
  Changes set(const PeerId& member, const std::vector<RoomName>& rooms, bool hasTold);
  std::vector<Change> remove(const PeerId& member);

  std::size_t countOf(const RoomName& room) const;
  // Of that room, or for the lobby of the network, behind that id, in their order; at most so many.
  std::vector<PeerId> membersOf(const RoomName& room, const PeerId& after, std::size_t most) const;
  struct Member {
    std::vector<RoomNumbers::Number> rooms;  // by name
    std::uint32_t slot = 0;
    bool hasTold = false;
  };
  // All members of the network.
  const std::map<PeerId, Member>& all() const { return members_; }
  // Without the lobby, by name.
  const std::map<RoomName, RoomNumbers::Number>& rooms() const { return numbers_.all(); }

 private:
  using Slot = std::uint32_t;

  Member& add(const PeerId& member);
  void leave(const Member& member, RoomNumbers::Number room);
  bool enter(const Member& member, const RoomName& room, RoomNumbers::Number& number);
  auto byId() const {
    return [this](Slot a, Slot b) { return *slots_[a] < *slots_[b]; };
  }

  std::map<PeerId, Member> members_;
  std::size_t told_ = 0;  // of them
  std::vector<const PeerId*> slots_;
  std::vector<Slot> freeSlots_;
  RoomNumbers numbers_;
  std::vector<std::vector<Slot>> rooms_;  // by number: who is in it, by id
};

}  // namespace espalier::metaserver::rooms
