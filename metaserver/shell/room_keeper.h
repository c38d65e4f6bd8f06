// Carries out what rooms ask for (core/rooms/rooms_effects.h): writes for STATE/rooms.db, messages
// with entries that are read there, and what peers are told.
//
//   carryOut() --writes, reads--> the database's thread --done: a function in the box--> tick()
//
// The thread puts what is done into a box, and wakes the loop: it never waits for it. Nothing here
// waits for the disk.
//
// Bounds: those of the database (storage/room_database.h), and limits::kRoomReadsOfPeer reads for
// one connection. A read beyond is dropped: a peer asks again after limits::kRoomAskTimeout, a
// metaserver after limits::kRoomPullTimeout.
//
// A peer that waits for an answer leaves aside what it is told of the room meanwhile. So if the
// room has grown while the answer was read, the peer is told behind it where the room is.
//
// Thread rule: the loop's thread. Owned by the server, which is the host.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/guarded.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "common/wire/rooms.h"
#include "metaserver/core/rooms/rooms_effects.h"
#include "metaserver/storage/room_database.h"

namespace espalier::metaserver::shell {

class RoomKeeper {
 public:
  struct Host {
    std::function<void(std::uint64_t number)> persisted;
    std::function<void(const std::vector<wire::RoomEntry>&)> apart;
    std::function<void(bool isFailing)> failing;
    std::function<void(ServerNumber, const wire::RoomServerMessage&)> tell;
    std::function<void(const std::vector<ConnectionId>&, const wire::RoomReply&)> reply;
    // Where the room is, if that is behind this sequence.
    std::function<std::optional<wire::RoomMessages>(const RoomName&, std::uint64_t)> beyond;
    std::function<void()> wake;  // the loop; from any thread
  };

  RoomKeeper(const std::string& path, Host host);

  // Reads the database. An error says what is wrong with it, and what to do.
  Result<rooms::Stored> open() { return database_.load(); }
  Result<void> start();

  void carryOut(rooms::RoomsEffects& fx);
  // For a command, behind all that was carried out. `filled` is called on the database's thread, or
  // dropped while the disk fails. False: too many reads wait.
  bool read(const rooms::StoreRange& range, std::function<void(rooms::BatchFiller)> filled) {
    return database_.read(range, std::move(filled));
  }
  void closed(ConnectionId connection) { reads_.erase(connection); }
  void tick();
  TimePoint deadline() const { return hasDone_ ? TimePoint::min() : kNever; }

 private:
  using Function = std::function<void()>;

  void put(Function done);
  void read(rooms::RoomsEffects::ToServer message);
  void read(rooms::RoomsEffects::ToPeers message);

  const Host host_;
  Guarded<std::vector<Function>> box_{};
  std::atomic<bool> hasDone_ = false;
  std::map<ConnectionId, std::size_t> reads_;  // that are under way
  storage::RoomDatabase database_;             // ends first: its thread uses the box
};

}  // namespace espalier::metaserver::shell
