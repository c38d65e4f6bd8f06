#include "metaserver/storage/directory_tables.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <optional>
#include <string_view>

#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/base/text.h"

namespace espalier::metaserver::storage {
namespace {

// `homes` has the numbers of the metaservers, by which members follow a home that changes its name
// or port. Tables in `temp` belong to this connection only. It only writes,
// so a small cache is enough.
constexpr const char* kTables = R"(
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = OFF;
  PRAGMA temp_store = MEMORY;
  PRAGMA journal_size_limit = 1048576;
  PRAGMA cache_size = -512;
  BEGIN;
  CREATE TABLE metaservers (
    name TEXT PRIMARY KEY,
    host TEXT NOT NULL,
    port INTEGER NOT NULL,
    server_port INTEGER NOT NULL,
    master INTEGER NOT NULL,
    started TEXT NOT NULL
  );
  CREATE TABLE user_names (
    id TEXT NOT NULL,
    joined INTEGER PRIMARY KEY,
    host TEXT NOT NULL,
    port INTEGER NOT NULL,
    home TEXT,
    home_port INTEGER,
    instance TEXT
  );
  CREATE TABLE user_rooms (
    room TEXT NOT NULL,
    id TEXT NOT NULL,
    home_port INTEGER,
    PRIMARY KEY (room, id)
  );
  CREATE INDEX user_names_by_id ON user_names (id);
  CREATE INDEX user_rooms_by_id ON user_rooms (id);
  PRAGMA user_version = 1;
  COMMIT;
  CREATE TEMP TABLE homes (joined INTEGER PRIMARY KEY, number INTEGER NOT NULL);
)";

// Not if the id has passed to another order meanwhile.
constexpr const char* kLeaveRooms =
    "DELETE FROM user_rooms WHERE id IN (SELECT id FROM user_names WHERE joined = ?1) AND NOT "
    "EXISTS (SELECT 1 FROM user_names WHERE id = user_rooms.id AND joined <> ?1)";

// A REPLACE would keep a journal for this statement alone.
constexpr const char* kPutMember =
    "INSERT INTO user_names VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (joined) DO UPDATE SET "
    "id = excluded.id, host = excluded.host, port = excluded.port, home = excluded.home, "
    "home_port = excluded.home_port, instance = excluded.instance";

Result<void> removeFile(const std::string& path) {
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  return systemError("cannot remove " + escaped(path), errno);
}

std::string dateOf(std::chrono::milliseconds since1970) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since1970).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(static_cast<std::time_t>(seconds)));
}

}  // namespace

Result<DirectoryTables> DirectoryTables::make(const std::string& path) {
  for (const char* suffix : {"", "-wal", "-shm", "-journal"}) {
    if (const auto removed = removeFile(path + suffix); !removed) return removed.error();
  }
  auto database = sqlite::Database::open(path);
  if (!database) return database.error();
  if (const auto made = database->run(kTables); !made) return made.error();
  return DirectoryTables(std::move(*database));
}

Result<void> DirectoryTables::write(const DirectoryBatch& batch) {
  if (const auto bounded = database_.boundLog(limits::kDatabaseLogBytes); !bounded) return bounded;
  std::map<ServerNumber, Home> homes;
  for (const auto& server : batch.servers) {
    homes[server.number] = {server.name.text(), server.serverPort};
  }
  const auto written = database_.inTransaction([&]() -> Result<void> {
    if (batch.servers != servers_) {
      if (auto changed = writeServers(batch.servers); !changed) return changed;
    }
    return writeMembers(batch.members, homes);
  });
  if (written) servers_ = batch.servers;
  return written;
}

Result<void> DirectoryTables::writeServers(const std::vector<DirectoryServer>& servers) {
  if (auto cleared = database_.run("DELETE FROM metaservers"); !cleared) return cleared;
  std::map<ServerNumber, Home> before;
  for (const auto& server : servers_) {
    before[server.number] = {server.name.text(), server.serverPort};
  }
  for (const auto& server : servers) {
    const std::string started = dateOf(server.started);
    auto put = database_.change("INSERT OR REPLACE INTO metaservers VALUES (?, ?, ?, ?, ?, ?)",
                                server.name.text(), server.address.host, server.address.port,
                                server.serverPort, server.isMaster, started);
    if (!put) return put;
    const Home home{server.name.text(), server.serverPort};
    const auto old = before.find(server.number);
    const bool isSame = old != before.end() && old->second == home;
    if (old != before.end()) before.erase(old);
    if (isSame) continue;
    if (auto moved = moveMembers(server.number, &home); !moved) return moved;
  }
  for (const auto& [number, home] : before) {
    if (auto moved = moveMembers(number, nullptr); !moved) return moved;
  }
  return {};
}

// Null: the metaserver is not there any more.
Result<void> DirectoryTables::moveMembers(ServerNumber number, const Home* home) {
  const auto name = home != nullptr ? std::optional(home->name) : std::nullopt;
  const auto port = home != nullptr ? std::optional(home->port) : std::nullopt;
  auto moved = database_.change(
      "UPDATE user_names SET home = ?, home_port = ? "
      "WHERE joined IN (SELECT joined FROM homes WHERE number = ?)",
      name, port, espalier::number(number));
  if (!moved) return moved;
  return database_.change(
      "UPDATE user_rooms SET home_port = ? WHERE id IN (SELECT id FROM user_names "
      "WHERE joined IN (SELECT joined FROM homes WHERE number = ?))",
      port, espalier::number(number));
}

Result<void> DirectoryTables::writeMembers(const MemberChanges& changes,
                                           const std::map<ServerNumber, Home>& homes) {
  if (changes.fromScratch) {
    auto cleared =
        database_.run("DELETE FROM user_names; DELETE FROM homes; DELETE FROM user_rooms");
    if (!cleared) return cleared;
  }
  for (const auto& row : changes.rows) mayHaveRooms_ = mayHaveRooms_ || !row->rooms.empty();
  for (const JoinOrder order : changes.gone) {
    for (const char* remove : {kLeaveRooms, "DELETE FROM user_names WHERE joined = ?",
                               "DELETE FROM homes WHERE joined = ?"}) {
      if (auto removed = database_.change(remove, number(order)); !removed) return removed;
    }
  }
  for (const auto& row : changes.rows) {
    if (auto put = putMember(*row, homes); !put) return put;
  }
  return {};
}

Result<void> DirectoryTables::putMember(const MemberRow& row,
                                        const std::map<ServerNumber, Home>& homes) {
  const auto& [id, order, endpoint, instance] = row.contact;
  std::optional<std::string_view> name;
  std::optional<std::uint16_t> port;
  if (const auto home = homes.find(row.home); home != homes.end()) {
    name = home->second.name;
    port = home->second.port;
  }
  if (mayHaveRooms_) {
    auto left = database_.change("DELETE FROM user_rooms WHERE id = ?", id.text());
    if (!left) return left;
  }
  for (const auto& room : row.rooms) {
    auto in = database_.change("INSERT OR REPLACE INTO user_rooms VALUES (?, ?, ?)", room.text(),
                               id.text(), port);
    if (!in) return in;
  }
  const auto hash = instance.isZero() ? std::nullopt : std::optional(toHex(instance.view()));
  auto put = database_.change(kPutMember, id.text(), number(order), endpoint.host, endpoint.port,
                              name, port, hash);
  if (!put) return put;
  return database_.change("INSERT OR REPLACE INTO homes VALUES (?, ?)", number(order),
                          number(row.home));
}

}  // namespace espalier::metaserver::storage
