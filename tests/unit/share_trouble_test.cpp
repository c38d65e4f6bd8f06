// Files and folders that cannot be read for a while, that change without an event, or that become a
// state folder.
#include <doctest/doctest.h>
#include <sys/resource.h>

#include <cerrno>

#include "common/base/state_folder.h"
#include "peer/share/folder_watch.h"
#include "peer/share/index_file.h"
#include "tests/unit/share_fixture.h"

using namespace espalier;
using namespace espalier::share;

namespace {

void setMode(const fs::path& path, mode_t mode) {
  REQUIRE(::chmod(path.c_str(), mode) == 0);
}

struct stat statOf(const fs::path& path) {
  struct stat status {};
  REQUIRE(::lstat(path.c_str(), &status) == 0);
  return status;
}

// Changes the content and puts size and mtime back, as rsync and containers of encrypted disks do.
void changeUnseen(const fs::path& file, const std::string& text) {
  const auto before = statOf(file);
  REQUIRE(static_cast<std::uint64_t>(before.st_size) == text.size());
  const FileDescriptor opened(::open(file.c_str(), O_WRONLY | O_CLOEXEC));
  REQUIRE(::pwrite(opened.get(), text.data(), text.size(), 0) == static_cast<ssize_t>(text.size()));
  const timespec times[2] = {before.st_atim, before.st_mtim};
  REQUIRE(::futimens(opened.get(), times) == 0);
}

}  // namespace

TEST_CASE(
    "a folder or file that cannot be read for a moment is reported, and shared again after it") {
  for (const bool watched : {true, false}) {
    CAPTURE(watched);
    const WithoutOverride plain;
    Sharer sharer([&](ShareOptions& options) {
      if (watched) return;
      options.watches = 0;
      options.rescanInterval = 1h;
    });
    const std::vector<std::string> all{"d/e/f", "d/g", "h"};
    for (const auto& name : all) write(sharer.share() / name, name);
    sharer.startAndWait();
    const auto lose = [&](const std::string& name, mode_t mode, std::vector<std::string> left,
                          const std::string& notice) {
      CAPTURE(name);
      const fs::path path = name.empty() ? sharer.share() : sharer.share() / name;
      const mode_t before = statOf(path).st_mode & 07777;
      setMode(path, mode);
      // Without watches there is no event; a request for the file finds the change.
      for (const auto& each : all) {
        const auto file = sharer.index().snapshot()->file(each);
        if (!watched && file) (void)sharer.index().openForServing(*file).ok();
      }
      sharer.waitForNames(std::move(left));
      sharer.waitForNotice(notice + " (Permission denied)");
      setMode(path, before);
      sharer.waitForNames(all);
    };
    lose("d", 0600, {"h"}, "d: not shared, because it cannot be read");
    sharer.waitForNotice("d: can be read again");
    lose("d/e", 0, {"d/g", "h"}, "d/e: not shared, because it cannot be read");
    lose("h", 0, {"d/e/f", "d/g"}, "h: not shared, because it cannot be read");
    if (watched) lose("d", 0300, {"h"}, "d: not shared, because it cannot be read");
    lose("", 0600, {}, "s1 cannot be read: nothing of it is shared until it can");
    sharer.waitForNotice("s1 is there again");
  }
}

TEST_CASE(
    "a folder that becomes a state folder is no longer shared, nor opened from an old snapshot") {
  for (const std::string name : {"espalier-state", "instance.key"}) {
    CAPTURE(name);
    Sharer sharer;
    write(sharer.share() / "meta/network", "keys");
    write(sharer.share() / "meta/sub/file", "deeper");
    write(sharer.share() / "kept", "kept");
    auto& index = sharer.startAndWait();
    sharer.waitForNames({"kept", "meta/network", "meta/sub/file"});
    const auto file = *index.snapshot()->file("meta/sub/file");
    REQUIRE(index.openForServing(file));
    const fs::path marker = sharer.share() / "meta" / name;
    write(marker.string() + ".new", std::string(33, 'k'));
    setMode(marker.string() + ".new", 0600);
    fs::rename(marker.string() + ".new", marker);
    CHECK_FALSE(index.openForServing(file));
    sharer.waitForNames({"kept"});
    CHECK(index.add(sharer.share() / "meta").error().message.find("never shared") !=
          std::string::npos);
    write(sharer.share() / "meta/later", "later");
    write(sharer.share() / "last", "last");
    sharer.waitForNames({"kept", "last"});
    sharer.startAndWait();
    CHECK(sharer.names() == std::vector<std::string>{"kept", "last"});
  }
}

TEST_CASE("nothing is shared while the share is a state folder itself") {
  Sharer sharer;
  write(sharer.share() / "f", "f");
  write(sharer.share() / "espalier-state", "espalier-state 1\n");
  sharer.startAndWait();
  CHECK(sharer.names().empty());
  sharer.waitForNotice("s1 is the state folder of a peer or metaserver: nothing of it is shared");
  fs::remove(sharer.share() / "espalier-state");
  sharer.waitForNames({"f"});
}

TEST_CASE("content changed in place with size and mtime put back is another version") {
  Sharer sharer;
  const std::string old = filled(100'000, 'o');
  const std::string fresh = filled(100'000, 'f');
  write(sharer.share() / "f", old);
  auto& index = sharer.startAndWait();
  const auto file = *index.snapshot()->file("f");
  const auto opened = index.openForServing(file);
  REQUIRE(opened);
  changeUnseen(sharer.share() / "f", fresh);
  CHECK_FALSE(unchanged(opened->descriptor.get(), file));
  CHECK_FALSE(index.openForServing(file));
  sharer.waitForContent("f", fresh);
  sharer.stop();
  changeUnseen(sharer.share() / "f", old);
  sharer.startAndWait();
  sharer.waitForContent("f", old);
}

TEST_CASE("a file that a peer calls damaged is hashed again, once, and shared under its root") {
  Sharer sharer;
  write(sharer.share() / "good", "good");
  write(sharer.share() / "bad", "content");
  sharer.startAndWait();
  sharer.stop();
  // A disk that decays: neither size nor times of the file change.
  const fs::path file = sharer.share() / ".espalier/index";
  auto versions = *loadIndex(file);
  const auto wrong = rootOf("what it was once");
  for (auto& version : versions) {
    if (version.stat.sizeBytes == 7) version.root = wrong;
  }
  REQUIRE(saveIndex(file, versions));
  auto& index = sharer.startAndWait();
  REQUIRE(index.progress().readBytes == 0);
  REQUIRE(index.snapshot()->find("bad")->root == wrong);

  index.recheck(rootOf("nobody has it"));
  for (int i = 0; i < 1000; ++i) index.recheck(rootOf("good"));
  index.recheck(wrong);
  sharer.waitForContent("bad", "content");
  sharer.waitForNotice("bad: its content is not what it was");
  CHECK(index.snapshot()->find("good")->root == rootOf("good"));
  for (int i = 0; i < 1000; ++i) index.recheck(rootOf("good"));
  REQUIRE(index.awaitPublished(kDeadline));
  CHECK(index.progress().readBytes == 4 + 7);
}

TEST_CASE("the reason why folders cannot be watched names the setting that allows more") {
  CHECK(FolderWatch::reason(ENOSPC).find("fs.inotify.max_user_watches") != std::string::npos);
  CHECK(FolderWatch::reason(EMFILE).find("fs.inotify.max_user_instances") != std::string::npos);
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
  const rlimit none{0, before.rlim_max};
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
  const std::string reason = FolderWatch::reason(EMFILE);
  REQUIRE(::setrlimit(RLIMIT_NOFILE, &before) == 0);
  CHECK(reason.find("ulimit -n") != std::string::npos);
}

TEST_CASE("folders are watched again once watches are free") {
  Sharer sharer([](ShareOptions& options) {
    options.watches = 2;
    options.rescanInterval = 50ms;
  });
  for (const std::string name : {"a/f", "b/f"}) write(sharer.share() / name, name);
  sharer.startAndWait();
  sharer.waitForNotice("this user's inotify watches are used up");
  fs::remove_all(sharer.share() / "b");
  sharer.waitForNotice("all folders can be watched for changes again");
  write(sharer.share() / "a/g", "g");
  sharer.waitForNames({"a/f", "a/g"});
}

TEST_CASE("watching a folder repeatedly takes one watch") {
  TempFolder temp;
  FolderWatch watch(1);
  const FileDescriptor folder(::open(temp.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  for (int i = 0; i < 3; ++i) CHECK(watch.add(folder.get()) >= 0);
}
