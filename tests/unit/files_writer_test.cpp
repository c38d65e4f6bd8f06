// FilesWriter of the metaserver, with real files in a temporary folder.
#include "metaserver/shell/files_writer.h"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <atomic>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>

#include "common/base/fs.h"
#include "common/base/guarded.h"
#include "common/base/log.h"

using namespace espalier;
using namespace espalier::metaserver;
using namespace espalier::metaserver::shell;

namespace {

PeerId peer(std::string_view id) {
  return PeerId::parse(id).value();
}

// Two peers that are linked.
FilesSnapshot snapshotOf(std::uint64_t version) {
  FilesSnapshot snapshot;
  snapshot.version = version;
  snapshot.lines = {{peer("s1"), {peer("s2")}}, {peer("s2"), {peer("s1")}}};
  snapshot.state.network.bytes[0] = 7;
  snapshot.state.nextOrder = JoinOrder{3};
  InstanceKey key;
  key.bytes[0] = 1;
  snapshot.state.members = {{peer("s1"), key, JoinOrder{1}, {"127.0.0.1", 5001}},
                            {peer("s2"), key, JoinOrder{2}, {"127.0.0.1", 5002}}};
  return snapshot;
}

class Given {
 public:
  Given() {
    std::string name = (fs::temp_directory_path() / "espalier-writer-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    folder = name;
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
    writer.reset();
    log::setSink(nullptr, nullptr);
    fs::remove_all(folder);
  }

  FilesWriter& start() {
    writer = std::make_unique<FilesWriter>(
        FilesWriter::Paths{path("topo.txt"), path("count.txt"), path("network"),
                           path("metaservers")},
        [this](std::uint64_t newerThan) -> std::optional<FilesSnapshot> {
          ++looks;
          const auto now = version.load();
          if (now <= newerThan) return std::nullopt;
          return snapshotOf(now);
        });
    REQUIRE(writer->start().ok());
    return *writer;
  }
  std::string path(const std::string& name) const { return (folder / name).string(); }
  std::string text(const std::string& name) const {
    return readFile(path(name), 1 << 16).valueOr("nothing");
  }
  std::string logged() {
    return logged_.with([](std::string& all) { return all; });
  }

  fs::path folder;
  std::atomic<std::uint64_t> version{1};
  std::atomic<int> looks{0};
  std::unique_ptr<FilesWriter> writer;

 private:
  Guarded<std::string> logged_;
};

// Waits for another thread. The time limit of the test program ends a wait in vain.
void await(const std::function<bool()>& condition) {
  while (!condition()) std::this_thread::yield();
}

const std::string kTopo = "s1:  s2\ns2:  s1\n";

}  // namespace

TEST_CASE("a writer writes all three files at its start, and the state so that it reads back") {
  Given given;
  given.start();
  await([&] { return fs::exists(given.path("network")); });
  CHECK(given.text("topo.txt") == kTopo);
  CHECK(given.text("count.txt") == "2\n");
  const auto read = loadState(given.path("network"));
  REQUIRE(read.ok());
  CHECK(*read == snapshotOf(1).state);
  struct stat status {};
  REQUIRE(::stat(given.path("network").c_str(), &status) == 0);
  CHECK((status.st_mode & 0777) == 0600);
}

TEST_CASE("a wake-up writes a newer version, and touches nothing where there is none") {
  Given given;
  auto& writer = given.start();
  await([&] { return fs::exists(given.path("network")); });
  fs::remove(given.path("topo.txt"));

  const int before = given.looks;
  writer.wake();
  await([&] { return given.looks > before; });
  CHECK_FALSE(fs::exists(given.path("topo.txt")));

  given.version = 2;
  writer.wake();
  await([&] { return given.text("topo.txt") == kTopo; });
}

TEST_CASE("a file that has vanished is written again though nothing has changed") {
  Given given;
  auto& writer = given.start();
  await([&] { return fs::exists(given.path("network")); });
  fs::remove(given.path("network"));
  writer.writeAgain();
  await([&] { return fs::exists(given.path("network")); });
  CHECK(*loadState(given.path("network")) == snapshotOf(1).state);
}

TEST_CASE("the last version is written at the end, without a wake-up") {
  Given given;
  given.start();
  await([&] { return fs::exists(given.path("network")); });
  fs::remove(given.path("topo.txt"));
  given.version = 2;
  given.writer.reset();
  CHECK(given.text("topo.txt") == kTopo);
}

TEST_CASE(
    "a file that cannot be written is told once, keeps no other from being written, and is "
    "written as soon as it can be") {
  Given given;
  fs::create_directory(given.path("topo.txt"));  // a folder is never replaced
  auto& writer = given.start();
  await([&] { return fs::exists(given.path("network")); });
  CHECK(given.text("count.txt") == "2\n");
  const int before = given.looks;
  writer.wake();
  await([&] { return given.looks > before + 1; });  // it was tried again meanwhile

  fs::remove(given.path("topo.txt"));
  await([&] { return given.text("topo.txt") == kTopo; });
  await([&] { return given.logged().find("can be written again") != std::string::npos; });
  const std::string logged = given.logged();
  const auto first = logged.find("is written as soon as it can be");
  REQUIRE(first != std::string::npos);
  CHECK(logged.find("is written as soon as it can be", first + 1) == std::string::npos);
}
