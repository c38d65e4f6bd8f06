// The end of a room that a metaserver may show to its own user: which entries those are, and where
// they lie on its disk. The same gates as for peers (room_home.h): nothing of a room that is
// closed, and nothing that is not committed.
//
// Pure functions. O(log rooms + most).
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "metaserver/core/rooms/rooms.h"

namespace espalier::metaserver::rooms {

struct RoomTail {
  enum class State { unknown, closed, open };  // unknown: neither entries nor members
  State state = State::unknown;
  wire::LogPosition last;           // of the last entry; zero: there is none
  std::uint64_t more = 0;           // of the wanted ones: older, and left out for their bytes
  std::optional<StoreRange> range;  // to be read; none: nothing
};

// The last `most` entries, of them the last that have together at most so many bytes, by estimate
// (BatchFiller::bytesOf()); one in any case.
RoomTail tailOf(const Rooms& rooms, const RoomName& room, std::size_t most,
                std::uint64_t bytesMost);

}  // namespace espalier::metaserver::rooms
