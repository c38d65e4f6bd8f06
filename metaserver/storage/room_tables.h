// The tables of STATE/rooms.db: the log of rooms of this metaserver (metaserver/core/rooms/
// room_store.h says what they mean).
//
//   log       sequence, epoch_counter, epoch_number, room, number, speaker, counter, at, author,
//             kind, opens_at, apart, text
//   apart     the same behind a position of their own: in the order in which they were moved
//   rests     room, epoch_counter, epoch_number, sequence, last, opens_at, opened
//   ended     the same, by sequence
//   epochs    sequence, epoch_counter, epoch_number
//   log_end   one row: sequence, epoch_counter, epoch_number
//
// What inTransaction() has returned from is synced. The journal is a WAL: programs that read see
// whole batches, and do not wait. One that does not end keeps the WAL growing; beyond
// limits::kDatabaseLogBytes it fails until that one has ended.
//
// Errors, with what to do: `configuration` if the file is damaged, is something else, or is of a
// newer version; `io` for everything else. All functions block on the disk. One thread at a time.
// Owned by RoomDatabase. An entry costs O(log n); a truncation O(entries that move).
#pragma once

#include <string>
#include <vector>

#include "common/base/result.h"
#include "common/sqlite/database.h"
#include "metaserver/core/rooms/room_store.h"

namespace espalier::metaserver::storage {

class RoomTables {
 public:
  // Makes the file if there is none; only its owner can read it.
  static Result<RoomTables> open(const std::string& path);

  // What is there, without texts. Checks every value.
  Result<rooms::Stored> load();
  // Calls the functions below in one transaction: after an error nothing has changed.
  template <typename Change>
  Result<void> inTransaction(Change&& change) {
    if (auto fit = checkFile(); !fit) return fit;
    auto done = database_.inTransaction(change);
    return done ? done : explain(done.error());
  }
  Result<void> write(const rooms::StoreWrite& write);
  // As many entries of the range as fit a frame.
  Result<void> fill(const rooms::StoreRange& range, rooms::BatchFiller& filler);
  // The first entries that are apart, as many as fit a frame.
  Result<void> fillApart(rooms::BatchFiller& filler);

 private:
  RoomTables(std::string path, sqlite::Database database)
      : path_(std::move(path)), database_(std::move(database)) {}
  Result<void> checkFile();
  Error explain(const Error& error) const;
  Result<void> loadEntries(rooms::Stored& stored);
  Result<void> loadRests(const char* table, std::vector<wire::RoomRest>& rests);
  Result<void> fillFrom(sqlite::Statement& rows, rooms::BatchFiller& filler);
  Result<void> loadPositions(rooms::Stored& stored);
  Result<void> carryOut(const rooms::StoreAppend& append);
  Result<void> carryOut(const rooms::StoreEnd& end);
  Result<void> carryOut(const rooms::StoreEpoch& epoch);
  Result<void> carryOut(const rooms::StoreDropApart& drop);
  Result<void> carryOut(const rooms::StoreRest& rest);
  Result<void> carryOut(const rooms::StoreForget& forget);
  Result<void> setEnd(const wire::LogPosition& last);

  std::string path_;
  sqlite::Database database_;
};

}  // namespace espalier::metaserver::storage
