// DirectoryTables: what another program reads from a real database while it is written.
#include "metaserver/storage/directory_tables.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <fstream>

#include "common/base/limits.h"
#include "tests/unit/directory_rows.h"
#include "tests/unit/failing_disk.h"
#include "tests/unit/temporary_folder.h"

using namespace espalier;
using namespace espalier::metaserver;
using namespace espalier::metaserver::storage;
using namespace std::chrono_literals;
using test::all;
using test::FailingDisk;
using test::memberOf;
using test::serverOf;
using test::TemporaryFolder;

namespace {

struct Given {
  Given() {
    auto made = DirectoryTables::make(path);
    REQUIRE(made.ok());
    tables.emplace(std::move(*made));
  }
  // What the next batch has; the metaservers stay.
  void write(MemberChanges members) {
    const auto written = tables->write({servers, std::move(members)});
    INFO((written ? "" : written.error().message));
    REQUIRE(written.ok());
  }
  std::string read(const std::string& query) const { return all(path, query.c_str()); }
  std::string members() const {
    return read("SELECT id, joined, host, port, home, home_port FROM user_names ORDER BY joined");
  }

  TemporaryFolder folder;
  std::string path = folder / "directory.db";
  std::vector<DirectoryServer> servers = {serverOf(1, 5000, true), serverOf(2, 5010)};
  std::optional<DirectoryTables> tables;
};

}  // namespace

TEST_CASE("a new database has the tables, empty, and a version") {
  Given given;
  CHECK(given.read("PRAGMA user_version") == "1\n");
  CHECK(given.read("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name") ==
        "metaservers\nuser_names\nuser_rooms\n");
  const auto columns = [&](std::string table) {
    return given.read("SELECT group_concat(name) FROM pragma_table_info('" + table + "')");
  };
  CHECK(columns("metaservers") == "name,host,port,server_port,master,started\n");
  CHECK(columns("user_names") == "id,joined,host,port,home,home_port,instance\n");
  CHECK(columns("user_rooms") == "room,id,home_port\n");
  CHECK(given.members().empty());
}

TEST_CASE("metaservers are listed with their ports, the master and their start") {
  Given given;
  given.servers[1].serverPort = 5011;
  given.servers[1].started = 1'764'450'000'999ms;
  given.write({});
  CHECK(given.read("SELECT * FROM metaservers ORDER BY name") ==
        "m5000|127.0.0.1|5000|5000|1|1970-01-01T00:00:00Z\n"
        "m5010|127.0.0.1|5010|5011|0|2025-11-29T21:00:00Z\n");
  given.servers = {serverOf(2, 5010, true)};
  given.write({});
  CHECK(given.read("SELECT name, master FROM metaservers") == "m5010|1\n");
}

TEST_CASE("members are added, changed and removed by their order of joining") {
  Given given;
  given.write({false, {}, {memberOf(1, 1), memberOf(2, 2), memberOf(3, 2)}, false});
  CHECK(given.members() ==
        "s1|1|10.0.0.1|5001|m5000|5000\n"
        "s2|2|10.0.0.1|5002|m5010|5010\n"
        "s3|3|10.0.0.1|5003|m5010|5010\n");
  auto moved = memberOf(2, 1);
  moved.contact.endpoint.port = 6002;
  given.write({false, {JoinOrder{1}, JoinOrder{77}}, {moved}, false});
  CHECK(given.members() ==
        "s2|2|10.0.0.1|6002|m5000|5000\n"
        "s3|3|10.0.0.1|5003|m5010|5010\n");
  given.write({true, {}, {memberOf(4, 1)}, false});
  CHECK(given.members() == "s4|4|10.0.0.1|5004|m5000|5000\n");
}

TEST_CASE("the last order of all keeps its digits, and names with quotes are written as they are") {
  Given given;
  auto row = memberOf(1, 1);
  row.contact.id = *PeerId::parse("o'neil\");DROP-TABLE-user_names;--");
  row.contact.order = JoinOrder{limits::kJoinOrder};
  given.write({false, {}, {row}, false});
  CHECK(given.members() ==
        "o'neil\");DROP-TABLE-user_names;--|9223372036854775807|10.0.0.1|5001|m5000|5000\n");
  given.write({false, {JoinOrder{limits::kJoinOrder}}, {}, false});
  CHECK(given.members().empty());
}

TEST_CASE("an instance is there in hexadecimal digits, if the peer has told it") {
  Given given;
  auto row = memberOf(1, 1);
  given.write({false, {}, {row, memberOf(2, 1)}, false});
  row.contact.instance.bytes.fill(0xab);
  given.write({false, {}, {row}, false});
  CHECK(given.read("SELECT instance FROM user_names ORDER BY joined") ==
        "abababababababababababababababab\n\n");
}

TEST_CASE("an id passes from one order to another, whichever of both is told first") {
  Given given;
  given.write({false, {}, {memberOf(1, 1)}, false});
  auto back = memberOf(1, 1);
  back.contact.order = JoinOrder{9};
  given.write({false, {}, {back}, true});
  given.write({false, {JoinOrder{1}}, {}, false});
  CHECK(given.members() == "s1|9|10.0.0.1|5001|m5000|5000\n");
}

TEST_CASE("who is in which room is there, and follows members, homes and ids") {
  Given given;
  const auto in = [](MemberRow row, const std::vector<std::string>& rooms) {
    for (const auto& room : rooms) row.rooms.push_back(*RoomName::parse(room));
    return row;
  };
  const auto rooms = [&] { return given.read("SELECT * FROM user_rooms ORDER BY room, id"); };
  given.write(
      {false, {}, {in(memberOf(1, 1), {"fleece", "wool"}), in(memberOf(2, 2), {"wool"})}, false});
  CHECK(rooms() == "fleece|s1|5000\nwool|s1|5000\nwool|s2|5010\n");
  given.write({false, {}, {in(memberOf(1, 2), {"wool"})}, false});
  CHECK(rooms() == "wool|s1|5010\nwool|s2|5010\n");
  given.servers[1].serverPort = 5011;
  given.write({});
  CHECK(rooms() == "wool|s1|5011\nwool|s2|5011\n");
  // s1 comes back with another order, before the old one is gone.
  auto back = in(memberOf(1, 1), {"fleece"});
  back.contact.order = JoinOrder{9};
  given.write({false, {}, {back}, true});
  given.write({false, {JoinOrder{1}}, {}, false});
  CHECK(rooms() == "fleece|s1|5000\nwool|s2|5011\n");
  given.write({false, {JoinOrder{2}, JoinOrder{9}}, {}, false});
  CHECK(rooms().empty());
  given.write({false, {}, {in(memberOf(3, 1), {"wool"})}, false});
  given.write({true, {}, {}, false});
  CHECK(rooms().empty());
}

TEST_CASE("members follow their metaserver: to another port or name, away, and back") {
  Given given;
  given.write({false, {}, {memberOf(1, 1), memberOf(2, 2), memberOf(3, 0), memberOf(4, 4)}, false});
  const auto homes = [&] { return given.read("SELECT id, home, home_port FROM user_names"); };
  const std::string others = "s3||\ns4||\n";  // away, and with a metaserver that is not known yet
  CHECK(homes() == "s1|m5000|5000\ns2|m5010|5010\n" + others);
  given.servers[1] = serverOf(2, 5012);
  given.write({});
  CHECK(homes() == "s1|m5000|5000\ns2|m5012|5012\n" + others);
  given.servers.pop_back();
  given.write({});
  CHECK(homes() == "s1|m5000|5000\ns2||\n" + others);
  given.servers.push_back(serverOf(2, 5010));
  given.servers.push_back(serverOf(4, 5040));
  given.write({});
  CHECK(homes() == "s1|m5000|5000\ns2|m5010|5010\ns3||\ns4|m5040|5040\n");
  given.servers = {serverOf(1, 5040), serverOf(4, 5000)};  // they change their places
  given.write({false, {}, {memberOf(2, 1)}, false});
  CHECK(homes() == "s1|m5040|5040\ns2|m5040|5040\ns3||\ns4|m5000|5000\n");
}

TEST_CASE("a single metaserver without a number is the home of its members") {
  Given given;
  given.servers = {serverOf(0, 5000, true)};
  given.write({false, {}, {memberOf(1, 0)}, false});
  CHECK(given.members() == "s1|1|10.0.0.1|5001|m5000|5000\n");
}

TEST_CASE("a reader sees whole batches, and neither waits for the writer nor makes it wait") {
  Given given;
  given.write({false, {}, {memberOf(1, 1)}, false});
  auto reader = sqlite::Database::open(given.path);
  REQUIRE(reader.ok());
  REQUIRE(reader->run("BEGIN").ok());
  const auto count = [&] { return *reader->number("SELECT count(*) FROM user_names"); };
  CHECK(count() == 1);
  given.write({false, {}, {memberOf(2, 1), memberOf(3, 1)}, false});
  CHECK(count() == 1);
  CHECK(given.members().find("s3|3|") != std::string::npos);
  REQUIRE(reader->run("COMMIT").ok());
  CHECK(count() == 3);
}

TEST_CASE("whatever was at the path is thrown away, unless it is a folder") {
  TemporaryFolder folder;
  const std::string path = folder / "directory.db";
  for (const char* suffix : {"", "-wal", "-shm", "-journal"}) {
    std::ofstream(path + suffix) << "SQLite format 3, and no more";
  }
  CHECK(DirectoryTables::make(path).ok());
  CHECK(all(path, "SELECT count(*) FROM user_names") == "0\n");
  CHECK(DirectoryTables::make(path).ok());

  fs::create_directory(folder / "other.db");
  const auto made = DirectoryTables::make(folder / "other.db");
  REQUIRE_FALSE(made.ok());
  CHECK(made.error().code == ErrorCode::io);
  CHECK(fs::exists(folder / "other.db"));
}

TEST_CASE("a file that was removed, and one that somebody has changed, are noticed") {
  Given given;
  CHECK_FALSE(given.tables->hasMoved());
  auto other = sqlite::Database::open(given.path);
  REQUIRE(other->run("DROP TABLE user_names").ok());
  const auto written = given.tables->write({{}, {false, {}, {memberOf(1, 1)}, false}});
  REQUIRE_FALSE(written.ok());
  CHECK(written.error().code == ErrorCode::configuration);
  fs::remove(given.path);
  CHECK(given.tables->hasMoved());
}

TEST_CASE("a batch that the disk does not take changes nothing, and can be written again") {
  FailingDisk disk;
  Given given;
  given.write({false, {}, {memberOf(1, 1), memberOf(2, 2)}, false});
  const std::string before = given.members();
  DirectoryBatch batch{{serverOf(2, 5012)}, {true, {}, {memberOf(3, 2)}, false}};
  disk.writeFails = SQLITE_FULL;
  const auto written = given.tables->write(batch);
  REQUIRE_FALSE(written.ok());
  CHECK(written.error().code == ErrorCode::io);
  CHECK(written.error().message.find("full") != std::string::npos);
  disk.writeFails = SQLITE_OK;
  CHECK(given.members() == before);
  CHECK(given.tables->write(batch).ok());
  CHECK(given.members() == "s3|3|10.0.0.1|5003|m5012|5012\n");
  given.tables.reset();
}

TEST_CASE("another program's transaction fails a batch, which can be written again") {
  Given given;
  auto other = sqlite::Database::open(given.path);
  REQUIRE(other->run("BEGIN IMMEDIATE").ok());
  const DirectoryBatch batch{given.servers, {false, {}, {memberOf(1, 1)}, false}};
  const auto written = given.tables->write(batch);
  REQUIRE_FALSE(written.ok());
  CHECK(written.error().code == ErrorCode::io);
  CHECK(written.error().message.find("locked") != std::string::npos);
  REQUIRE(other->run("ROLLBACK").ok());
  CHECK(given.tables->write(batch).ok());
}

TEST_CASE("a reader that does not end keeps the log within its bound, and is told") {
  Given given;
  auto reader = sqlite::Database::open(given.path);
  REQUIRE(reader->run("BEGIN; SELECT count(*) FROM user_names").ok());
  std::vector<SharedRow> rows;
  for (int number = 1; number <= 20'000; ++number) {
    auto row = memberOf(number, 1);
    row.contact.endpoint.host = fmt::format("{:a<200}{}", "", number);
    rows.push_back(std::move(row));
  }
  Result<void> written;
  int batches = 0;
  for (; written && batches < 100; ++batches) {
    written = given.tables->write({given.servers, {true, {}, rows, false}});
  }
  REQUIRE_FALSE(written.ok());
  CHECK(written.error().code == ErrorCode::io);
  CHECK(written.error().message.find("does not end") != std::string::npos);
  const auto logged = fs::file_size(given.path + "-wal");
  CHECK(logged > limits::kDatabaseLogBytes);
  CHECK(logged < limits::kDatabaseLogBytes * 3 / 2);  // and one batch

  REQUIRE(reader->run("COMMIT").ok());
  CHECK(given.tables->write({given.servers, {true, {}, rows, false}}).ok());
  CHECK(fs::file_size(given.path + "-wal") < limits::kDatabaseLogBytes);
}
