// STATE/rooms.db: its tables against the store of the simulation, its thread, and disks that fail.
#include "metaserver/storage/room_tables.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <fstream>
#include <mutex>
#include <string>

#include "common/base/limits.h"
#include "common/base/random.h"
#include "metaserver/storage/room_database.h"
#include "tests/support/room_store.h"
#include "tests/unit/failing_disk.h"
#include "tests/unit/temporary_folder.h"

using namespace espalier;
using namespace espalier::metaserver::rooms;
using namespace espalier::metaserver::storage;
using namespace std::chrono_literals;
using test::FailingDisk;
using test::RoomStore;
using test::TemporaryFolder;

namespace {

RoomName roomOf(std::uint64_t number) {
  return *RoomName::parse("r" + std::to_string(number));
}

wire::RoomEntry entryOf(std::uint64_t sequence, std::uint64_t room = 1, std::string text = "hi") {
  wire::RoomEntry entry;
  entry.room = roomOf(room);
  entry.position = {{2, ServerNumber{7}}, sequence};
  entry.number = sequence;
  entry.id = {*SpeakerId::fromRaw("sixteen at rando"), ~0ull - sequence};
  entry.atMs = 1'796'040'000'000;
  entry.author = *PeerId::parse("s4");
  entry.text = std::move(text);
  return entry;
}

RoomTables opened(const std::string& path) {
  auto tables = RoomTables::open(path);
  REQUIRE_MESSAGE(tables.ok(), tables.error().message);
  return *std::move(tables);
}

Result<void> writeAll(RoomTables& tables, const std::vector<StoreWrite>& writes) {
  return tables.inTransaction([&]() -> Result<void> {
    for (const auto& write : writes) {
      if (auto done = tables.write(write); !done) return done;
    }
    return {};
  });
}

void checkSame(RoomTables& tables, const RoomStore& model) {
  const auto mine = tables.load();
  REQUIRE_MESSAGE(mine.ok(), mine.error().message);
  const auto its = model.stored();
  CHECK(mine->last == its.last);
  CHECK(mine->epochs == its.epochs);
  CHECK(mine->ended == its.ended);
  REQUIRE(mine->log.size() == its.log.size());
  for (std::size_t i = 0; i < its.log.size(); ++i) {
    auto entry = its.log[i].entry;
    entry.text.clear();
    CHECK(mine->log[i].entry == entry);
    CHECK(mine->log[i].bytes == its.log[i].bytes);
  }
  REQUIRE(mine->apart.size() == its.apart.size());
  for (std::size_t i = 0; i < its.apart.size(); ++i) CHECK(mine->apart[i].id == its.apart[i].id);
  auto rests = mine->rests;
  std::sort(rests.begin(), rests.end(),
            [](const auto& a, const auto& b) { return a.room < b.room; });
  CHECK(rests == its.rests);
  for (const std::uint64_t room : {0u, 1u, 2u}) {
    const StoreRange range{room == 0 ? RoomName() : roomOf(room), 3, 1'000'000};
    wire::RoomEntries own;
    wire::RoomEntries other;
    BatchFiller filler;
    REQUIRE(tables.fill(range, filler).ok());
    filler.finish(own);
    model.fill(other, range);
    CHECK(own == other);
  }
  BatchFiller apart;
  REQUIRE(tables.fillApart(apart).ok());
  const auto own = apart.take();
  const auto other = model.apart();
  for (std::size_t i = 0; i < std::min(own.size(), other.size()); ++i) CHECK(own[i] == other[i]);
  CHECK(own.size() >= other.size());
}

// Writes as a log makes them: sequences rise, epochs do not fall.
class SomeWrites {
 public:
  explicit SomeWrites(Random& random) : random_(random) {}
  StoreWrite next() {
    const auto room = random_() % 3 + 1;
    switch (random_() % 12) {
      case 0: {
        last_.sequence -= std::min<std::uint64_t>(last_.sequence, random_() % 5);
        ++epoch_;
        return StoreEnd{last_};
      }
      case 1:
        return StoreRest{{roomOf(room), last_, last_.sequence, 3, random_() % 2 == 0}};
      case 2:
        return StoreForget{roomOf(room), random_() % 2 == 0};
      case 3:
        return StoreEpoch{last_};
      case 4:
        return StoreDropApart{roomOf(room), entryOf(random_() % (last_.sequence + 1)).id};
      default: {
        auto entry = entryOf(last_.sequence + 1, room, std::string(random_() % 50 + 1, 'x'));
        entry.position.epoch = {epoch_, ServerNumber{7}};
        last_ = entry.position;
        return StoreAppend{entry};
      }
    }
  }

 private:
  Random& random_;
  wire::LogPosition last_;
  std::uint32_t epoch_ = 1;
};

// What a thread tells.
class Told {
 public:
  RoomDatabase::Done done() {
    return {[this](std::uint64_t number) { note(number_, number); },
            [this](bool isFailing) { note(isFailing_, isFailing); }};
  }
  RoomDatabase::Filled filled() {
    return [this](BatchFiller filler) {
      const std::lock_guard lock(mutex_);
      entries_ = filler.take();
      ++fills_;
      changed_.notify_all();
    };
  }
  template <typename Condition>
  bool comesTrue(Condition condition) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 20s, [&] { return condition(*this); });
  }

  std::uint64_t number_ = 0;
  bool isFailing_ = false;
  std::vector<wire::RoomEntry> entries_;
  int fills_ = 0;

 private:
  template <typename Value>
  void note(Value& value, Value news) {
    const std::lock_guard lock(mutex_);
    value = news;
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
};

}  // namespace

TEST_CASE("rooms.db does what the store of the simulation does, also after a restart") {
  const auto seed = seededFromKernel()();
  INFO("seed " << seed);
  Random random(seed);
  TemporaryFolder folder;
  const auto path = folder / "rooms.db";
  RoomStore model;
  SomeWrites some(random);
  std::optional<RoomTables> tables = opened(path);
  for (int batch = 0; batch < 40; ++batch) {
    std::vector<StoreWrite> writes(random() % 12);
    for (auto& write : writes) {
      write = some.next();
      // A master says an epoch's end once, and positions are not zero.
      const auto* epoch = std::get_if<StoreEpoch>(&write);
      if (epoch && epoch->last.isZero()) write = StoreEnd{epoch->last};
      model.write(write);
    }
    REQUIRE(writeAll(*tables, writes).ok());
    if (batch % 8 == 7) {
      tables.reset();
      tables = opened(path);
    }
    checkSame(*tables, model);
  }
}

TEST_CASE("a batch that fails in its middle changes nothing") {
  TemporaryFolder folder;
  auto tables = opened(folder / "rooms.db");
  REQUIRE(writeAll(tables, {StoreAppend{entryOf(1)}}).ok());
  const auto failed = tables.inTransaction([&]() -> Result<void> {
    if (auto done = tables.write(StoreAppend{entryOf(2)}); !done) return done;
    return Error{ErrorCode::io, "no"};
  });
  CHECK_FALSE(failed.ok());
  CHECK(tables.load()->log.size() == 1);
}

TEST_CASE("only its owner can read what was said") {
  TemporaryFolder folder;
  opened(folder / "rooms.db");
  struct stat status {};
  REQUIRE(::stat((folder / "rooms.db").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
}

TEST_CASE("a file that is damaged, another database or a newer one is refused with what to do") {
  TemporaryFolder folder;
  const auto path = folder / "rooms.db";
  const auto whyRefused = [&] {
    RoomDatabase database(path);
    const auto loaded = database.load();
    REQUIRE_FALSE(loaded.ok());
    CHECK(loaded.error().code == ErrorCode::configuration);
    return loaded.error().message;
  };
  std::ofstream(path) << "this is no database, and longer than a header of one: "
                      << std::string(999, 'x');
  CHECK(whyRefused().find("move it away") != std::string::npos);
  REQUIRE(::unlink(path.c_str()) == 0);

  const auto change = [&](const char* statement) {
    opened(path);
    sqlite3* writer = nullptr;
    REQUIRE(::sqlite3_open(path.c_str(), &writer) == SQLITE_OK);
    CHECK(::sqlite3_exec(writer, statement, nullptr, nullptr, nullptr) == SQLITE_OK);
    ::sqlite3_close_v2(writer);
  };
  change("PRAGMA user_version = 2");
  CHECK(whyRefused().find("newer") != std::string::npos);
  REQUIRE(::unlink(path.c_str()) == 0);
  change("PRAGMA user_version = 0");
  CHECK(whyRefused().find("move it away") != std::string::npos);
  REQUIRE(::unlink(path.c_str()) == 0);
  change("INSERT INTO log_end VALUES (1, -5, 0, 0)");
  CHECK(whyRefused().find("out of its range") != std::string::npos);
  REQUIRE(::unlink(path.c_str()) == 0);
  change("INSERT INTO rests VALUES ('a:b', 0, 0, 0, 0, 0, 0)");
  CHECK(whyRefused().find("out of its range") != std::string::npos);
}

TEST_CASE("the thread tells what is synced, in order, and reads see the writes before them") {
  TemporaryFolder folder;
  Told told;
  {
    RoomDatabase database(folder / "rooms.db");
    REQUIRE(database.load().ok());
    database.write({StoreAppend{entryOf(1)}}, 1);
    database.write({StoreAppend{entryOf(2)}, StoreAppend{entryOf(3)}}, 2);
    REQUIRE(database.read(StoreRange{{}, 1, 3}, told.filled()));
    database.write({StoreEnd{entryOf(1).position}}, 3);
    REQUIRE(database.start(told.done()).ok());

    CHECK(told.comesTrue([](auto& all) { return all.number_ == 3 && all.fills_ == 1; }));
    REQUIRE(told.entries_.size() == 2);
    CHECK(told.entries_[0] == entryOf(2));
    database.write({StoreAppend{entryOf(2)}}, 4);  // also what comes just before the end
  }
  RoomDatabase again(folder / "rooms.db");
  const auto stored = again.load();
  REQUIRE(stored.ok());
  CHECK(stored->last == entryOf(2).position);
  CHECK(stored->apart.size() == 2);
}

TEST_CASE("what a full disk does not take is not told to be synced, and is written later") {
  TemporaryFolder folder;
  FailingDisk disk;
  Told told;
  {
    RoomDatabase database(folder / "rooms.db");
    REQUIRE(database.load().ok());
    REQUIRE(database.start(told.done()).ok());
    disk.writeFails = SQLITE_FULL;
    database.write({StoreAppend{entryOf(1)}}, 1);
    REQUIRE(database.read(StoreRange{{}, 0, 3}, told.filled()));
    CHECK(told.comesTrue([](auto& all) { return all.isFailing_; }));
    CHECK(told.number_ == 0);
    CHECK(told.fills_ == 0);  // who asked asks again

    disk.writeFails = SQLITE_OK;
    CHECK(told.comesTrue([](auto& all) { return all.number_ == 1 && !all.isFailing_; }));
  }
  RoomDatabase again(folder / "rooms.db");
  CHECK(again.load()->log.size() == 1);
}

TEST_CASE("what is not synced is not told to be") {
  TemporaryFolder folder;
  FailingDisk disk;
  Told told;
  RoomDatabase database(folder / "rooms.db");
  REQUIRE(database.load().ok());
  REQUIRE(database.start(told.done()).ok());
  disk.syncFails = SQLITE_IOERR_FSYNC;
  database.write({StoreAppend{entryOf(1)}}, 1);
  CHECK(told.comesTrue([](auto& all) { return all.isFailing_; }));
  CHECK(told.number_ == 0);
  disk.syncFails = SQLITE_OK;
  CHECK(told.comesTrue([](auto& all) { return all.number_ == 1; }));
}

TEST_CASE("more reads than the bound are dropped") {
  TemporaryFolder folder;
  RoomDatabase database(folder / "rooms.db");
  REQUIRE(database.load().ok());
  std::size_t taken = 0;
  while (taken <= limits::kRoomReads && database.read(StoreRange{}, [](BatchFiller) {})) ++taken;
  CHECK(taken == limits::kRoomReads);
}
