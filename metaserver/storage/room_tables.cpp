#include "metaserver/storage/room_tables.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <string_view>
#include <utility>
#include <variant>

#include "common/base/file.h"
#include "common/base/limits.h"
#include "common/base/state_version.h"
#include "common/base/text.h"
#include "metaserver/storage/room_rows.h"

namespace espalier::metaserver::storage {
namespace {

constexpr unsigned kRoomsVersion = 1;

constexpr const char* kEntryColumns = R"(
    epoch_counter INTEGER NOT NULL,
    epoch_number INTEGER NOT NULL,
    room TEXT NOT NULL,
    number INTEGER NOT NULL,
    speaker BLOB NOT NULL,
    counter INTEGER NOT NULL,
    at INTEGER NOT NULL,
    author TEXT NOT NULL,
    kind INTEGER NOT NULL,
    opens_at INTEGER NOT NULL,
    apart INTEGER NOT NULL,
    text TEXT NOT NULL
)";

constexpr const char* kRoomsSchema = R"(
  CREATE TABLE log (sequence INTEGER PRIMARY KEY, {0});
  CREATE INDEX log_by_room ON log (room, sequence);
  CREATE TABLE apart (position INTEGER PRIMARY KEY AUTOINCREMENT, sequence INTEGER NOT NULL, {0});
  CREATE INDEX apart_by_room ON apart (room, counter);
  CREATE TABLE rests (
    room TEXT PRIMARY KEY,
    epoch_counter INTEGER NOT NULL,
    epoch_number INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    last INTEGER NOT NULL,
    opens_at INTEGER NOT NULL,
    opened INTEGER NOT NULL
  );
  CREATE TABLE ended (
    room TEXT NOT NULL,
    epoch_counter INTEGER NOT NULL,
    epoch_number INTEGER NOT NULL,
    sequence INTEGER PRIMARY KEY,
    last INTEGER NOT NULL,
    opens_at INTEGER NOT NULL,
    opened INTEGER NOT NULL
  );
  CREATE TABLE epochs (
    sequence INTEGER PRIMARY KEY,
    epoch_counter INTEGER NOT NULL,
    epoch_number INTEGER NOT NULL
  );
  CREATE TABLE log_end (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    sequence INTEGER NOT NULL,
    epoch_counter INTEGER NOT NULL,
    epoch_number INTEGER NOT NULL
  );
  PRAGMA user_version = 1;
)";

constexpr const char* kRoomsModes = R"(
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = FULL;
  PRAGMA journal_size_limit = 4194304;
)";

// What is done about it.
Error roomsError(const std::string& path, const Error& error) {
  const std::string prefix = escaped(path) + ": ";
  const std::string why =
      error.message.starts_with(prefix) ? error.message.substr(prefix.size()) : error.message;
  if (error.code == ErrorCode::configuration) {
    return {error.code,
            fmt::format("{}the file is damaged ({}): put a copy of it back, or move it away; what "
                        "was said in rooms then comes from the other metaservers, if there are "
                        "any, and is lost otherwise",
                        prefix, why)};
  }
  return {error.code, fmt::format("{}{}: this metaserver keeps there what is said in rooms; make "
                                  "sure that the disk has room, that file and folder can be "
                                  "written, and that no other program has locked the file",
                                  prefix, why)};
}

Error strangeRooms(const std::string& path, std::string_view what) {
  return {ErrorCode::configuration, fmt::format("{}: {}", escaped(path), what)};
}

// The log of a file that was removed must not be taken for one of the new file.
Result<void> removeRoomsRemains(const std::string& path) {
  for (const char* suffix : {"-wal", "-shm", "-journal"}) {
    const std::string remains = path + suffix;
    if (::unlink(remains.c_str()) != 0 && errno != ENOENT) {
      return systemError("cannot remove " + escaped(remains), errno);
    }
  }
  return {};
}

Result<void> makeRooms(const std::string& path) {
  if (auto removed = removeRoomsRemains(path); !removed) return removed;
  auto empty = sqlite::Database::inMemory();
  if (!empty) return empty.error();
  if (auto made = empty->run(fmt::format(kRoomsSchema, kEntryColumns).c_str()); !made) return made;
  const auto bytes = empty->bytes();
  if (!bytes) return bytes.error();
  return replaceFile(path, *bytes, Durability::durable, kPrivate);
}

std::int64_t asStored(std::uint64_t number) {
  return static_cast<std::int64_t>(number);
}

}  // namespace

// --- opening

Result<RoomTables> RoomTables::open(const std::string& path) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) != 0) {
    if (errno != ENOENT) return systemError("cannot read " + escaped(path), errno);
    if (const auto made = makeRooms(path); !made) return roomsError(path, made.error());
  } else if (!S_ISREG(status.st_mode)) {
    return Error{ErrorCode::configuration,
                 fmt::format("{} is {}: move it away", escaped(path), kindOfFile(status.st_mode))};
  } else if ((status.st_mode & 07777) != kPrivate && ::chmod(path.c_str(), kPrivate) != 0) {
    return systemError("cannot make " + escaped(path) + " private", errno);
  }
  auto database = sqlite::Database::open(path);
  if (!database) return roomsError(path, database.error());
  RoomTables tables(path, *std::move(database));
  const auto version = tables.database_.number("PRAGMA user_version");
  if (!version) return roomsError(path, version.error());
  if (*version > kRoomsVersion) {
    if (auto known = checkStateVersion(path, static_cast<unsigned>(*version), kRoomsVersion);
        !known) {
      return known.error();
    }
  }
  if (*version != kRoomsVersion)
    return roomsError(path, strangeRooms(path, "it is no database of rooms"));
  if (const auto set = tables.database_.run(kRoomsModes); !set)
    return roomsError(path, set.error());
  return tables;
}

Error RoomTables::explain(const Error& error) const {
  return roomsError(path_, error);
}

Result<void> RoomTables::checkFile() {
  if (database_.hasMoved()) {
    return Error{ErrorCode::io,
                 fmt::format("{}: the file was removed or replaced: put it back, or restart this "
                             "metaserver",
                             escaped(path_))};
  }
  return database_.boundLog(limits::kDatabaseLogBytes);
}

// --- reading

Result<rooms::Stored> RoomTables::load() {
  rooms::Stored stored;
  Result<void> loaded = loadPositions(stored);
  if (loaded) loaded = loadRests("rests", stored.rests);
  if (loaded) loaded = loadRests("ended", stored.ended);
  if (loaded) loaded = loadEntries(stored);
  if (!loaded) return roomsError(path_, loaded.error());
  return stored;
}

Result<void> RoomTables::loadPositions(rooms::Stored& stored) {
  auto end = database_.prepare("SELECT sequence, epoch_counter, epoch_number FROM log_end");
  if (!end) return end.error();
  auto more = end->step();
  if (!more) return more.error();
  if (*more) {
    const auto last = positionIn(*end, 0, 1, 2);
    if (!last) return strangeRooms(path_, "the end of the log is out of its range");
    stored.last = *last;
  }
  auto rows = database_.prepare(
      "SELECT sequence, epoch_counter, epoch_number FROM epochs ORDER BY sequence");
  if (!rows) return rows.error();
  while (true) {
    more = rows->step();
    if (!more) return more.error();
    if (!*more) return {};
    const auto last = positionIn(*rows, 0, 1, 2);
    const bool rises = last && (stored.epochs.empty() || stored.epochs.back().epoch < last->epoch);
    if (!rises) return strangeRooms(path_, "an epoch is out of its range");
    stored.epochs.push_back(*last);
  }
}

Result<void> RoomTables::loadRests(const char* table, std::vector<wire::RoomRest>& rests) {
  auto rows = database_.prepare(fmt::format(
      "SELECT room, sequence, epoch_counter, epoch_number, last, opens_at, opened FROM {} "
      "ORDER BY sequence",
      table));
  if (!rows) return rows.error();
  while (true) {
    const auto more = rows->step();
    if (!more) return more.error();
    if (!*more) return {};
    auto room = RoomName::parse(rows->text(0));
    const auto before = positionIn(*rows, 1, 2, 3);
    const auto last = numberIn(*rows, 4, kRoomNumberMost);
    const auto opensAt = numberIn(*rows, 5, limits::kMembers);
    if (!room || !before || !last || !opensAt || rests.size() >= 2 * limits::kRooms) {
      return strangeRooms(path_, "a room is out of its range");
    }
    rests.push_back({*std::move(room), *before, *last, static_cast<std::uint32_t>(*opensAt),
                     rows->number(6) != 0});
  }
}

Result<void> RoomTables::loadEntries(rooms::Stored& stored) {
  auto rows = database_.prepare(fmt::format("{}{} FROM log ORDER BY sequence", kEntry, kNoText));
  if (!rows) return rows.error();
  while (true) {
    const auto more = rows->step();
    if (!more) return more.error();
    if (!*more) break;
    auto entry = entryIn(*rows);
    if (!entry) return strangeRooms(path_, "an entry of the log is out of its range");
    stored.log.push_back(*std::move(entry));
  }
  if (!stored.log.empty() && stored.log.back().entry.position > stored.last) {
    return strangeRooms(path_, "the log has entries behind its end");
  }
  auto apart = database_.prepare(fmt::format("{}{} FROM apart ORDER BY position", kEntry, kNoText));
  if (!apart) return apart.error();
  while (true) {
    const auto more = apart->step();
    if (!more) return more.error();
    if (!*more) return {};
    auto entry = entryIn(*apart);
    if (!entry) return strangeRooms(path_, "an entry that is apart is out of its range");
    stored.apart.push_back(std::move(entry->entry));
  }
}

Result<void> RoomTables::fill(const rooms::StoreRange& range, rooms::BatchFiller& filler) {
  const bool isOfAll = range.room.empty();
  const auto rows = database_.kept(
      fmt::format("{}{} FROM log WHERE sequence > ? AND sequence <= ? {}ORDER BY sequence LIMIT {}",
                  kEntry, kText, isOfAll ? "" : "AND room = ? ", limits::kRoomBatch + 1));
  if (!rows) return rows.error();
  (*rows)->bind(asStored(range.after)).bind(asStored(range.upTo));
  if (!isOfAll) (*rows)->bind(std::string_view(range.room.text()));
  return fillFrom(**rows, filler);
}

Result<void> RoomTables::fillApart(rooms::BatchFiller& filler) {
  const auto rows = database_.kept(
      fmt::format("{}{} FROM apart ORDER BY position LIMIT {}", kEntry, kText, limits::kRoomBatch));
  if (!rows) return rows.error();
  return fillFrom(**rows, filler);
}

Result<void> RoomTables::fillFrom(sqlite::Statement& rows, rooms::BatchFiller& filler) {
  while (true) {
    const auto more = rows.step();
    if (!more) return more.error();
    if (!*more) return {};
    auto entry = entryIn(rows);
    const bool isFull = entry && !filler.add(std::move(entry->entry));
    if (!entry || isFull) rows.reset();
    if (!entry) return strangeRooms(path_, "an entry is out of its range");
    if (isFull) return {};
  }
}

// --- writing

Result<void> RoomTables::write(const rooms::StoreWrite& write) {
  return std::visit([this](const auto& one) { return carryOut(one); }, write);
}

Result<void> RoomTables::setEnd(const wire::LogPosition& last) {
  return database_.change("INSERT OR REPLACE INTO log_end VALUES (1, ?, ?, ?)", last.sequence,
                          last.epoch.counter, number(last.epoch.number));
}

Result<void> RoomTables::carryOut(const rooms::StoreAppend& append) {
  const auto& entry = append.entry;
  const auto row =
      database_.kept("INSERT OR REPLACE INTO log VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
  if (!row) return row.error();
  const auto done = (*row)
                        ->bind(asStored(entry.position.sequence))
                        .bind(entry.position.epoch.counter)
                        .bind(number(entry.position.epoch.number))
                        .bind(std::string_view(entry.room.text()))
                        .bind(asStored(entry.number))
                        .bindBytes(entry.id.speaker.view())
                        .bind(asStored(entry.id.counter))
                        .bind(asStored(entry.atMs))
                        .bind(std::string_view(entry.author.text()))
                        .bind(static_cast<std::int64_t>(entry.kind))
                        .bind(entry.opensAt)
                        .bind(entry.isApart ? 1 : 0)
                        .bind(std::string_view(entry.text))
                        .step();
  if (!done) return done.error();
  return setEnd(entry.position);
}

Result<void> RoomTables::carryOut(const rooms::StoreEnd& end) {
  constexpr std::array kStatements = {
      "INSERT INTO apart (sequence, epoch_counter, epoch_number, room, number, speaker, counter, "
      "at, author, kind, opens_at, apart, text) SELECT sequence, epoch_counter, epoch_number, "
      "room, number, speaker, counter, at, author, kind, opens_at, apart, text FROM log "
      "WHERE sequence > ? ORDER BY sequence",
      "DELETE FROM log WHERE sequence > ?", "DELETE FROM epochs WHERE sequence > ?",
      "DELETE FROM ended WHERE sequence > ?"};
  for (const char* statement : kStatements) {
    if (auto done = database_.change(statement, end.last.sequence); !done) return done;
  }
  return setEnd(end.last);
}

Result<void> RoomTables::carryOut(const rooms::StoreEpoch& epoch) {
  auto done = database_.change("DELETE FROM epochs WHERE epoch_counter = ? AND epoch_number = ?",
                               epoch.last.epoch.counter, number(epoch.last.epoch.number));
  if (done) {
    done = database_.change("INSERT OR REPLACE INTO epochs VALUES (?, ?, ?)", epoch.last.sequence,
                            epoch.last.epoch.counter, number(epoch.last.epoch.number));
  }
  if (!done) return done;
  return database_.change(
      "DELETE FROM epochs WHERE sequence <= (SELECT sequence FROM epochs "
      "ORDER BY sequence DESC LIMIT 1 OFFSET ?)",
      limits::kRoomEpochs);
}

Result<void> RoomTables::carryOut(const rooms::StoreDropApart& drop) {
  const auto row =
      database_.kept("DELETE FROM apart WHERE room = ? AND counter = ? AND speaker = ?");
  if (!row) return row.error();
  const auto done = (*row)
                        ->bind(std::string_view(drop.room.text()))
                        .bind(asStored(drop.id.counter))
                        .bindBytes(drop.id.speaker.view())
                        .step();
  if (!done) return done.error();
  return {};
}

Result<void> RoomTables::carryOut(const rooms::StoreRest& rest) {
  const auto& row = rest.rest;
  auto done =
      database_.change("INSERT OR REPLACE INTO rests VALUES (?, ?, ?, ?, ?, ?, ?)", row.room.text(),
                       row.before.epoch.counter, number(row.before.epoch.number),
                       row.before.sequence, row.last, row.opensAt, row.isOpened);
  if (!done) return done;
  return database_.change("DELETE FROM log WHERE room = ? AND sequence <= ?", row.room.text(),
                          row.before.sequence);
}

Result<void> RoomTables::carryOut(const rooms::StoreForget& forget) {
  if (forget.hadGate) {
    auto done = database_.change("INSERT OR REPLACE INTO ended SELECT * FROM rests WHERE room = ?",
                                 forget.room.text());
    if (done) {
      done = database_.change(
          "DELETE FROM ended WHERE sequence <= (SELECT sequence FROM ended "
          "ORDER BY sequence DESC LIMIT 1 OFFSET ?)",
          limits::kRooms);
    }
    if (!done) return done;
  }
  return database_.change("DELETE FROM rests WHERE room = ?", forget.room.text());
}

}  // namespace espalier::metaserver::storage
