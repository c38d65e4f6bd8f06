#include "metaserver/core/rooms/room_members.h"

#include <algorithm>
#include <set>
#include <utility>

namespace espalier::metaserver::rooms {

RoomMembers::Member& RoomMembers::add(const PeerId& id) {
  const auto [own, isNew] = members_.try_emplace(id);
  if (!isNew) return own->second;
  if (freeSlots_.empty()) {
    freeSlots_.push_back(static_cast<Slot>(slots_.size()));
    slots_.push_back(nullptr);
  }
  own->second.slot = freeSlots_.back();
  freeSlots_.pop_back();
  slots_[own->second.slot] = &own->first;
  return own->second;
}

void RoomMembers::leave(const Member& member, RoomNumbers::Number room) {
  eraseSorted(rooms_[room], member.slot, byId());
  numbers_.drop(room);
}

bool RoomMembers::enter(const Member& member, const RoomName& room, RoomNumbers::Number& number) {
  const auto taken = numbers_.take(room);
  if (!taken) return false;
  if (rooms_.size() <= *taken) rooms_.resize(*taken + 1u);
  insertSorted(rooms_[*taken], member.slot, byId());
  number = *taken;
  return true;
}

RoomMembers::Changes RoomMembers::set(const PeerId& id, const std::vector<RoomName>& rooms,
                                      bool hasTold) {
  auto& own = add(id);
  Changes all{*slots_[own.slot], {}};
  auto& changes = all.rooms;
  if (own.hasTold != hasTold) {
    own.hasTold = hasTold;
    hasTold ? ++told_ : --told_;
    changes.push_back({lobby(), hasTold});
  }
  if (rooms.empty() && own.rooms.empty()) return all;
  std::set<RoomName> wanted(rooms.begin(), rooms.end());
  wanted.erase(lobby());
  std::map<RoomName, RoomNumbers::Number> kept;
  std::vector<RoomNumbers::Number> left;
  for (const auto room : own.rooms) {
    const auto& name = numbers_.nameOf(room);
    wanted.contains(name) ? (void)kept.emplace(name, room) : left.push_back(room);
  }
  for (const auto room : left) {
    changes.push_back({numbers_.nameOf(room), false});
    leave(own, room);
  }
  own.rooms.clear();
  own.rooms.reserve(wanted.size());
  for (const auto& name : wanted) {
    const auto known = kept.find(name);
    RoomNumbers::Number room = known == kept.end() ? 0 : known->second;
    if (known == kept.end()) {
      if (!enter(own, name, room)) continue;
      changes.push_back({name, true});
    }
    own.rooms.push_back(room);
  }
  if (own.rooms.capacity() > own.rooms.size()) own.rooms.shrink_to_fit();
  return all;
}

std::vector<RoomMembers::Change> RoomMembers::remove(const PeerId& id) {
  if (!members_.contains(id)) return {};
  auto changes = set(id, {}, false).rooms;
  const auto own = members_.find(id);
  freeSlots_.push_back(own->second.slot);
  members_.erase(own);
  return changes;
}

std::vector<PeerId> RoomMembers::membersOf(const RoomName& room, const PeerId& after,
                                           std::size_t most) const {
  std::vector<PeerId> members;
  if (room == lobby()) {
    auto one = members_.upper_bound(after);
    for (; one != members_.end() && members.size() < most; ++one) members.push_back(one->first);
  } else if (const auto number = numbers_.find(room)) {
    const auto& there = rooms_[*number];
    auto one = std::upper_bound(there.begin(), there.end(), after,
                                [&](const PeerId& id, Slot slot) { return id < *slots_[slot]; });
    for (; one != there.end() && members.size() < most; ++one) members.push_back(*slots_[*one]);
  }
  return members;
}

std::size_t RoomMembers::countOf(const RoomName& room) const {
  if (room == lobby()) return told_;
  const auto number = numbers_.find(room);
  return number ? numbers_.usersOf(*number) : 0;
}

}  // namespace espalier::metaserver::rooms
