// The tables of STATE/storage.db: what a metaserver has counted, and the sessions of its peers.
// docs/statistics.md has the columns.
//
//   servers, session   those of the program that this one follows (004): its readers work unchanged
//   rating             what peers have said about the service
//   day, open_session, state, other_run     what this program needs after a restart
//
// Times are local. A day has one row of `servers`. Readers see whole batches and do not block the
// writer (WAL, without a sync of each batch: a power failure may take the latest ones).
//
// Bounds: limits::kSessionRows rows of `session` and limits::kRatingRows of `rating`; the oldest
// make room. Errors: as of sqlite/database.h. One thread at a time.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "common/base/result.h"
#include "common/sqlite/database.h"
#include "metaserver/core/sessions/sessions.h"

namespace espalier::metaserver::storage {

class SessionTables {
 public:
  // Opens or makes the file, and the tables that are missing. `configuration`: the file is damaged,
  // of a newer version, or has tables with other columns.
  static Result<SessionTables> open(const std::string& path);

  Result<sessions::Stored> load();
  // All of it, or nothing. `name`: of this metaserver now.
  Result<void> write(const sessions::Batch& batch, const std::string& name);
  // The file was removed or replaced.
  bool hasMoved() const { return database_.hasMoved(); }

 private:
  SessionTables(std::string path, sqlite::Database database)
      : path_(std::move(path)), database_(std::move(database)) {}
  Result<void> loadDays(sessions::Stored& stored);
  Result<void> loadOpen(sessions::Stored& stored);
  Result<void> writeAll(const sessions::Batch& batch, const std::string& name);
  Result<void> writeOpen(const sessions::Batch& batch);
  Result<void> writeRows(const sessions::Batch& batch);
  Result<void> writeEarlier(const sessions::Batch& batch);
  Result<void> putDay(sessions::Day day, const sessions::Tally& tally);
  Result<void> writeDay(const sessions::DayRow& row, const std::string& name);

  std::string path_;
  sqlite::Database database_;
  std::string name_;  // under which the latest day is written
  // The row of `servers` of a day: of the latest one that was written.
  std::optional<std::pair<sessions::Day, std::int64_t>> row_;
};

}  // namespace espalier::metaserver::storage
