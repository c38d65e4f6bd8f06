// Keeps the log of rooms in STATE/rooms.db (room_tables.h), on a thread of its own, so that a slow
// disk does not block the event loop.
//
//   write(), read() --> queue --the thread takes all: one transaction--> synced --> persisted
//                         ^--a second after a failure, the same writes again--+
//
// Writes are carried out in their order, and a read sees the writes before it. What is read is told
// once these are synced.
//
// What cannot be written is logged once, told (`failing`), and tried again every
// limits::kRoomDiskRetry; until then nothing is durable, and reads are dropped: who asked asks
// again. The writes are bounded by the core (limits::kRoomUnsyncedBytes), the reads by
// limits::kRoomReads.
//
// Thread: one, started by start(), ended by the destructor when what is queued was tried once more.
// write() and read() from any thread, without blocking. All callbacks come on the thread, without a
// lock. Owned by the server.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/result.h"
#include "metaserver/storage/room_tables.h"

namespace espalier::metaserver::storage {

class RoomDatabase {
 public:
  struct Done {
    // All writes up to this number are synced.
    std::function<void(std::uint64_t number)> persisted;
    // It takes nothing any more, or does again.
    std::function<void(bool isFailing)> failing;
  };
  using Filled = std::function<void(rooms::BatchFiller filler)>;

  explicit RoomDatabase(std::string path) : path_(std::move(path)) {}
  ~RoomDatabase();
  RoomDatabase(const RoomDatabase&) = delete;
  RoomDatabase& operator=(const RoomDatabase&) = delete;

  // Before start(). What is wrong with the file, and what to do.
  Result<rooms::Stored> load();
  Result<void> start(Done done);

  void write(std::vector<rooms::StoreWrite> writes, std::uint64_t number);
  // Entries of that range, or the first ones that are apart. False: too many wait, it is dropped.
  bool read(std::optional<rooms::StoreRange> range, Filled filled);

 private:
  struct Writes {
    std::vector<rooms::StoreWrite> writes;
    std::uint64_t number = 0;
  };
  struct Read {
    std::optional<rooms::StoreRange> range;  // none: what is apart
    Filled filled;
  };
  using Job = std::variant<Writes, Read>;

  void run();
  bool carryOutSome();
  Result<void> carryOut(std::size_t count, std::vector<rooms::BatchFiller>& filled);
  std::size_t batchOf() const;
  void dropReads();

  const std::string path_;
  Done done_;
  std::optional<RoomTables> tables_;  // the thread's, once it is started
  std::deque<Job> jobs_;              // likewise: taken, not done yet
  bool isFailing_ = false;

  std::mutex mutex_;
  std::condition_variable woken_;
  std::deque<Job> queue_;
  std::size_t reads_ = 0;  // in the queue, and in jobs_
  bool ending_ = false;
  std::jthread thread_;
};

}  // namespace espalier::metaserver::storage
