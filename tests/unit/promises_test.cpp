// PromisesDatabase, with real files in a temporary folder.
#include "metaserver/storage/promises.h"

#include <doctest/doctest.h>
#include <rapidcheck.h>
#include <sys/stat.h>

#include <fstream>
#include <set>
#include <vector>

#include "common/base/file.h"
#include "common/base/limits.h"
#include "tests/unit/failing_disk.h"
#include "tests/unit/temporary_folder.h"

using namespace espalier;
using namespace espalier::metaserver::storage;
using test::FailingDisk;
using test::TemporaryFolder;

namespace {

Promises promisesOf(std::uint16_t server, std::uint32_t counter, std::uint64_t reserved) {
  Promises promises{ServerNumber{server}, {counter, ServerNumber{9}}, JoinOrder{reserved}, {}};
  promises.network.bytes[3] = 0xab;
  return promises;
}

const Promises kFirst = promisesOf(7, 3, 4096);
const Promises kSecond = promisesOf(7, 4, 8192);

// What a metaserver that starts now reads.
Result<Promises> readBack(const std::string& path) {
  return PromisesDatabase(path).load();
}

std::string bytesOf(const std::string& path) {
  return readFile(path, 1 << 20).valueOr("nothing");
}

// A file with kFirst that no process has open.
struct Kept {
  Kept() {
    PromisesDatabase database(path);
    REQUIRE(database.load().ok());
    REQUIRE(database.save(kFirst).ok());
  }
  void change(const char* statements) {
    auto database = sqlite::Database::open(path);
    REQUIRE(database.ok());
    REQUIRE(database->run(statements).ok());
  }

  TemporaryFolder folder;
  std::string path = folder / "promises.db";
};

void isRefused(const std::string& path, const std::string& why) {
  const std::string before = bytesOf(path);
  const auto read = readBack(path);
  REQUIRE_FALSE(read.ok());
  INFO(read.error().message);
  CHECK(read.error().code == ErrorCode::configuration);
  CHECK(read.error().message.find(path) != std::string::npos);
  CHECK(read.error().message.find(why) != std::string::npos);
  CHECK(bytesOf(path) == before);
}

}  // namespace

TEST_CASE("the first start draws a number and keeps it, in a private file with a version") {
  TemporaryFolder folder;
  const std::string path = folder / "promises.db";
  Promises first;
  {
    PromisesDatabase database(path);
    const auto loaded = database.load();
    REQUIRE(loaded.ok());
    first = *loaded;
  }
  CHECK(first.number != kNoServer);
  CHECK(first == Promises{first.number, {}, kNoOrder, {}});
  CHECK(*readBack(path) == first);
  struct stat status {};
  REQUIRE(::stat(path.c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0600);
  auto reader = sqlite::Database::open(path);
  REQUIRE(reader.ok());
  CHECK(*reader->number("PRAGMA user_version") == 1);
}

TEST_CASE("numbers that are drawn differ, and none is that of no metaserver") {
  std::set<ServerNumber> drawn;
  for (int i = 0; i < 1000; ++i) drawn.insert(drawServerNumber());
  CHECK(drawn.size() > 900);
  CHECK_FALSE(drawn.contains(kNoServer));
}

TEST_CASE("what was saved last is read back, up to the ends of all ranges") {
  TemporaryFolder folder;
  const std::string path = folder / "promises.db";
  const Promises most{ServerNumber{0xffff},
                      {limits::kEpochCounter, ServerNumber{0xffff}},
                      JoinOrder{limits::kJoinOrder},
                      promisesOf(1, 1, 1).network};
  const Promises least{ServerNumber{1}, {}, kNoOrder, {}};
  for (const auto& last : {most, least, kFirst}) {
    {
      PromisesDatabase database(path);
      REQUIRE(database.load().ok());
      REQUIRE(database.save(kSecond).ok());
      REQUIRE(database.save(last).ok());
    }
    CHECK(*readBack(path) == last);
  }
}

TEST_CASE("a file is readable by its owner only, also if it was not") {
  Kept kept;
  REQUIRE(::chmod(kept.path.c_str(), 0644) == 0);
  CHECK(*readBack(kept.path) == kFirst);
  struct stat status {};
  REQUIRE(::stat(kept.path.c_str(), &status) == 0);
  CHECK((status.st_mode & 07777) == 0600);
}

TEST_CASE("a newer version is refused, and the file is not changed") {
  Kept kept;
  for (const char* version : {"PRAGMA user_version = 2", "PRAGMA user_version = -1"}) {
    kept.change(version);
    isRefused(kept.path, "newer version");
  }
  kept.change("PRAGMA user_version = 2; PRAGMA journal_mode = WAL");
  isRefused(kept.path, "newer version");
}

TEST_CASE("a damaged file is refused with what to do, and is not changed") {
  for (const char* damage :
       {"PRAGMA user_version = 0", "DROP TABLE promises", "DELETE FROM promises",
        "UPDATE promises SET number = 0", "UPDATE promises SET number = 65536",
        "UPDATE promises SET number = 'seven'", "UPDATE promises SET epoch_counter = -1",
        "UPDATE promises SET epoch_counter = 8388608", "UPDATE promises SET epoch_number = 65536",
        "UPDATE promises SET reserved = -1", "UPDATE promises SET reserved = 1.5",
        "UPDATE promises SET network = x'00'", "UPDATE promises SET network = 7"}) {
    CAPTURE(damage);
    Kept kept;
    kept.change(damage);
    isRefused(kept.path, "move it away");
  }
  for (const std::string bytes : {"", "no database", "SQLite format 3"}) {
    CAPTURE(bytes);
    Kept kept;
    std::ofstream(kept.path) << bytes;
    isRefused(kept.path, "move it away");
  }
  Kept kept;
  fs::resize_file(kept.path, fs::file_size(kept.path) / 2);
  isRefused(kept.path, "move it away");
}

TEST_CASE("a folder or a link under the name is refused") {
  TemporaryFolder folder;
  fs::create_directory(folder / "promises.db");
  isRefused(folder / "promises.db", "a folder");
  Kept kept;
  fs::create_symlink(kept.path, kept.folder / "link");
  isRefused(kept.folder / "link", "a symbolic link");
}

TEST_CASE("whatever byte of the file is damaged, it is read or refused, and stays if refused") {
  Kept kept;
  const std::string sound = bytesOf(kept.path);
  CHECK(rc::check([&] {
    std::string bytes = sound;
    const auto half = *rc::gen::arbitrary<bool>() ? 120 : bytes.size();  // the header, or any
    bytes[*rc::gen::inRange<std::size_t>(0, half)] = *rc::gen::arbitrary<char>();
    for (const char* suffix : {"", "-wal", "-journal"}) fs::remove(kept.path + suffix);
    std::ofstream(kept.path, std::ios::binary) << bytes;
    const auto read = readBack(kept.path);
    if (read) return;
    RC_ASSERT(read.error().code == ErrorCode::configuration || read.error().code == ErrorCode::io);
    RC_ASSERT(bytesOf(kept.path) == bytes);
  }));
}

TEST_CASE("no start is possible where the file cannot be made") {
  TemporaryFolder folder;
  const auto read = readBack(folder / "missing/promises.db");
  REQUIRE_FALSE(read.ok());
  CHECK(read.error().code == ErrorCode::io);
  CHECK(read.error().message.find("can be written") != std::string::npos);
}

TEST_CASE("what a full, failing or read-only disk did not take is an error; before holds") {
  FailingDisk disk;
  Kept kept;
  {
    PromisesDatabase database(kept.path);
    REQUIRE(database.load().ok());
    const auto fails = [&](const std::string& why) {
      const auto saved = database.save(kSecond);
      REQUIRE_FALSE(saved.ok());
      INFO(saved.error().message);
      CHECK(saved.error().code == ErrorCode::io);
      CHECK(saved.error().message.find(why) != std::string::npos);
      CHECK(saved.error().message.find("disk has room") != std::string::npos);
      CHECK(disk.failed.exchange(0) > 0);
    };
    disk.makesNoFile = true;
    fails("unable to open");
    disk.makesNoFile = false;
    disk.writeFails = SQLITE_FULL;
    fails("full");
    disk.writeFails = SQLITE_OK;
    disk.syncFails = SQLITE_IOERR_FSYNC;
    fails("I/O error");
    disk.syncFails = SQLITE_OK;
  }
  CHECK(*readBack(kept.path) == kFirst);
  PromisesDatabase database(kept.path);
  REQUIRE(database.load().ok());
  disk.writeFails = SQLITE_FULL;
  REQUIRE_FALSE(database.save(kSecond).ok());
  disk.writeFails = SQLITE_OK;
  CHECK(database.save(kSecond).ok());  // there is room again
}

TEST_CASE("whenever a save is cut off, the promises of before or the new ones are there") {
  FailingDisk disk;
  Kept kept;
  std::size_t cuts = 0;
  std::set<std::uint32_t> found;
  {
    PromisesDatabase database(kept.path);
    REQUIRE(database.load().ok());
    const auto cut = [&](sqlite3_file*, FailingDisk::Does) {
      // Copied as they are now: what a process that is killed leaves.
      const std::string name = "cut" + std::to_string(++cuts);
      for (const char* suffix : {"", "-journal"}) {
        if (!fs::exists(kept.path + suffix)) continue;
        fs::copy_file(kept.path + suffix, kept.folder / (name + suffix));
      }
    };
    disk.before = cut;
    REQUIRE(database.save(kSecond).ok());
    disk.before = nullptr;
    cut(nullptr, {});
  }
  CHECK(cuts > 7);
  for (std::size_t i = 1; i <= cuts; ++i) {
    CAPTURE(i);
    const auto read = readBack(kept.folder / ("cut" + std::to_string(i)));
    REQUIRE(read.ok());
    CHECK((*read == kFirst || *read == kSecond));
    found.insert(read->epoch.counter);
    if (i == cuts) CHECK(*read == kSecond);
  }
  CHECK(found.size() == 2);
}

TEST_CASE("a save has synced all that it wrote, and the file alone holds it") {
  FailingDisk disk;
  Kept kept;
  PromisesDatabase database(kept.path);
  REQUIRE(database.load().ok());
  std::set<sqlite3_file*> unsynced;
  std::size_t syncs = 0;
  disk.before = [&](sqlite3_file* file, FailingDisk::Does what) {
    if (what == FailingDisk::Does::sync) {
      ++syncs;
      unsynced.erase(file);
    } else {
      unsynced.insert(file);
    }
  };
  for (const auto& promises : {kSecond, kFirst, kSecond}) {
    REQUIRE(database.save(promises).ok());
    CHECK(unsynced.empty());
    fs::remove(kept.folder / "copy.db");
    fs::copy_file(kept.path, kept.folder / "copy.db");
    CHECK(*readBack(kept.folder / "copy.db") == promises);
  }
  CHECK(syncs >= 9);
  disk.before = nullptr;
}

TEST_CASE("a file that was removed is made again by the next save") {
  Kept kept;
  PromisesDatabase database(kept.path);
  REQUIRE(database.load().ok());
  fs::remove(kept.path);
  REQUIRE(database.save(kSecond).ok());
  fs::copy_file(kept.path, kept.folder / "copy.db");
  CHECK(*readBack(kept.folder / "copy.db") == kSecond);
}

TEST_CASE("what a removed file has left behind does not come back") {
  FailingDisk disk;
  Kept kept;
  std::vector<std::string> cuts;
  {
    PromisesDatabase database(kept.path);
    REQUIRE(database.load().ok());
    disk.before = [&](sqlite3_file*, FailingDisk::Does) {
      if (!fs::exists(kept.path + "-journal")) return;
      cuts.push_back(kept.folder / ("cut" + std::to_string(cuts.size())));
      fs::copy_file(kept.path + "-journal", cuts.back() + "-journal");
    };
    REQUIRE(database.save(kSecond).ok());
    disk.before = nullptr;
  }
  CHECK(cuts.size() > 5);
  for (const auto& path : cuts) {
    const auto fresh = readBack(path);
    REQUIRE(fresh.ok());
    CHECK(fresh->epoch == Epoch{});
    const auto again = readBack(path);
    REQUIRE(again.ok());
    CHECK(*again == *fresh);
  }
}

TEST_CASE("a file that another process has open is refused") {
  Kept kept;
  PromisesDatabase database(kept.path);
  REQUIRE(database.load().ok());
  const auto other = readBack(kept.path);
  REQUIRE_FALSE(other.ok());
  CHECK(other.error().code == ErrorCode::io);
  CHECK(other.error().message.find("locked") != std::string::npos);
}
