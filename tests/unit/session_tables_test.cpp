// STATE/storage.db: its tables as another program reads them, and disks that fail.
#include "metaserver/storage/session_tables.h"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <memory>
#include <string>
#include <thread>

#include "common/base/guarded.h"
#include "common/base/limits.h"
#include "common/base/log.h"
#include "metaserver/storage/session_database.h"
#include "tests/unit/directory_rows.h"
#include "tests/unit/failing_disk.h"
#include "tests/unit/temporary_folder.h"

using namespace espalier;
using namespace espalier::metaserver;
using namespace espalier::metaserver::storage;
using namespace std::chrono_literals;
using sessions::Batch;
using sessions::Day;
using std::chrono::milliseconds;
using test::FailingDisk;
using test::TemporaryFolder;

namespace {

constexpr milliseconds kNoon{1'796'040'000'000};  // 2026-11-30 12:00:00, UTC
constexpr Day kToday{20'787};

PeerId peerOf(const std::string& text) {
  return *PeerId::parse(text);
}

Batch batchOf(std::uint64_t sessions) {
  Batch batch;
  batch.since = kNoon - 1h;
  batch.seen = kNoon + 5s;
  batch.date = kToday;
  batch.days = {{kToday, {sessions, sessions + 2, 1, 2, 9}, sessions, {sessions, 12, 1, 2, 9}}};
  return batch;
}

// As another program.
void runOn(const std::string& path, const char* statements) {
  sqlite3* writer = nullptr;
  REQUIRE(::sqlite3_open(path.c_str(), &writer) == SQLITE_OK);
  CHECK(::sqlite3_exec(writer, statements, nullptr, nullptr, nullptr) == SQLITE_OK);
  ::sqlite3_close_v2(writer);
}

struct Given {
  Given() {
    ::setenv("TZ", "UTC", 1);
    ::tzset();
  }
  SessionTables open() {
    auto opened = SessionTables::open(path);
    if (!opened) FAIL(opened.error().message);
    return std::move(*opened);
  }
  std::string all(const std::string& query) const { return test::all(path, query.c_str()); }

  TemporaryFolder folder;
  std::string path = folder / "storage.db";
};

// The errors of the log.
struct Log {
  Log() {
    log::setSink(
        [](std::string_view line, void* given) {
          static_cast<Log*>(given)->lines.with(
              [&](std::string& all) { all += std::string(line) + "\n"; });
        },
        this);
  }
  Log(const Log&) = delete;
  Log& operator=(const Log&) = delete;
  ~Log() { log::setSink(nullptr, nullptr); }

  int count(std::string_view text) {
    return lines.with([&](const std::string& all) {
      int found = 0;
      for (auto at = all.find(text); at != std::string::npos; at = all.find(text, at + 1)) ++found;
      return found;
    });
  }

  Guarded<std::string> lines;
};

// What the thread of a database takes.
struct Source {
  std::optional<Batch> take(bool all) {
    if (all) ++whole;
    return next.with([&](std::optional<Batch>& batch) {
      auto taken = std::exchange(batch, std::nullopt);
      if (!taken && all) taken = batchOf(1);
      return taken;
    });
  }
  void put(Batch batch) {
    next.with([&](std::optional<Batch>& waiting) { waiting = std::move(batch); });
  }

  Guarded<std::optional<Batch>> next{};
  std::atomic<int> whole{0};
};

template <typename Condition>
void await(Condition condition) {
  while (!condition()) std::this_thread::yield();
}

constexpr std::string_view kFailure = "counting goes on in memory";
constexpr std::string_view kSuccess = "can be written again";

}  // namespace

TEST_CASE(
    "a day has one row of servers, with the names and types of the columns that readers know") {
  Given given;
  auto tables = given.open();
  REQUIRE(tables.write(batchOf(3), "m5000").ok());
  REQUIRE(tables.write(batchOf(4), "m5000").ok());
  CHECK(given.all("SELECT Date, Name, Average_Rating, Today_Count, Monthly_Count, "
                  "Total_Approaches, Lost_Count FROM servers") ==
        "2026-11-30|m5000|4.5|4|4|12|1\n");
  CHECK(given.all(
            "SELECT group_concat(name || ' ' || type, ', ') FROM pragma_table_info('servers')") ==
        "Date TEXT, Name TEXT, Average_Rating FLOAT, Today_Count INT, Monthly_Count INT, "
        "Total_Approaches INT, Lost_Count INT\n");
  CHECK(given.all(
            "SELECT group_concat(name || ' ' || type, ', ') FROM pragma_table_info('session')") ==
        "Date TEXT, User TEXT, In_Time TEXT, Out_Time TEXT\n");
  // Also after a restart, and under another name.
  auto again = given.open();
  REQUIRE(again.load().ok());
  REQUIRE(again.write(batchOf(5), "paris").ok());
  CHECK(given.all("SELECT Name, Today_Count FROM servers") == "paris|5\n");
}

TEST_CASE("a session has the id as it is, and local times") {
  Given given;
  ::setenv("TZ", "UTC-2", 1);  // two hours before UTC
  ::tzset();
  auto tables = given.open();
  Batch batch = batchOf(1);
  batch.rows = {{kToday, peerOf("007"), kNoon, kNoon + 90s}};
  REQUIRE(tables.write(batch, "m5000").ok());
  CHECK(given.all("SELECT Date, User, In_Time, Out_Time, typeof(User) FROM session") ==
        "2026-11-30|007|2026-11-30 14:00:00|2026-11-30 14:01:30|text\n");
}

TEST_CASE("the text of a rating can be shown on a terminal, whatever a peer wrote") {
  Given given;
  auto tables = given.open();
  Batch batch = batchOf(1);
  batch.ratings = {{kNoon, {peerOf("s1"), 4, "good\x1b[2J\n'); DROP TABLE servers; --"}}};
  REQUIRE(tables.write(batch, "m5000").ok());
  CHECK(given.all("SELECT Time, User, Rating FROM rating") == "2026-11-30 12:00:00|s1|4\n");
  CHECK(given.all("SELECT Text FROM rating") == "good\\x1b[2J\\n'); DROP TABLE servers; --\n");
}

TEST_CASE("what was written is read after a restart") {
  Given given;
  Batch batch = batchOf(3);
  batch.others = {{ServerNumber{7}, 5s}};
  batch.open = {{JoinOrder{1}, peerOf("s1"), kNoon, {}},
                {JoinOrder{2}, peerOf("s2"), kNoon, kNoon + 4s},
                {JoinOrder{3}, peerOf("s3"), kNoon, {}}};
  {
    auto tables = given.open();
    REQUIRE(tables.write(batch, "m5000").ok());
    Batch more = batchOf(4);
    more.others = batch.others;
    more.ended = {JoinOrder{3}};
    REQUIRE(tables.write(more, "m5000").ok());
  }
  auto tables = given.open();
  const auto stored = tables.load();
  REQUIRE(stored.ok());
  batch.open.pop_back();
  CHECK(stored->open == batch.open);
  CHECK(stored->others == batch.others);
  CHECK(stored->since == batch.since);
  CHECK(stored->seen == batch.seen);
  CHECK(stored->date == kToday);
  CHECK(stored->counters.total == sessions::Tally{4, 6, 1, 2, 9});
  CHECK(stored->counters.days.at(kToday) == stored->counters.total);
}

TEST_CASE("a database of the program that this one follows is taken as it is") {
  Given given;
  runOn(given.path,
        "CREATE TABLE servers (Date String, Name String, Average_Rating Float, Today_Count Int, "
        "Monthly_Count Int, Total_Approaches Int, Lost_Count Int);"
        "CREATE TABLE session (Date String, User String, In_Time String, Out_Time String);"
        "INSERT INTO session VALUES ('2020-01-01', 'old', 'a', 'b')");
  auto tables = given.open();
  Batch batch = batchOf(1);
  batch.rows = {{kToday, peerOf("s1"), kNoon, kNoon}};
  REQUIRE(tables.write(batch, "m5000").ok());
  CHECK(given.all("SELECT group_concat(User) FROM session") == "old,s1\n");
}

TEST_CASE("a row that somebody has removed is written again") {
  Given given;
  auto tables = given.open();
  REQUIRE(tables.write(batchOf(3), "m5000").ok());
  runOn(given.path, "DELETE FROM servers");
  REQUIRE(tables.write(batchOf(4), "m5000").ok());
  CHECK(given.all("SELECT Today_Count FROM servers") == "4\n");
}

TEST_CASE("a database that is damaged, newer or another one is refused, with what to do") {
  for (const std::string how : {"damaged", "newer", "other"}) {
    CAPTURE(how);
    Given given;
    if (how == "damaged") std::ofstream(given.path) << std::string(8192, 'x');
    if (how == "newer") runOn(given.path, "PRAGMA user_version = 2");
    if (how == "other") runOn(given.path, "CREATE TABLE servers (something INT)");
    SessionDatabase database(given.path);
    const auto stored = database.load();
    REQUIRE_FALSE(stored.ok());
    CHECK(exitCode(stored.error().code) == 78);
    CAPTURE(stored.error().message);
    CHECK(stored.error().message.find("storage.db") != std::string::npos);
    const bool saysToMove =
        stored.error().message.find("move it away, and it counts from zero") != std::string::npos;
    CHECK(saysToMove == (how != "newer"));
  }
}

TEST_CASE("a full disk is told once, and what came meanwhile is written when there is room") {
  FailingDisk disk;
  Log log;
  Given given;
  Source source;
  auto database = std::make_unique<SessionDatabase>(given.path);
  REQUIRE(database->load().ok());
  disk.writeFails = SQLITE_FULL;
  Batch batch = batchOf(1);
  batch.rows = {{kToday, peerOf("s1"), kNoon, kNoon + 1s}};
  source.put(batch);
  REQUIRE(
      database
          ->start([&](bool all) { return source.take(all); }, [] { return std::string("m5000"); })
          .ok());
  await([&] { return disk.failed > 3; });
  CHECK(log.count(kFailure) == 1);
  disk.writeFails = SQLITE_OK;
  await([&] { return log.count(kSuccess) == 1; });
  CHECK(given.all("SELECT User FROM session") == "s1\n");
  CHECK(log.count(kFailure) == 1);
  database.reset();
}

TEST_CASE("a database that cannot be made is made later, with everything") {
  FailingDisk disk;
  Log log;
  Given given;
  Source source;
  disk.writeFails = SQLITE_FULL;
  auto database = std::make_unique<SessionDatabase>(given.path);
  REQUIRE(database->load().ok());
  CHECK(log.count(kFailure) == 1);
  REQUIRE(
      database
          ->start([&](bool all) { return source.take(all); }, [] { return std::string("m5000"); })
          .ok());
  disk.writeFails = SQLITE_OK;
  await([&] { return log.count(kSuccess) == 1; });
  CHECK(source.whole == 1);
  CHECK(given.all("SELECT Today_Count FROM servers") == "1\n");
  database.reset();
}

TEST_CASE("a database that was removed is made again") {
  Given given;
  Source source;
  auto database = std::make_unique<SessionDatabase>(given.path);
  REQUIRE(database->load().ok());
  source.put(batchOf(1));
  REQUIRE(
      database
          ->start([&](bool all) { return source.take(all); }, [] { return std::string("m5000"); })
          .ok());
  await([&] { return test::all(given.path, "SELECT count(*) FROM servers") == "1\n"; });
  for (const char* suffix : {"", "-wal", "-shm"}) ::unlink((given.path + suffix).c_str());
  database->wake();
  await([&] { return source.whole == 1 && ::access(given.path.c_str(), F_OK) == 0; });
  database.reset();
  CHECK(given.all("SELECT count(*) FROM servers") == "1\n");
}

TEST_CASE("a copy of before that takes the place of the database gets everything") {
  Given given;
  Source source;
  const std::string copy = given.folder / "copy.db";
  {
    auto tables = SessionTables::open(copy);
    REQUIRE(tables.ok());
    REQUIRE(tables->write(batchOf(1), "m5000").ok());
  }
  auto database = std::make_unique<SessionDatabase>(given.path);
  REQUIRE(database->load().ok());
  source.put(batchOf(2));
  REQUIRE(
      database
          ->start([&](bool all) { return source.take(all); }, [] { return std::string("m5000"); })
          .ok());
  await([&] { return test::all(given.path, "SELECT Today_Count FROM servers") == "2\n"; });
  REQUIRE(::rename(copy.c_str(), given.path.c_str()) == 0);
  source.put(batchOf(3));
  database->wake();
  database.reset();
  CHECK(source.whole == 1);
  CHECK(given.all("SELECT Today_Count FROM servers") == "3\n");
}

TEST_CASE("a batch of all days makes the sum of the table the total, whatever was there") {
  Given given;
  Batch old = batchOf(1);
  old.days = {{Day{20'000}, {900, 900, 0, 0, 0}, 900, {900, 900, 0, 0, 0}}};
  Batch all = batchOf(4);
  all.hasAllDays = true;
  all.earlier = {100, 200, 3, 4, 5};
  {
    auto tables = given.open();
    REQUIRE(tables.write(old, "m5000").ok());
    for (int times = 0; times < 2; ++times) REQUIRE(tables.write(all, "m5000").ok());
    REQUIRE(tables.write(batchOf(5), "m5000").ok());  // only a change
  }
  auto tables = given.open();
  const auto stored = tables.load();
  REQUIRE(stored.ok());
  CHECK(stored->counters.total == sessions::Tally{105, 207, 4, 6, 14});
  CHECK(given.all("SELECT group_concat(Date) FROM servers") == "2024-10-04,2026-11-30\n");
}

TEST_CASE("what is there at the end is written") {
  Given given;
  Source source;
  auto database = std::make_unique<SessionDatabase>(given.path);
  REQUIRE(database->load().ok());
  REQUIRE(
      database
          ->start([&](bool all) { return source.take(all); }, [] { return std::string("m5000"); })
          .ok());
  source.put(batchOf(7));
  database.reset();
  CHECK(given.all("SELECT Today_Count FROM servers") == "7\n");
}
