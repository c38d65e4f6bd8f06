// What is known of the gates of rooms, and how it is said again (room_log.h).
#include <algorithm>
#include <set>

#include "metaserver/core/rooms/room_log.h"

namespace espalier::metaserver::rooms {

using Kind = wire::RoomEntry::Kind;

wire::RoomEntry openedEntry(const RoomName& room) {
  wire::RoomEntry opened;
  opened.room = room;
  opened.id = openedId();
  opened.kind = Kind::opened;
  return opened;
}

wire::RoomEntry madeEntry(const RoomName& room, std::uint32_t opensAt) {
  wire::RoomEntry made;
  made.room = room;
  made.id = madeId(opensAt);
  made.kind = Kind::made;
  made.opensAt = opensAt;
  return made;
}

std::optional<wire::RoomEntry> lackedGate(const IndexedRoom& room, std::uint32_t lobbyOpensAt) {
  const auto& rest = room.rest();
  const bool hasGate = rest.room == lobby() ? lobbyOpensAt > 0 : room.opensAt() > 0;
  if (!hasGate) return std::nullopt;
  if (rest.isOpened) {
    if (room.numberOf(openedId())) return std::nullopt;
    return openedEntry(rest.room);
  }
  if (rest.opensAt == 0 || room.numberOf(madeId(rest.opensAt))) return std::nullopt;
  return madeEntry(rest.room, rest.opensAt);
}

std::vector<wire::RoomEntry> withGates(const RoomLog& log,
                                       const std::vector<wire::RoomEntry>& entries) {
  BatchFiller filler;
  std::set<RoomName> gates;
  for (const auto& entry : entries) {
    if (!log.apart().contains({entry.room, entry.id})) continue;
    const auto opensAt = log.gateOf(entry.room);
    if (opensAt > 1 && gates.insert(entry.room).second &&
        !filler.add(madeEntry(entry.room, opensAt))) {
      break;
    }
    if (!filler.add(entry)) break;
  }
  return filler.take();
}

std::uint32_t RoomLog::gateOf(const RoomName& name) const {
  if (const auto* room = find(name)) return room->isClosed() ? room->opensAt() : 0;
  const auto* ended = endOf(name);
  return ended && !ended->isOpened ? ended->opensAt : 0;
}

const wire::RoomRest* RoomLog::endOf(const RoomName& name) const {
  const auto last = std::find_if(ended_.rbegin(), ended_.rend(),
                                 [&](const auto& one) { return one.second.room == name; });
  return last == ended_.rend() ? nullptr : &last->second;
}

}  // namespace espalier::metaserver::rooms
