// Writes what a peer has shown of its rooms to STATE/rooms.db (room_tables.h), on a thread of its
// own, and tells it when it is durable: so a restart shows nothing twice.
//
//   take() --> changes, tellings --the thread: one transaction--> onStored(tellings)
//
// While the disk takes nothing, it is logged once, tried again every second, and what has come is
// told all the same: a user whose disk is full still reads its rooms, and may be shown that again
// after a restart.
//
// Bounds: RoomChanges keeps the last state of each room, and so many ids; a transaction begins
// limits::kRoomWriteInterval after the one before, so floods cost a bounded disk.
// limits::kRoomShowsQueued messages wait for it. Of one more only its number is told, as missing.
//
// Thread: one, started by start(), ended by the destructor when what is queued was tried once more.
// take() and settle() from any thread: the first does not block, the second waits for the disk.
// `onStored` is called on the thread, without a lock. Owned by RoomDesk.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "peer/storage/room_tables.h"

namespace espalier::peer::storage {

// For the user, in this order.
using RoomTelling = std::variant<RoomViewsEffects::Missing, RoomViewsEffects::Show>;

class RoomDatabase {
 public:
  using Stored = std::function<void(std::vector<RoomTelling>& tellings)>;

  explicit RoomDatabase(RoomTables tables) : tables_(std::move(tables)) {}
  ~RoomDatabase();
  RoomDatabase(const RoomDatabase&) = delete;
  RoomDatabase& operator=(const RoomDatabase&) = delete;

  Result<void> start(Stored onStored);

  // Takes what is to be saved and shown.
  void take(RoomViewsEffects& fx);
  // Makes the file again, because the state folder was removed.
  void writeAgain();
  // Until what was taken before was written, or could not be: the error.
  Result<void> settle();

 private:
  void run();
  void add(RoomViewsEffects::Show&& show);

  RoomTables tables_;  // the thread's
  Stored onStored_;
  bool failing_ = false;

  std::mutex mutex_;
  std::condition_variable woken_;
  std::condition_variable settled_;
  RoomChanges changes_;
  std::vector<RoomTelling> tellings_;
  std::uint64_t taken_ = 0;  // counts calls
  std::uint64_t tried_ = 0;  // up to which
  Result<void> outcome_;     // of the last try
  TimePoint nextAt_{};       // when the next transaction may begin
  bool again_ = false;
  bool ending_ = false;
  std::jthread thread_;
};

}  // namespace espalier::peer::storage
