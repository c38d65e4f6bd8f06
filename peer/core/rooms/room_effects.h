// What RoomViews (room_views.h) asks the shell to send, to save and to show. Plain values.
#pragma once

#include <cstdint>
#include <vector>

#include "common/wire/rooms.h"

namespace espalier::peer {

// Of a room, over a restart.
struct SavedRoom {
  RoomName room;
  std::uint32_t opensAt = 0;            // with which it was joined
  bool isJoined = true;                 // false: it has been left
  bool fromFirst = false;               // it was closed: it is shown from its first entry on
  wire::LogPosition at;                 // of the last entry of the room in the home's log
  std::vector<wire::RoomPlace> places;  // of each epoch one, the latest first
  std::uint64_t lastMs = 0;             // when the last entry was sent
  std::uint64_t unread = 0;             // messages of others since the user read the room
  std::uint64_t naming = 0;             // of them, those that name the user
};

struct RoomViewsEffects {
  struct Missing {
    RoomName room;
    std::uint64_t from = 0;  // numbers
    std::uint64_t to = 0;
    std::uint64_t afterMs = 0;   // sent after that; 0: not known
    std::uint64_t beforeMs = 0;  // and before that
  };
  struct Show {
    wire::RoomEntry entry;  // a message, or `opened`
    bool isOwn = false;
    bool namesUser = false;
  };
  struct History {
    std::uint64_t number = 0;  // that history() gave
    std::vector<wire::RoomEntry> entries;
    bool isClosed = false;  // nothing of the room is shown yet
  };
  std::vector<wire::RoomRequest> sends;  // to the home
  std::uint64_t revision = 0;            // 0: as it was; to be saved
  std::vector<SavedRoom> saves;          // in one transaction with what is shown
  std::vector<Show> shows;
  std::vector<Missing> missing;  // before what is shown of that room
  std::vector<wire::RoomSaidReply> said;
  std::vector<wire::RoomState> states;
  std::vector<wire::RoomMoved> moved;
  std::vector<RoomName> entered;  // everybody knows by now that this peer is in it
  std::vector<History> histories;

  bool isToBeSaved() const { return revision > 0 || !saves.empty(); }
  // Beside `sends`.
  bool isEmpty() const {
    return !isToBeSaved() && shows.empty() && missing.empty() && said.empty() && states.empty() &&
           moved.empty() && entered.empty() && histories.empty();
  }
};

}  // namespace espalier::peer
