// PrivateTables: what is on the disk is what was written, and what a user is told when it is not.
#include "peer/storage/private_tables.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <fstream>
#include <memory>

#include "common/base/limits.h"
#include "tests/unit/directory_rows.h"
#include "tests/unit/failing_disk.h"
#include "tests/unit/private_world.h"
#include "tests/unit/temporary_folder.h"

using namespace espalier;
using namespace espalier::peer;
using namespace espalier::peer::storage;
using namespace espalier::test;
using namespace std::chrono_literals;

namespace {

PeerId peerId(const std::string& text) {
  return *PeerId::parse(text);
}

struct Given {
  Given() { open(); }
  void open() {
    tables.reset();
    auto opened = PrivateTables::open(path);
    INFO((opened ? "" : opened.error().message));
    REQUIRE(opened.ok());
    tables = std::make_unique<PrivateTables>(std::move(*opened));
  }
  Result<void> tryWrite(std::vector<PrivateWrite> writes) { return tables->write(writes); }
  template <typename... What>
  void write(What... what) {
    std::vector<PrivateWrite> writes;
    (writes.push_back({++ticket, std::move(what)}), ...);
    const auto written = tryWrite(std::move(writes));
    INFO((written ? "" : written.error().message));
    REQUIRE(written.ok());
  }
  PrivateState load() {
    auto state = tables->load();
    INFO((state ? "" : state.error().message));
    REQUIRE(state.ok());
    return *std::move(state);
  }
  void run(const char* statements) {
    tables.reset();
    auto database = sqlite::Database::open(path);
    REQUIRE(database.ok());
    REQUIRE(database->run(statements).ok());
  }

  TemporaryFolder folder;
  std::string path = folder / "private.db";
  std::unique_ptr<PrivateTables> tables;
  std::uint64_t ticket = 0;
};

KeepSent sentOf(PrivatePosition position, std::uint64_t number, std::string text) {
  return {position, instanceOf(4), peerId("s4"), 77, number, 5ms, std::move(text)};
}
KeepReceived receivedOf(PrivatePosition position, std::uint64_t number, std::string text) {
  return {position, instanceOf(4), peerId("s4"), ~0ull, number, 6ms, std::move(text)};
}

std::string errorOf(const Result<PrivateTables>& opened) {
  return opened ? "" : opened.error().message;
}

}  // namespace

TEST_CASE("what was written is there when the database is opened again") {
  Given given;
  given.write(sentOf(1, 1, "one"), sentOf(2, 2, "two\n'\"\xc3\xa4"), receivedOf(3, 9, "three"));
  given.write(EndSent{1, true}, ChangeIgnored{{peerId("s9"), instanceOf(9)}, true},
              ChangeIgnored{{peerId("s8"), {}}, true});
  given.open();
  const auto state = given.load();
  REQUIRE(state.conversations.size() == 1);
  const auto& conversation = state.conversations[0];
  CHECK(conversation.with == instanceOf(4));
  CHECK(conversation.id == peerId("s4"));
  CHECK(conversation.stream == 77);
  CHECK(conversation.sent == 2);
  CHECK(conversation.theirStream == ~0ull);
  CHECK(conversation.received == 9);
  CHECK(conversation.messages.size() == 3);
  CHECK(conversation.messages[1].textBytes == 8);
  REQUIRE(conversation.waiting.size() == 1);
  CHECK(conversation.waiting[0].text == "two\n'\"\xc3\xa4");
  CHECK(conversation.waiting[0].at == 5ms);
  CHECK(state.ignored == std::vector<Ignored>{{peerId("s9"), instanceOf(9)}, {peerId("s8"), {}}});
  const auto lines = given.tables->conversation(instanceOf(4), 2);
  REQUIRE(lines.ok());
  REQUIRE(lines->size() == 2);
  CHECK((*lines)[0].state == "waiting");
  CHECK((*lines)[1].text == "three");
}

TEST_CASE("the database does what the model of the simulation does") {
  for (std::uint64_t seed = 1; seed <= 20; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    Given given;
    PrivateDisk model;
    PrivatePosition position = 0;
    std::map<unsigned, std::uint64_t> sent;
    std::map<unsigned, std::uint64_t> received;
    for (int i = 0; i < 60; ++i) {
      const auto peer = static_cast<unsigned>(random() % 3);
      const InstanceHash with = instanceOf(peer);
      const PeerId name = peerId(fmt::format("s{}", peer + random() % 2 * 10));
      PrivateWrite write{++given.ticket, DropMessage{random() % (position + 1)}};
      switch (random() % 8) {
        case 0:
        case 1:
          write.what = KeepSent{++position, with, name, 5, ++sent[peer], 1ms, "out"};
          break;
        case 2:
        case 3:
          write.what = KeepReceived{++position, with, name, 6, ++received[peer], 2ms, "in"};
          break;
        case 4:
          for (const auto& [at, row] : model.rows) {
            if (row.state == "waiting") write.what = EndSent{at, random() % 2 == 0};
          }
          break;
        case 5:
          write.what = ChangeIgnored{{name, with}, random() % 2 == 0};
          break;
        case 6:
          write.what = DropConversation{with};
          sent[peer] = received[peer] = 0;
          break;
        default:
          break;
      }
      model.apply(write);
      REQUIRE(given.tryWrite({write}).ok());
    }
    given.open();
    const auto is = given.load();
    const auto wanted = model.state();
    REQUIRE(is.conversations.size() == wanted.conversations.size());
    for (std::size_t i = 0; i < is.conversations.size(); ++i) {
      const auto& a = is.conversations[i];
      const auto& b = wanted.conversations[i];
      CHECK(a.with == b.with);
      CHECK(a.id == b.id);
      CHECK(a.sent == b.sent);
      CHECK(a.received == b.received);
      CHECK(a.messages.size() == b.messages.size());
      CHECK(a.waiting.size() == b.waiting.size());
    }
    CHECK(is.ignored.size() == wanted.ignored.size());
  }
}

TEST_CASE("messages that wait get other numbers in one transaction") {
  Given given;
  given.write(sentOf(1, 4, "a"), sentOf(2, 5, "b"));
  given.write(RenumberSent{instanceOf(4), 99, {{1, 1}, {2, 2}}});
  const auto state = given.load();
  CHECK(state.conversations[0].stream == 99);
  CHECK(state.conversations[0].sent == 2);
  CHECK(state.conversations[0].waiting[1].number == 2);
}

TEST_CASE("a batch that fails leaves nothing, and can be written again") {
  Given given;
  given.write(sentOf(1, 1, "one"));
  // The second position is taken.
  CHECK_FALSE(given.tryWrite({{5, sentOf(2, 2, "two")}, {6, sentOf(1, 3, "three")}}).ok());
  CHECK(given.load().conversations[0].sent == 1);
  given.write(sentOf(2, 2, "two"), sentOf(3, 3, "three"));
  CHECK(given.load().conversations[0].sent == 3);
}

TEST_CASE("a disk that is full fails the batch, and the next one works") {
  FailingDisk disk;
  {
    Given given;
    given.write(sentOf(1, 1, "one"));
    disk.writeFails = SQLITE_FULL;
    const auto failed = given.tryWrite({{2, sentOf(2, 2, "two")}});
    REQUIRE_FALSE(failed.ok());
    CHECK(failed.error().code == ErrorCode::io);
    disk.writeFails = SQLITE_OK;
    given.write(sentOf(2, 2, "two"));
    CHECK(given.load().conversations[0].sent == 2);
    given.tables.reset();
  }
}

TEST_CASE("each batch is synced before it returns") {
  FailingDisk disk;
  int syncs = 0;
  {
    Given given;
    disk.before = [&](sqlite3_file*, FailingDisk::Does what) {
      if (what == FailingDisk::Does::sync) ++syncs;
    };
    for (unsigned i = 1; i <= 10; ++i) given.write(sentOf(i, i, "x"));
    disk.before = {};
    given.tables.reset();
  }
  CHECK(syncs >= 10);
}

TEST_CASE("a file that was removed is written again with its content") {
  Given given;
  given.write(sentOf(1, 1, "one"), receivedOf(2, 1, "two"));
  fs::remove(given.path);
  given.write(sentOf(3, 2, "three"));
  given.open();
  CHECK(given.load().conversations[0].messages.size() == 3);
}

TEST_CASE("a folder that is gone fails until it is there again") {
  TemporaryFolder folder;
  fs::create_directory(folder / "state");
  auto opened = PrivateTables::open(folder / "state/private.db");
  REQUIRE(opened.ok());
  std::vector<PrivateWrite> writes{{1, sentOf(1, 1, "one")}};
  REQUIRE(opened->write(writes).ok());
  fs::remove_all(folder / "state");
  std::vector<PrivateWrite> more{{2, sentOf(2, 2, "two")}};
  CHECK_FALSE(opened->write(more).ok());
  CHECK_FALSE(opened->write(more).ok());
  fs::create_directory(folder / "state");
  CHECK(opened->write(more).ok());
  const auto state = opened->load();
  REQUIRE(state.ok());
  CHECK(state->conversations[0].sent == 2);
}

TEST_CASE("a database that is damaged or newer is refused, says what to do, and stays as it is") {
  Given given;
  given.write(sentOf(1, 1, "one"));
  SUBCASE("no database") {
    given.tables.reset();
    std::ofstream(given.path) << "this is no database, however long it may be";
    const auto why = errorOf(PrivateTables::open(given.path));
    CHECK(why.find("private.db: the file is damaged") != std::string::npos);
    CHECK(why.find("move it away") != std::string::npos);
  }
  SUBCASE("newer") {
    given.run("PRAGMA user_version = 2");
    const auto opened = PrivateTables::open(given.path);
    REQUIRE_FALSE(opened.ok());
    CHECK(opened.error().code == ErrorCode::configuration);
    given.run("PRAGMA user_version = 1");
    given.open();
    CHECK(given.load().conversations.size() == 1);
  }
  SUBCASE("another program's") {
    given.run("PRAGMA user_version = 0");
    CHECK(errorOf(PrivateTables::open(given.path)).find("damaged") != std::string::npos);
  }
  SUBCASE("a folder") {
    given.tables.reset();
    for (const char* suffix : {"", "-wal", "-shm"}) fs::remove(given.path + suffix);
    fs::create_directory(given.path);
    CHECK(errorOf(PrivateTables::open(given.path)).find("is a folder: move it away") !=
          std::string::npos);
  }
  SUBCASE("content that cannot be") {
    for (const char* change :
         {"UPDATE conversations SET id = 'a:b'", "UPDATE conversations SET instance = 'x'",
          "UPDATE messages SET text = ''", "UPDATE messages SET number = 2",
          "UPDATE messages SET number = 0", "INSERT INTO ignored VALUES ('', '')",
          "DELETE FROM conversations"}) {
      CAPTURE(change);
      Given other;
      other.write(sentOf(1, 1, "one"));
      other.run(change);
      other.open();
      const auto state = other.tables->load();
      REQUIRE_FALSE(state.ok());
      CHECK(state.error().code == ErrorCode::configuration);
      CHECK(state.error().message.find("move it away") != std::string::npos);
    }
  }
}

TEST_CASE("the file is private, also if its user has changed that") {
  Given given;
  const auto modeOf = [&] { return fs::status(given.path).permissions() & 0777; };
  CHECK(modeOf() == 0600);
  given.tables.reset();
  fs::permissions(given.path, static_cast<fs::perms>(0644));
  given.open();
  CHECK(modeOf() == 0600);
}
