// The database of the rooms that a peer is in, STATE/rooms.db:
//
//   meta   revision (of the list of rooms)
//   rooms  name, opens_at, from_first, position (of the last entry), places, last_ms, unread,
//          naming
//   shown  room, speaker (hexadecimal digits), counter: the ids of the last 2,000 of a room
//
// A position is EPOCH.SERVER.SEQUENCE, a place POSITION:NUMBER. A StateDatabase
// (state_database.h): what is durable, and the errors.
//
// One thread at a time. All functions block on the disk. Used by RoomDatabase.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "peer/core/rooms/room_views.h"
#include "peer/storage/state_database.h"

namespace espalier::peer::storage {

// What has changed since the last write.
struct RoomChanges {
  struct Room {
    SavedRoom saved;
    bool wasLeft = false;                  // what was shown before it is forgotten
    std::vector<wire::RoomEntryId> shown;  // beside what is in the database
  };
  std::uint64_t revision = 0;  // 0: as it was
  std::map<RoomName, Room> rooms;

  bool isEmpty() const { return revision == 0 && rooms.empty(); }
  // Bounded by the number of rooms, and of ids of each.
  void add(const SavedRoom& saved);
  void addShown(const RoomName& room, const wire::RoomEntryId& id);
};

class RoomTables {
 public:
  static Result<RoomTables> open(const std::string& path);

  Result<RoomViews::Saved> load();
  // In one transaction.
  Result<void> write(const RoomChanges& changes);

 private:
  explicit RoomTables(StateDatabase database) : database_(std::move(database)) {}

  Result<void> loadRooms(RoomViews::Saved& saved);
  Result<void> loadShown(RoomViews::Saved& saved);
  Result<void> write(const RoomName& name, const RoomChanges::Room& room);

  StateDatabase database_;
};

}  // namespace espalier::peer::storage
