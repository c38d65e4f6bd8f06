// DirectoryDatabase: its thread, with a real database in a temporary folder.
#include "metaserver/storage/directory_database.h"

#include <doctest/doctest.h>

#include <atomic>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <thread>

#include "common/base/guarded.h"
#include "common/base/log.h"
#include "tests/unit/directory_rows.h"
#include "tests/unit/failing_disk.h"
#include "tests/unit/temporary_folder.h"

using namespace espalier;
using namespace espalier::metaserver;
using namespace espalier::metaserver::storage;
using test::FailingDisk;
using test::memberOf;
using test::serverOf;
using test::TemporaryFolder;

namespace {

// A directory whose changes are taken one at a time, as pages.
class Directory {
 public:
  void put(int number) {
    parts_.with([&](Parts& parts) {
      parts.members[number] = memberOf(number, 1);
      parts.changes.push_back({false, {}, {memberOf(number, 1)}, false});
    });
  }
  std::optional<DirectoryBatch> take(bool all) {
    ++takes;
    if (all) ++fromScratch;
    return parts_.with([&](Parts& parts) -> std::optional<DirectoryBatch> {
      if (all) {
        parts.changes.clear();
        if (!hasNetwork) return std::nullopt;
        MemberChanges whole{true, {}, {}, false};
        for (const auto& [number, row] : parts.members) whole.rows.push_back(row);
        return DirectoryBatch{{serverOf(1, 5000, true)}, std::move(whole)};
      }
      if (parts.changes.empty()) return std::nullopt;
      MemberChanges page = std::move(parts.changes.front());
      parts.changes.erase(parts.changes.begin());
      page.more = !parts.changes.empty();
      return DirectoryBatch{{serverOf(1, 5000, true)}, std::move(page)};
    });
  }

  std::atomic<int> takes{0};
  std::atomic<int> fromScratch{0};
  std::atomic<bool> hasNetwork{true};

 private:
  struct Parts {
    std::map<int, MemberRow> members;
    std::vector<MemberChanges> changes;
  };
  Guarded<Parts> parts_;
};

class Given {
 public:
  Given() {
    log::setSink(
        [](std::string_view line, void* given) {
          static_cast<Given*>(given)->logged_.with(
              [&](std::string& all) { all += std::string(line) + "\n"; });
        },
        this);
  }
  Given(const Given&) = delete;
  Given& operator=(const Given&) = delete;
  ~Given() {
    database.reset();
    log::setSink(nullptr, nullptr);
  }

  DirectoryDatabase& start() {
    database =
        std::make_unique<DirectoryDatabase>(path, [this](bool all) { return directory.take(all); });
    REQUIRE(database->start().ok());
    return *database;
  }
  void put(int number) {
    directory.put(number);
    if (database) database->wake();
  }
  std::string ids() const { return test::all(path, "SELECT group_concat(id) FROM user_names"); }
  int told(std::string_view text) {
    return logged_.with([&](const std::string& all) {
      int found = 0;
      for (auto at = all.find(text); at != std::string::npos; at = all.find(text, at + 1)) ++found;
      return found;
    });
  }

  TemporaryFolder folder;
  std::string path = folder / "directory.db";
  Directory directory;
  std::unique_ptr<DirectoryDatabase> database;

 private:
  Guarded<std::string> logged_;
};

// Waits for another thread. The time limit of the test program ends a wait in vain.
void await(const std::function<bool()>& condition) {
  while (!condition()) std::this_thread::yield();
}

constexpr std::string_view kFailure = "is written as soon as it can be";
constexpr std::string_view kSuccess = "can be written again";

}  // namespace

TEST_CASE("the directory is written at the start, and every change after a wake-up") {
  Given given;
  given.put(1);
  given.put(2);
  given.start();
  await([&] { return given.ids() == "s1,s2\n"; });
  given.put(3);
  await([&] { return given.ids() == "s1,s2,s3\n"; });
  CHECK(given.directory.fromScratch == 1);
}

TEST_CASE("what a run before has left is thrown away, also if it is no database") {
  for (const bool isDatabase : {true, false}) {
    Given given;
    given.put(7);
    if (isDatabase) {
      given.start();
      await([&] { return given.ids() == "s7\n"; });
      given.database.reset();
    } else {
      std::ofstream(given.path) << "no database";
    }
    Given next;
    next.path = given.path;
    next.put(1);
    next.start();
    await([&] { return next.ids() == "s1\n"; });
    CHECK(next.told("\n") == 0);
  }
}

TEST_CASE("while there is no network yet it is asked for again, from scratch") {
  Given given;
  given.directory.hasNetwork = false;
  auto& database = given.start();
  await([&] { return given.directory.fromScratch == 1; });
  given.put(1);
  given.directory.hasNetwork = true;
  database.wake();
  await([&] { return given.ids() == "s1\n"; });
  CHECK(given.directory.fromScratch >= 2);
}

TEST_CASE("pages that follow each other are written without a wake-up for each") {
  Given given;
  auto& database = given.start();
  await([&] { return given.ids() == "\n"; });
  for (int number = 1; number <= 9; ++number) given.directory.put(number);
  database.wake();
  await([&] { return given.ids() == "s1,s2,s3,s4,s5,s6,s7,s8,s9\n"; });
}

TEST_CASE("the last change is written at the end, without a wake-up") {
  Given given;
  given.start();
  await([&] { return given.ids() == "\n"; });
  given.directory.put(1);
  given.database.reset();
  CHECK_FALSE(fs::exists(given.path + "-wal"));  // one file, as it is closed
  CHECK(given.ids() == "s1\n");
}

TEST_CASE("a full disk is told once, loses no change, and is repaired by itself") {
  FailingDisk disk;
  {
    Given given;
    given.start();
    await([&] { return given.ids() == "\n"; });
    disk.writeFails = SQLITE_FULL;
    given.put(1);
    await([&] { return given.told(kFailure) == 1; });
    const int takes = given.directory.takes;
    given.put(2);
    const int failed = disk.failed;
    await([&] { return disk.failed > failed; });  // it is tried again meanwhile
    CHECK(given.directory.takes == takes);
    CHECK(given.ids() == "\n");
    disk.writeFails = SQLITE_OK;
    await([&] { return given.told(kSuccess) == 1; });
    await([&] { return given.ids() == "s1,s2\n"; });
    CHECK(given.directory.fromScratch == 1);
    CHECK(given.told(kFailure) == 1);
  }
}

TEST_CASE("a database that cannot be made is told once, and is made as soon as it can be") {
  Given given;
  fs::create_directory(given.path);
  given.put(1);
  given.start();
  await([&] { return given.told(kFailure) == 1; });
  fs::remove(given.path);
  await([&] { return given.ids() == "s1\n"; });
  await([&] { return given.told(kSuccess) == 1; });
  CHECK(given.told(kFailure) == 1);
}

TEST_CASE("a database that was removed is made again, with everything") {
  Given given;
  auto& database = given.start();
  given.put(1);
  await([&] { return given.ids() == "s1\n"; });
  fs::remove(given.path);
  given.put(2);
  await([&] { return given.ids() == "s1,s2\n"; });
  fs::remove(given.path);
  database.writeAgain();  // nothing has changed
  await([&] { return given.ids() == "s1,s2\n"; });
  CHECK(given.told(kFailure) == 0);
}

TEST_CASE("a database that somebody has damaged is made again, with everything") {
  Given given;
  given.start();
  given.put(1);
  await([&] { return given.ids() == "s1\n"; });
  {
    auto other = sqlite::Database::open(given.path);
    REQUIRE(other->run("DROP TABLE user_names").ok());
  }
  given.put(2);
  await([&] { return given.told(kFailure) == 1; });
  await([&] { return given.ids() == "s1,s2\n"; });
  await([&] { return given.told(kSuccess) == 1; });
}

TEST_CASE("a reader is never kept from reading by batches that follow each other") {
  Given given;
  given.start();
  await([&] { return given.ids() == "\n"; });
  unsigned long most = 0;
  for (int number = 1; number <= 200; ++number) {
    given.put(number);
    const auto text = test::all(given.path, "SELECT count(*) FROM user_names");
    CAPTURE(text);
    REQUIRE(text.find_first_not_of("0123456789\n") == std::string::npos);
    const auto count = std::stoul(text);
    CHECK(count >= most);
    most = count;
  }
  await([&] { return given.ids().find("s200") != std::string::npos; });
}
