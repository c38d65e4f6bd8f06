#include "peer/transfer/stale_parts.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "common/base/file.h"
#include "common/base/file_descriptor.h"
#include "common/base/fs.h"
#include "common/base/limits.h"

using namespace espalier;
using namespace espalier::transfer;

namespace {

const std::string kRoot(64, 'a');
const std::string kOther(64, 'b');

// A folder of incoming files that last grew at `kThen`.
const auto kThen = std::chrono::system_clock::from_time_t(1'700'000'000);
const auto kTooLate = kThen + limits::kPartKept;

struct Incoming {
  Incoming() : path(fs::temp_directory_path() / fs::unique_path("stale_parts_%%%%%%%%")) {
    REQUIRE(fs::create_directory(path));
  }
  ~Incoming() {
    boost::system::error_code ignored;
    fs::remove_all(path, ignored);
  }
  void add(const std::string& name) const {
    REQUIRE(replaceFile(at(name), std::string(5000, 'x'), Durability::soft, kPublic));
    const auto seconds = std::chrono::system_clock::to_time_t(kThen);
    const timespec times[] = {{seconds, 0}, {seconds, 0}};
    REQUIRE(::utimensat(AT_FDCWD, at(name).c_str(), times, 0) == 0);
  }
  bool has(const std::string& name) const { return fs::exists(at(name)); }
  std::string at(const std::string& name) const { return (path / name).string(); }
  StaleParts tidy(std::chrono::system_clock::time_point now) const {
    return removeStaleParts(path.string(), now);
  }
  fs::path path;
};

}  // namespace

TEST_CASE("a part that was not resumed for long is removed, with its journal") {
  const Incoming incoming;
  incoming.add(kRoot + ".part");
  incoming.add(kRoot + ".journal");

  CHECK(incoming.tidy(kTooLate - std::chrono::seconds(1)).files == 0);
  CHECK(incoming.has(kRoot + ".part"));
  CHECK(incoming.has(kRoot + ".journal"));

  const auto removed = incoming.tidy(kTooLate);
  CHECK(removed.files == 1);
  CHECK(removed.bytes >= 5000);
  CHECK(fs::is_empty(incoming.path));
}

TEST_CASE("a part that is being fetched stays, and so does its journal") {
  const Incoming incoming;
  incoming.add(kRoot + ".part");
  incoming.add(kRoot + ".journal");
  const FileDescriptor fetching(::open(incoming.at(kRoot + ".part").c_str(), O_RDONLY | O_CLOEXEC));
  REQUIRE(::flock(fetching.get(), LOCK_EX | LOCK_NB) == 0);

  CHECK(incoming.tidy(kTooLate).files == 0);
  CHECK(incoming.has(kRoot + ".part"));
  CHECK(incoming.has(kRoot + ".journal"));
}

TEST_CASE("entries that are not incoming files are left alone, wherever they lead") {
  const Incoming incoming;
  incoming.add("holiday.part");
  incoming.add(kRoot);
  incoming.add(kRoot + ".parts");
  incoming.add("precious");
  fs::create_symlink("precious", incoming.path / (kOther + ".part"));

  CHECK(incoming.tidy(kTooLate).files == 0);
  CHECK(std::distance(fs::directory_iterator(incoming.path), fs::directory_iterator()) == 5);
  CHECK(incoming.tidy(kTooLate).files == 0);
  CHECK(removeStaleParts(incoming.at("none"), kTooLate).files == 0);
}

TEST_CASE("a journal without its part goes once it is old") {
  const Incoming incoming;
  incoming.add(kRoot + ".journal");
  (void)incoming.tidy(kTooLate - std::chrono::seconds(1));
  CHECK(incoming.has(kRoot + ".journal"));
  (void)incoming.tidy(kTooLate);
  CHECK_FALSE(incoming.has(kRoot + ".journal"));
}
