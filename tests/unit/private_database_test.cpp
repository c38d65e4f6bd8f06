// PrivateDatabase: its thread writes in order, tells what is durable, and tries again.
#include "peer/storage/private_database.h"

#include <doctest/doctest.h>

#include <condition_variable>
#include <mutex>

#include "tests/unit/failing_disk.h"
#include "tests/unit/private_world.h"
#include "tests/unit/temporary_folder.h"

using namespace espalier;
using namespace espalier::peer;
using namespace espalier::peer::storage;
using namespace espalier::test;
using namespace std::chrono_literals;

namespace {

class Tickets {
 public:
  PrivateDatabase::Stored take() {
    return [this](std::uint64_t ticket) {
      const std::lock_guard lock(mutex_);
      rises_ = rises_ && ticket > last_;
      last_ = ticket;
      changed_.notify_all();
    };
  }
  bool reaches(std::uint64_t ticket) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, 20s, [&] { return last_ >= ticket; }) && rises_;
  }
  std::uint64_t last() {
    const std::lock_guard lock(mutex_);
    return last_;
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::uint64_t last_ = 0;
  bool rises_ = true;
};

PrivateTables tablesIn(const TemporaryFolder& folder) {
  auto tables = PrivateTables::open(folder / "private.db");
  REQUIRE(tables.ok());
  return std::move(*tables);
}

PrivateWrite writeOf(std::uint64_t number) {
  return {number, KeepSent{number, instanceOf(4), *PeerId::parse("s4"), 7, number, 0ms, "x"}};
}

}  // namespace

TEST_CASE("what is queued is durable in order, and there for the next start") {
  TemporaryFolder folder;
  Tickets tickets;
  {
    PrivateDatabase database(tablesIn(folder));
    REQUIRE(database.start(tickets.take()).ok());
    for (std::uint64_t number = 1; number <= 500; ++number) database.write(writeOf(number));
    CHECK(tickets.reaches(500));
    const auto lines = database.conversation(instanceOf(4), 3);
    REQUIRE(lines.ok());
    CHECK(lines->size() == 3);
    CHECK(lines->back().number == 500);
    for (std::uint64_t number = 501; number <= 600; ++number) database.write(writeOf(number));
  }
  auto tables = tablesIn(folder);
  const auto state = tables.load();
  REQUIRE(state.ok());
  CHECK(state->conversations[0].waiting.size() == 600);  // the destructor has written the rest
}

TEST_CASE("nothing is told to be durable while the disk is full; then all of it is") {
  FailingDisk disk;
  {
    TemporaryFolder folder;
    Tickets tickets;
    PrivateDatabase database(tablesIn(folder));
    disk.writeFails = SQLITE_FULL;
    REQUIRE(database.start(tickets.take()).ok());
    database.write(writeOf(1));
    const auto lines = database.conversation(instanceOf(4), 3);  // the thread has tried by then
    CHECK(lines.ok());
    CHECK(tickets.last() == 0);
    disk.writeFails = SQLITE_OK;
    database.write(writeOf(2));
    CHECK(tickets.reaches(2));
  }
}
