#include "metaserver/core/rooms/room_members.h"

#include <utility>

namespace espalier::metaserver::rooms {

std::vector<RoomMembers::Change> RoomMembers::set(const PeerId& member,
                                                  const std::vector<RoomName>& rooms) {
  std::vector<Change> changes;
  const auto [own, isNew] = members_.try_emplace(member);
  if (isNew) changes.push_back({lobby(), true});
  std::set<RoomName> wanted(rooms.begin(), rooms.end());
  wanted.erase(lobby());
  for (const auto& room : own->second) {
    if (wanted.contains(room)) continue;
    changes.push_back({room, false});
    const auto there = rooms_.find(room);
    there->second.erase(member);
    if (there->second.empty()) rooms_.erase(there);
  }
  for (const auto& room : wanted) {
    if (rooms_[room].insert(member).second) changes.push_back({room, true});
  }
  own->second = std::move(wanted);
  return changes;
}

std::vector<RoomMembers::Change> RoomMembers::remove(const PeerId& member) {
  if (!members_.contains(member)) return {};
  auto changes = set(member, {});
  members_.erase(member);
  changes.push_back({lobby(), false});
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
  if (room == lobby()) return members_.size();
  const auto found = rooms_.find(room);
  return found == rooms_.end() ? 0 : found->second.size();
}

const std::set<PeerId>* RoomMembers::find(const RoomName& room) const {
  const auto found = rooms_.find(room);
  return found == rooms_.end() ? nullptr : &found->second;
}

}  // namespace espalier::metaserver::rooms
