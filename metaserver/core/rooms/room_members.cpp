#include "metaserver/core/rooms/room_members.h"

#include <utility>

namespace espalier::metaserver::rooms {

std::vector<RoomMembers::Change> RoomMembers::set(const PeerId& member,
                                                  const std::vector<RoomName>& rooms,
                                                  bool hasTold) {
  std::vector<Change> changes;
  auto& own = members_[member];
  if (own.hasTold != hasTold) {
    own.hasTold = hasTold;
    hasTold ? ++told_ : --told_;
    changes.push_back({lobby(), hasTold});
  }
  std::set<RoomName> wanted(rooms.begin(), rooms.end());
  wanted.erase(lobby());
  for (const auto& room : own.rooms) {
    if (wanted.contains(room)) continue;
    changes.push_back({room, false});
    const auto there = rooms_.find(room);
    there->second.erase(member);
    if (there->second.empty()) rooms_.erase(there);
  }
  for (const auto& room : wanted) {
    if (rooms_[room].insert(member).second) changes.push_back({room, true});
  }
  own.rooms = std::move(wanted);
  return changes;
}

std::vector<RoomMembers::Change> RoomMembers::remove(const PeerId& member) {
  if (!members_.contains(member)) return {};
  auto changes = set(member, {}, false);
  members_.erase(member);
  return changes;
}

std::vector<PeerId> RoomMembers::membersOf(const RoomName& room, const PeerId& after,
                                           std::size_t most) const {
  std::vector<PeerId> members;
  if (room == lobby()) {
    auto one = members_.upper_bound(after);
    for (; one != members_.end() && members.size() < most; ++one) members.push_back(one->first);
  } else if (const auto* there = find(room)) {
    auto one = there->upper_bound(after);
    for (; one != there->end() && members.size() < most; ++one) members.push_back(*one);
  }
  return members;
}

std::size_t RoomMembers::countOf(const RoomName& room) const {
  if (room == lobby()) return told_;
  const auto found = rooms_.find(room);
  return found == rooms_.end() ? 0 : found->second.size();
}

const std::set<PeerId>* RoomMembers::find(const RoomName& room) const {
  const auto found = rooms_.find(room);
  return found == rooms_.end() ? nullptr : &found->second;
}

}  // namespace espalier::metaserver::rooms
