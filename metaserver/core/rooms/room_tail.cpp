#include "metaserver/core/rooms/room_tail.h"

#include <algorithm>

namespace espalier::metaserver::rooms {

RoomTail tailOf(const Rooms& rooms, const RoomName& name, std::size_t most,
                std::uint64_t bytesMost) {
  RoomTail tail;
  const auto* room = rooms.log().find(name);
  if (!room && name != lobby() && rooms.members().countOf(name) == 0) return tail;
  if (rooms.isClosed(name)) {
    tail.state = RoomTail::State::closed;
    return tail;
  }
  tail.state = RoomTail::State::open;
  if (!room) return tail;
  const auto committed = room->placeAt(rooms.committed());
  const std::uint64_t kept = room->rest().last;  // the number before the first that is kept
  const std::uint64_t wanted =
      std::max(kept, committed.number > most ? committed.number - most : 0);
  std::uint64_t first = committed.number;
  std::uint64_t bytes = 0;
  for (; first > wanted; --first) {
    bytes += BatchFiller::bytesOf(room->at(first).bytes);
    if (bytes > bytesMost && first < committed.number) break;
  }
  tail.last = committed.position;
  if (first >= committed.number) return tail;
  tail.more = first - wanted;
  const auto after = first > kept ? room->at(first).position : room->rest().before;
  tail.range = StoreRange{name, after.sequence, committed.position.sequence};
  return tail;
}

}  // namespace espalier::metaserver::rooms
