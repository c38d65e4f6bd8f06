// RoomTables and RoomDatabase: what was shown is known after a restart, and a disk that fails keeps
// nobody from reading.
#include <doctest/doctest.h>

#include <condition_variable>
#include <mutex>

#include "common/base/limits.h"
#include "peer/storage/room_database.h"
#include "tests/unit/failing_disk.h"
#include "tests/unit/temporary_folder.h"

using namespace espalier;
using namespace espalier::peer;
using namespace espalier::peer::storage;
using namespace espalier::test;
using namespace std::chrono_literals;

namespace {

const RoomName kFleece = *RoomName::parse("fleece");
const SpeakerId kSpeaker = *SpeakerId::fromRaw("sixteen at rando");

RoomTables tablesIn(const TemporaryFolder& folder) {
  auto tables = RoomTables::open(folder / "rooms.db");
  REQUIRE(tables.ok());
  return std::move(*tables);
}

SavedRoom savedRoom(std::uint64_t sequence = 7) {
  SavedRoom saved;
  saved.room = kFleece;
  saved.opensAt = 20;
  saved.fromFirst = true;
  saved.at = {{3, ServerNumber{2}}, sequence};
  saved.places = {{saved.at, 5}, {{{2, ServerNumber{9}}, 4}, 2}};
  saved.lastMs = 1'795'000'000'000;
  saved.unread = 4;
  saved.naming = 1;
  return saved;
}

RoomViewsEffects shown(std::uint64_t counter) {
  RoomViewsEffects fx;
  fx.saves = {savedRoom(counter)};
  wire::RoomEntry entry;
  entry.room = kFleece;
  entry.id = {kSpeaker, counter};
  entry.number = counter;
  entry.atMs = counter;
  fx.shows = {{entry, false, false}};
  return fx;
}

class Told {
 public:
  RoomDatabase::Stored take() {
    return [this](std::vector<RoomTelling>& tellings) {
      const std::lock_guard lock(mutex_);
      for (auto& telling : tellings) all_.push_back(std::move(telling));
      changed_.notify_all();
    };
  }
  std::vector<RoomTelling> first(std::size_t count) {
    std::unique_lock lock(mutex_);
    CHECK(changed_.wait_for(lock, 20s, [&] { return all_.size() >= count; }));
    return all_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<RoomTelling> all_;
};

}  // namespace

TEST_CASE("rooms, places and ids are there after a restart, and gone when the room was left") {
  TemporaryFolder folder;
  RoomChanges changes;
  changes.revision = 9;
  changes.add(savedRoom());
  changes.addShown(kFleece, {kSpeaker, 1});
  changes.addShown(kFleece, {kSpeaker, ~std::uint64_t{0}});
  REQUIRE(tablesIn(folder).write(changes).ok());

  const auto saved = tablesIn(folder).load();
  REQUIRE(saved.ok());
  CHECK(saved->revision == 9);
  REQUIRE(saved->rooms.size() == 1);
  const auto& room = saved->rooms[0];
  const auto expected = savedRoom();
  CHECK(room.opensAt == 20);
  CHECK(room.fromFirst);
  CHECK(room.at == expected.at);
  CHECK(room.places == expected.places);
  CHECK(room.lastMs == expected.lastMs);
  CHECK(room.unread == 4);
  CHECK(room.naming == 1);
  REQUIRE(saved->shown.at(kFleece).size() == 2);
  CHECK(saved->shown.at(kFleece)[1].counter == ~std::uint64_t{0});

  RoomChanges left;
  auto parted = savedRoom();
  parted.isJoined = false;
  left.add(parted);
  REQUIRE(tablesIn(folder).write(left).ok());
  const auto after = tablesIn(folder).load();
  CHECK(after->rooms.empty());
  CHECK(after->shown.empty());
  CHECK(after->revision == 9);
}

TEST_CASE("a room that is left and joined again within one write begins anew") {
  TemporaryFolder folder;
  auto tables = tablesIn(folder);
  RoomChanges first;
  first.add(savedRoom());
  first.addShown(kFleece, {kSpeaker, 1});
  REQUIRE(tables.write(first).ok());
  RoomChanges changes;
  auto parted = savedRoom();
  parted.isJoined = false;
  changes.addShown(kFleece, {kSpeaker, 2});
  changes.add(parted);
  changes.add(savedRoom(8));
  changes.addShown(kFleece, {kSpeaker, 3});
  REQUIRE(tables.write(changes).ok());
  const auto saved = tables.load();
  REQUIRE(saved->rooms.size() == 1);
  CHECK(saved->rooms[0].at.sequence == 8);
  REQUIRE(saved->shown.at(kFleece).size() == 1);
  CHECK(saved->shown.at(kFleece)[0].counter == 3);
}

TEST_CASE("of each room the last ids are kept, whatever comes") {
  TemporaryFolder folder;
  auto tables = tablesIn(folder);
  for (std::uint64_t batch = 0; batch < 5; ++batch) {
    RoomChanges changes;
    changes.add(savedRoom());
    for (std::uint64_t i = 0; i < 1000; ++i)
      changes.addShown(kFleece, {kSpeaker, batch * 1000 + i});
    REQUIRE(tables.write(changes).ok());
  }
  const auto saved = tables.load();
  REQUIRE(saved.ok());
  const auto& shown = saved->shown.at(kFleece);
  CHECK(shown.size() == 2 * limits::kRoomMessages);
  CHECK(shown.back().counter == 4999);
}

TEST_CASE("a database that was changed by hand is refused, and says what to do") {
  TemporaryFolder folder;
  RoomChanges changes;
  changes.add(savedRoom());
  REQUIRE(tablesIn(folder).write(changes).ok());
  for (const char* change :
       {"UPDATE rooms SET name = 'a:b'", "UPDATE rooms SET name = 'fleece', position = '3.2'",
        "UPDATE rooms SET position = '3.2.7', places = '1.1.1'",
        "UPDATE rooms SET places = '', position = '3.2.7x'"}) {
    CAPTURE(change);
    {
      auto database = sqlite::Database::open(folder / "rooms.db");
      REQUIRE(database->run(change).ok());
    }
    const auto saved = tablesIn(folder).load();
    REQUIRE_FALSE(saved.ok());
    CHECK(saved.error().code == ErrorCode::configuration);
    CHECK(saved.error().message.find("move it away") != std::string::npos);
  }
}

TEST_CASE("what is shown is durable before it is told, in order") {
  TemporaryFolder folder;
  Told told;
  {
    RoomDatabase database(tablesIn(folder));
    REQUIRE(database.start(told.take()).ok());
    for (std::uint64_t counter = 1; counter <= 300; ++counter) {
      auto fx = shown(counter);
      database.take(fx);
    }
    REQUIRE(database.settle().ok());
    const auto saved = tablesIn(folder).load();
    CHECK(saved->shown.at(kFleece).size() == 300);
  }
  const auto all = told.first(300);
  for (std::size_t i = 0; i < all.size(); ++i) {
    CHECK(std::get<RoomViewsEffects::Show>(all[i]).entry.id.counter == i + 1);
  }
}

TEST_CASE("a disk that fails: what comes is told all the same, and written when that works") {
  TemporaryFolder folder;
  FailingDisk disk;
  Told told;
  {
    RoomDatabase database(tablesIn(folder));
    REQUIRE(database.start(told.take()).ok());
    disk.writeFails = SQLITE_FULL;
    for (std::uint64_t counter = 1; counter <= 2; ++counter) {
      auto fx = shown(counter);
      database.take(fx);
      CHECK_FALSE(database.settle().ok());
    }
    CHECK(told.first(2).size() == 2);
    disk.writeFails = SQLITE_OK;
  }  // is written at the end
  const auto saved = tablesIn(folder).load();
  REQUIRE(saved.ok());
  REQUIRE(saved->shown.contains(kFleece));
  CHECK(saved->shown.at(kFleece).size() == 2);
  CHECK(saved->rooms.at(0).at.sequence == 2);
}

TEST_CASE("of more messages than wait for the disk only the numbers are told") {
  TemporaryFolder folder;
  Told told;
  RoomDatabase database(tablesIn(folder));
  for (std::uint64_t counter = 1; counter <= limits::kRoomShowsQueued + 5; ++counter) {
    auto fx = shown(counter);
    database.take(fx);
  }
  REQUIRE(database.start(told.take()).ok());
  REQUIRE(database.settle().ok());
  const auto all = told.first(limits::kRoomShowsQueued + 1);
  REQUIRE(all.size() == limits::kRoomShowsQueued + 1);
  const auto& missing = std::get<RoomViewsEffects::Missing>(all.back());
  CHECK(missing.from == limits::kRoomShowsQueued + 1);
  CHECK(missing.to == limits::kRoomShowsQueued + 5);
}
