// What rooms ask of the shell (rooms.h). Plain values. Carried out in the order of the members, and
// each list in its order; the shell need not wait for a sync before it sends.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/ids.h"
#include "metaserver/core/rooms/room_store.h"

namespace espalier::metaserver::rooms {

struct RoomsEffects {
  struct ToServer {
    ServerNumber to{};
    wire::RoomServerMessage message;
    std::optional<StoreRange> entries;  // to be filled with these (BatchFiller), of the disk
  };
  struct ToPeers {
    std::vector<ConnectionId> to;  // never empty; the same bytes for all
    wire::RoomReply reply;
    std::optional<StoreRange> entries;
  };
  // The master: what the registry is to note as the rooms of a member, unless it knows a higher
  // revision. The directory tells all metaservers (Rooms::memberRooms()).
  struct RoomsOfMember {
    PeerId member;
    std::uint64_t revision = 0;
    std::vector<RoomName> rooms;  // by name
  };

  std::vector<StoreWrite> writes;
  std::optional<std::uint64_t> persist;  // the writes are to be durable; answered by persisted()
  bool readApart = false;                // answered by apartRead(): the first ones that are apart
  std::vector<ToServer> messages;        // to metaservers; may be lost
  std::vector<ToPeers> peers;
  std::vector<wire::RoomPassed> toMaster;  // in the home's stream of session messages
  std::vector<std::pair<ServerNumber, wire::RoomAnswer>> toHomes;  // in the stream of that home
  std::vector<RoomsOfMember> members;
  // To decide (on), this metaserver needs an epoch above this one: decide() again, if it still is
  // to decide.
  std::optional<Epoch> needsEpoch;
  std::vector<std::string> notices;  // for the log; printable
};

}  // namespace espalier::metaserver::rooms
