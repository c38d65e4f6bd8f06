#include "metaserver/storage/session_tables.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <ctime>
#include <optional>
#include <utility>

#include "common/base/limits.h"
#include "common/base/state_version.h"
#include "common/base/text.h"

namespace espalier::metaserver::storage {
namespace {

using sessions::Day;
using std::chrono::milliseconds;

constexpr unsigned kTablesVersion = 1;

// A String of 004 is TEXT here: a column of the type String would make the number 7 of the id 007.
constexpr const char* kSessionTables = R"(
  BEGIN IMMEDIATE;
  CREATE TABLE IF NOT EXISTS servers (
    Date TEXT,
    Name TEXT,
    Average_Rating FLOAT,
    Today_Count INT,
    Monthly_Count INT,
    Total_Approaches INT,
    Lost_Count INT
  );
  CREATE TABLE IF NOT EXISTS session (
    Date TEXT,
    User TEXT,
    In_Time TEXT,
    Out_Time TEXT
  );
  CREATE TABLE IF NOT EXISTS rating (
    Time TEXT NOT NULL,
    User TEXT NOT NULL,
    Rating INT NOT NULL,
    Text TEXT NOT NULL
  );
  CREATE TABLE IF NOT EXISTS day (
    day INTEGER PRIMARY KEY,
    sessions INTEGER NOT NULL,
    approaches INTEGER NOT NULL,
    lost INTEGER NOT NULL,
    ratings INTEGER NOT NULL,
    rating_sum INTEGER NOT NULL
  );
  CREATE TABLE IF NOT EXISTS open_session (
    joined INTEGER PRIMARY KEY,
    id TEXT NOT NULL,
    since INTEGER NOT NULL,
    away INTEGER
  );
  CREATE TABLE IF NOT EXISTS state (key TEXT PRIMARY KEY, value INTEGER NOT NULL);
  CREATE TABLE IF NOT EXISTS own_name (one INTEGER PRIMARY KEY, name TEXT NOT NULL);
  CREATE TABLE IF NOT EXISTS other_run (number INTEGER NOT NULL, started INTEGER NOT NULL);
  PRAGMA user_version = 1;
  COMMIT;
)";

constexpr const char* kModes = R"(
  PRAGMA journal_mode = WAL;
  PRAGMA synchronous = NORMAL;
  PRAGMA temp_store = MEMORY;
  PRAGMA journal_size_limit = 1048576;
)";

constexpr const char* kPutOpen = "INSERT OR REPLACE INTO open_session VALUES (?, ?, ?, ?)";
constexpr const char* kRemoveOpen = "DELETE FROM open_session WHERE joined = ?";
constexpr const char* kAddSession =
    "INSERT INTO session (Date, User, In_Time, Out_Time) VALUES (?, ?, ?, ?)";
constexpr const char* kBoundSessions =
    "DELETE FROM session WHERE rowid <= (SELECT max(rowid) FROM session) - ?";
constexpr const char* kAddRating =
    "INSERT INTO rating (Time, User, Rating, Text) VALUES (?, ?, ?, ?)";
constexpr const char* kBoundRatings =
    "DELETE FROM rating WHERE rowid <= (SELECT max(rowid) FROM rating) - ?";
constexpr const char* kFindDay =
    "SELECT rowid FROM servers WHERE Date = ? AND Name = ? ORDER BY rowid DESC LIMIT 1";
constexpr const char* kAddServer =
    "INSERT INTO servers (Date, Name, Average_Rating, Today_Count, Monthly_Count, "
    "Total_Approaches, Lost_Count) VALUES "
    "(?1, ?2, CASE ?3 WHEN 0 THEN 0.0 ELSE ?4 * 1.0 / ?3 END, ?5, ?6, ?7, ?8) RETURNING rowid";
constexpr const char* kChangeServer =
    "UPDATE servers SET Date = ?1, Name = ?2, "
    "Average_Rating = CASE ?3 WHEN 0 THEN 0.0 ELSE ?4 * 1.0 / ?3 END, Today_Count = ?5, "
    "Monthly_Count = ?6, Total_Approaches = ?7, Lost_Count = ?8 WHERE rowid = ?9 RETURNING rowid";
constexpr const char* kRenameServer = "UPDATE servers SET Name = ? WHERE Date = ? AND Name = ?";
constexpr const char* kPutDay = "INSERT OR REPLACE INTO day VALUES (?, ?, ?, ?, ?, ?)";
constexpr const char* kPutState = "INSERT OR REPLACE INTO state VALUES (?, ?)";
constexpr const char* kPutName = "INSERT OR REPLACE INTO own_name VALUES (1, ?)";
constexpr const char* kAddRun = "INSERT INTO other_run VALUES (?, ?)";

Error outOfRange(const std::string& path) {
  return {ErrorCode::configuration, fmt::format("{}: a value is out of its range", escaped(path))};
}

std::string timeOf(milliseconds since1970) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since1970).count();
  const auto time = static_cast<std::time_t>(seconds);
  std::tm local{};
  if (::localtime_r(&time, &local) == nullptr) return "1970-01-01 00:00:00";
  return fmt::format("{:%Y-%m-%d %H:%M:%S}", local);
}

std::string dateOf(Day day) {
  const std::chrono::year_month_day date{
      std::chrono::sys_days{std::chrono::days{sessions::number(day)}}};
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
}

bool isCount(const sqlite::Statement& row, int column) {
  return row.isNumber(column) && row.number(column) >= 0 &&
         static_cast<std::uint64_t>(row.number(column)) <= limits::kStatisticsCount;
}

}  // namespace

// --- opening

Result<SessionTables> SessionTables::open(const std::string& path) {
  auto database = sqlite::Database::open(path);
  if (!database) return database.error();
  const auto version = database->number("PRAGMA user_version");
  if (!version) return version.error();
  const auto found = static_cast<unsigned>(*version);  // a negative one is newer than all
  if (const auto known = checkStateVersion(path, found, kTablesVersion); !known)
    return known.error();
  const auto check = database->text("PRAGMA quick_check(1)");
  if (!check) return check.error();
  if (*check != "ok") {
    return Error{ErrorCode::configuration, fmt::format("{}: {}", escaped(path), escaped(*check))};
  }
  // A file that is read-only has its tables already: it can be read at least.
  const auto moded = database->run(kModes);
  if (!moded && found != kTablesVersion) return moded.error();
  if (const auto made = found == kTablesVersion ? Result<void>() : database->run(kSessionTables);
      !made) {
    return made.error();
  }
  // All of them now: tables with other columns are found at the start.
  for (const char* each :
       {kPutOpen, kRemoveOpen, kAddSession, kBoundSessions, kAddRating, kBoundRatings, kFindDay,
        kAddServer, kChangeServer, kRenameServer, kPutDay, kPutState, kPutName, kAddRun}) {
    if (const auto prepared = database->kept(each); !prepared) return prepared.error();
  }
  return SessionTables(path, std::move(*database));
}

// --- reading

Result<sessions::Stored> SessionTables::load() {
  sessions::Stored stored;
  auto state = database_.prepare("SELECT key, value FROM state");
  if (!state) return state.error();
  while (true) {
    const auto isThere = state->step();
    if (!isThere) return isThere.error();
    if (!*isThere) break;
    if (!isCount(*state, 1)) return outOfRange(path_);
    const std::string key = state->text(0);
    const std::int64_t value = state->number(1);
    if (key == "since") stored.since = milliseconds(value);
    if (key == "seen") stored.seen = milliseconds(value);
    if (key == "date" && value > limits::kStatisticsDate) return outOfRange(path_);
    if (key == "date") stored.date = Day{static_cast<std::int32_t>(value)};
  }
  auto name = database_.prepare("SELECT name FROM own_name");
  if (!name) return name.error();
  if (const auto isThere = name->step(); isThere && *isThere) name_ = name->text(0);
  name->reset();
  auto runs = database_.prepare("SELECT number, started FROM other_run");
  if (!runs) return runs.error();
  while (true) {
    const auto isThere = runs->step();
    if (!isThere) return isThere.error();
    if (!*isThere) break;
    if (!isCount(*runs, 0) || runs->number(0) > 0xffff || !isCount(*runs, 1)) {
      return outOfRange(path_);
    }
    stored.others.push_back(
        {ServerNumber{static_cast<std::uint16_t>(runs->number(0))}, milliseconds(runs->number(1))});
  }
  if (auto loaded = loadDays(stored); !loaded) return loaded.error();
  if (auto loaded = loadOpen(stored); !loaded) return loaded.error();
  return stored;
}

Result<void> SessionTables::loadDays(sessions::Stored& stored) {
  auto days = database_.prepare(
      "SELECT day, sessions, approaches, lost, ratings, rating_sum FROM day ORDER BY day");
  if (!days) return days.error();
  while (true) {
    const auto isThere = days->step();
    if (!isThere) return isThere.error();
    if (!*isThere) return {};
    for (int column = 0; column < 6; ++column) {
      if (!isCount(*days, column)) return outOfRange(path_);
    }
    if (days->number(0) > limits::kStatisticsDate) return outOfRange(path_);
    const auto count = [&](int column) { return static_cast<std::uint64_t>(days->number(column)); };
    const sessions::Tally tally{count(1), count(2), count(3), count(4), count(5)};
    auto& [total, known] = stored.counters;
    known[Day{static_cast<std::int32_t>(days->number(0))}] = tally;
    if (known.size() > limits::kStatisticsDays) known.erase(known.begin());
    total += tally;
  }
}

Result<void> SessionTables::loadOpen(sessions::Stored& stored) {
  auto open = database_.prepare("SELECT joined, id, since, away FROM open_session ORDER BY joined");
  if (!open) return open.error();
  while (true) {
    const auto isThere = open->step();
    if (!isThere) return isThere.error();
    if (!*isThere) return {};
    auto id = PeerId::parse(open->text(1));
    const bool isOrder = open->isNumber(0) && open->number(0) > 0;
    if (!id || !isOrder || !isCount(*open, 2)) return outOfRange(path_);
    sessions::OpenRow row{JoinOrder{static_cast<std::uint64_t>(open->number(0))}, *std::move(id),
                          milliseconds(open->number(2)), std::nullopt};
    if (isCount(*open, 3)) row.away = milliseconds(open->number(3));
    if (stored.open.size() < limits::kMembers) stored.open.push_back(std::move(row));
  }
}

// --- writing

Result<void> SessionTables::write(const sessions::Batch& batch, const std::string& name) {
  if (const auto bounded = database_.boundLog(limits::kDatabaseLogBytes); !bounded) return bounded;
  auto written = database_.inTransaction([&] { return writeAll(batch, name); });
  if (!written) row_.reset();  // it may be undone
  if (written) name_ = name;
  return written;
}

Result<void> SessionTables::writeAll(const sessions::Batch& batch, const std::string& name) {
  if (auto written = writeOpen(batch); !written) return written;
  if (auto written = writeRows(batch); !written) return written;
  if (auto written = writeEarlier(batch); !written) return written;
  for (const auto& row : batch.days) {
    if (auto written = writeDay(row, name); !written) return written;
  }
  for (const auto& [key, value] : {std::pair("since", std::int64_t{batch.since.count()}),
                                   {"seen", std::int64_t{batch.seen.count()}},
                                   {"date", std::int64_t{sessions::number(batch.date)}}}) {
    if (auto put = database_.change(kPutState, key, value); !put) return put;
  }
  if (name != name_) {
    if (auto put = database_.change(kPutName, name); !put) return put;
  }
  if (auto cleared = database_.run("DELETE FROM other_run"); !cleared) return cleared;
  for (const auto& run : batch.others) {
    auto added = database_.change(kAddRun, number(run.number), run.started.count());
    if (!added) return added;
  }
  return {};
}

Result<void> SessionTables::writeOpen(const sessions::Batch& batch) {
  if (batch.isWhole) {
    if (auto cleared = database_.run("DELETE FROM open_session"); !cleared) return cleared;
  }
  for (const JoinOrder order : batch.ended) {
    auto removed = database_.change(kRemoveOpen, number(order));
    if (!removed) return removed;
  }
  for (const auto& row : batch.open) {
    const auto away = row.away ? std::optional(row.away->count()) : std::nullopt;
    auto put =
        database_.change(kPutOpen, number(row.order), row.id.text(), row.since.count(), away);
    if (!put) return put;
  }
  return {};
}

Result<void> SessionTables::writeRows(const sessions::Batch& batch) {
  for (const auto& row : batch.rows) {
    const std::string date = dateOf(row.date);
    const std::string in = timeOf(row.in);
    const std::string out = timeOf(row.out);
    auto added = database_.change(kAddSession, date, row.id.text(), in, out);
    if (!added) return added;
  }
  if (!batch.rows.empty()) {
    auto bound = database_.change(kBoundSessions, limits::kSessionRows);
    if (!bound) return bound;
  }
  for (const auto& row : batch.ratings) {
    const std::string at = timeOf(row.at);
    const auto& [id, score, given] = row.rating;
    const std::string text = escaped(given);  // it may be shown on a terminal
    auto added = database_.change(kAddRating, at, id.text(), score, text);
    if (!added) return added;
  }
  if (batch.ratings.empty()) return {};
  return database_.change(kBoundRatings, limits::kRatingRows);
}

// What was counted before the first day that is known, as if on the day before it: after a restart
// the sum of all days is the total. It is no row of `servers`: it was on many days.
Result<void> SessionTables::writeEarlier(const sessions::Batch& batch) {
  if (!batch.hasAllDays || batch.days.empty()) return {};
  if (auto cleared = database_.run("DELETE FROM day"); !cleared) return cleared;
  if (batch.earlier == sessions::Tally()) return {};  // else there was a day before
  return putDay(Day{sessions::number(batch.days.front().day) - 1}, batch.earlier);
}

Result<void> SessionTables::putDay(Day day, const sessions::Tally& tally) {
  const auto& [begun, approaches, lost, ratings, ratingSum] = tally;
  return database_.change(kPutDay, sessions::number(day), begun, approaches, lost, ratings,
                          ratingSum);
}

Result<void> SessionTables::writeDay(const sessions::DayRow& row, const std::string& name) {
  const auto& [day, tally, month, total] = row;
  if (auto put = putDay(day, tally); !put) return put;
  const std::string date = dateOf(day);
  if (!name_.empty() && name_ != name) {  // still one row a day
    auto renamed = database_.change(kRenameServer, name, date, name_);
    if (!renamed) return renamed;
  }
  if (!row_ || row_->first != day) {
    row_.reset();
    const auto find = database_.kept(kFindDay);
    if (!find) return find.error();
    const auto isThere = (*find)->bind(date).bind(name).step();
    if (!isThere) return isThere.error();
    if (*isThere) row_ = {day, (*find)->number(0)};
    (*find)->reset();
  }
  // Who removes a row while the metaserver runs gets it again.
  for (const bool isThere : {true, false}) {
    if (isThere && !row_) continue;
    const auto prepared = database_.kept(isThere ? kChangeServer : kAddServer);
    if (!prepared) return prepared.error();
    sqlite::Statement& write = **prepared;
    const auto signedOf = [](std::uint64_t count) { return static_cast<std::int64_t>(count); };
    write.bind(date).bind(name).bind(signedOf(total.ratings)).bind(signedOf(total.ratingSum));
    write.bind(signedOf(tally.sessions)).bind(signedOf(month)).bind(signedOf(total.approaches));
    write.bind(signedOf(total.lost));
    if (isThere) write.bind(row_->second);
    const auto wrote = write.step();
    if (!wrote) return wrote.error();
    if (*wrote) row_ = {day, write.number(0)};
    write.reset();
    if (*wrote) break;
  }
  return {};
}

}  // namespace espalier::metaserver::storage
