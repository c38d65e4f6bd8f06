#include "metaserver/storage/directory_tables.h"

#include <fmt/chrono.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <optional>

#include "common/base/ids.h"
#include "common/base/limits.h"
#include "common/base/text.h"

namespace espalier::metaserver::storage {
namespace {

// `homes` has the numbers of the metaservers, by which members follow a home that changes its name
// or port. Tables in `temp` belong to this connection only.
constexpr const char* kTables = R"(
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = OFF;
  PRAGMA temp_store = MEMORY;
  PRAGMA journal_size_limit = 1048576;
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
  PRAGMA user_version = 1;
  COMMIT;
  CREATE TEMP TABLE homes (joined INTEGER PRIMARY KEY, number INTEGER NOT NULL);
)";

Result<void> removeFile(const std::string& path) {
  if (::unlink(path.c_str()) == 0 || errno == ENOENT) return {};
  return systemError("cannot remove " + escaped(path), errno);
}

Result<void> done(const Result<bool>& step) {
  if (!step) return step.error();
  return {};
}

std::string dateOf(std::chrono::milliseconds since1970) {
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since1970).count();
  return fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(static_cast<std::time_t>(seconds)));
}

std::int64_t numberOf(JoinOrder order) {
  return static_cast<std::int64_t>(number(order));  // at most limits::kJoinOrder
}

}  // namespace

Result<DirectoryTables> DirectoryTables::make(const std::string& path) {
  for (const char* suffix : {"", "-wal", "-shm", "-journal"}) {
    if (const auto removed = removeFile(path + suffix); !removed) return removed.error();
  }
  auto database = sqlite::Database::open(path);
  if (!database) return database.error();
  if (const auto made = database->run(kTables); !made) return made.error();
  auto statements = prepare(*database);
  if (!statements) return statements.error();
  return DirectoryTables(path, std::move(*database), std::move(*statements));
}

Result<DirectoryTables::Statements> DirectoryTables::prepare(sqlite::Database& database) {
  std::optional<Error> error;
  const auto prepared = [&](std::string_view text) {
    auto statement = database.prepare(text);
    if (!statement && !error) error = statement.error();
    return statement ? std::optional(std::move(*statement)) : std::nullopt;
  };
  auto removeMember = prepared("DELETE FROM user_names WHERE joined = ?");
  auto putMember = prepared("INSERT OR REPLACE INTO user_names VALUES (?, ?, ?, ?, ?, ?, ?)");
  auto removeHome = prepared("DELETE FROM homes WHERE joined = ?");
  auto putHome = prepared("INSERT OR REPLACE INTO homes VALUES (?, ?)");
  auto putServer = prepared("INSERT OR REPLACE INTO metaservers VALUES (?, ?, ?, ?, ?, ?)");
  auto moveMembers = prepared(
      "UPDATE user_names SET home = ?, home_port = ? "
      "WHERE joined IN (SELECT joined FROM homes WHERE number = ?)");
  if (error) return *std::move(error);
  return Statements{*std::move(removeMember), *std::move(putMember), *std::move(removeHome),
                    *std::move(putHome),      *std::move(putServer), *std::move(moveMembers)};
}

Result<void> DirectoryTables::write(const DirectoryBatch& batch) {
  if (const auto bounded = boundLog(); !bounded) return bounded;
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

// A checkpoint at each commit folds the log in, as far as readers let it.
Result<void> DirectoryTables::boundLog() {
  struct stat log {};
  const std::string path = path_ + "-wal";
  if (::stat(path.c_str(), &log) != 0) return {};
  if (static_cast<std::uint64_t>(log.st_size) <= limits::kDatabaseLogBytes) return {};
  const auto isBusy = database_.number("PRAGMA wal_checkpoint(TRUNCATE)");
  if (!isBusy) return isBusy.error();
  if (*isBusy == 0) return {};
  return Error{ErrorCode::io,
               fmt::format("{}: a program that reads it does not end", escaped(path_))};
}

Result<void> DirectoryTables::writeServers(const std::vector<DirectoryServer>& servers) {
  if (auto cleared = database_.run("DELETE FROM metaservers"); !cleared) return cleared;
  std::map<ServerNumber, Home> before;
  for (const auto& server : servers_) {
    before[server.number] = {server.name.text(), server.serverPort};
  }
  for (const auto& server : servers) {
    const std::string started = dateOf(server.started);
    auto put = done(statements_.putServer.bind(server.name.text())
                        .bind(server.address.host)
                        .bind(server.address.port)
                        .bind(server.serverPort)
                        .bind(server.isMaster ? 1 : 0)
                        .bind(started)
                        .step());
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
  auto& statement = statements_.moveMembers;
  if (home != nullptr) {
    statement.bind(home->name).bind(home->port);
  } else {
    statement.bindNone().bindNone();
  }
  return done(statement.bind(espalier::number(number)).step());
}

Result<void> DirectoryTables::writeMembers(const MemberChanges& changes,
                                           const std::map<ServerNumber, Home>& homes) {
  if (changes.fromScratch) {
    auto cleared = database_.run("DELETE FROM user_names; DELETE FROM homes");
    if (!cleared) return cleared;
  }
  for (const JoinOrder order : changes.gone) {
    for (sqlite::Statement* remove : {&statements_.removeMember, &statements_.removeHome}) {
      if (auto removed = done(remove->bind(numberOf(order)).step()); !removed) return removed;
    }
  }
  for (const auto& row : changes.rows) {
    if (auto put = putMember(row, homes); !put) return put;
  }
  return {};
}

Result<void> DirectoryTables::putMember(const MemberRow& row,
                                        const std::map<ServerNumber, Home>& homes) {
  const auto& [id, order, endpoint, instance] = row.contact;
  auto& put = statements_.putMember;
  put.bind(id.text()).bind(numberOf(order)).bind(endpoint.host).bind(endpoint.port);
  if (const auto home = homes.find(row.home); home != homes.end()) {
    put.bind(home->second.name).bind(home->second.port);
  } else {
    put.bindNone().bindNone();
  }
  const std::string hash = toHex(instance.view());
  instance.isZero() ? put.bindNone() : put.bind(hash);
  if (auto stepped = done(put.step()); !stepped) return stepped;
  return done(statements_.putHome.bind(numberOf(order)).bind(number(row.home)).step());
}

}  // namespace espalier::metaserver::storage
