// Which folders are shared: after share and unshare, and while folders disappear and come back.
#include <doctest/doctest.h>

#include "tests/unit/share_fixture.h"

using namespace espalier;
using namespace espalier::share;

TEST_CASE("the share's folder may be absent at the start, and disappear and come back") {
  Sharer sharer;
  write(sharer.share() / "d/f", "content");
  sharer.startAndWait();
  fs::rename(sharer.share(), sharer.temp / "away");
  sharer.waitForNames({});
  sharer.waitForNotice("s1 is not there: nothing of it is shared until it is");
  CHECK_FALSE(fs::exists(sharer.share()));
  fs::rename(sharer.temp / "away", sharer.share());
  sharer.waitForNames({"d/f"});
  sharer.waitForNotice("s1 is there again");
  CHECK(sharer.index().progress().readBytes == 7);
  write(sharer.share() / "d/g", "watched again");
  sharer.waitForNames({"d/f", "d/g"});

  sharer.stop();
  fs::rename(sharer.share(), sharer.temp / "away");
  sharer.startAndWait();
  CHECK(sharer.names().empty());
  fs::rename(sharer.temp / "away", sharer.share());
  sharer.waitForNames({"d/f", "d/g"});
}

TEST_CASE("after awaitPublished() all is listed that was shared, and nothing that was unshared") {
  Sharer sharer;
  std::vector<std::string> all;
  for (const char* name : {"a", "b", "c/d", "c/e", "f"}) {
    write(sharer.outside() / "docs" / name, name);
    all.push_back(std::string("docs/") + name);
  }
  auto& index = sharer.startAndWait();
  for (int round = 0; round < 10; ++round) {
    write(sharer.outside() / "docs/f", std::string(100, static_cast<char>('a' + round)));
    REQUIRE(index.add(sharer.outside() / "docs"));
    REQUIRE(index.awaitPublished(kDeadline));
    CHECK(sharer.names() == all);
    REQUIRE(index.remove("docs/c"));
    REQUIRE(index.awaitPublished(kDeadline));
    CHECK(sharer.names() == std::vector<std::string>{"docs/a", "docs/b", "docs/f"});
    REQUIRE(index.remove("docs"));
    REQUIRE(index.awaitPublished(kDeadline));
    CHECK(sharer.names().empty());
  }
  std::stop_source stopped;
  stopped.request_stop();
  CHECK_FALSE(index.awaitPublished(kDeadline, stopped.get_token()));
}

TEST_CASE("share and unshare hold over a restart") {
  Sharer sharer;
  write(sharer.share() / "in/a", "a");
  write(sharer.share() / "in/b", "b");
  write(sharer.outside() / "docs/x/y", "y");
  write(sharer.outside() / "song", "song");
  write(sharer.outside() / "other", "not shared");
  auto& index = sharer.startAndWait();
  REQUIRE(index.add(sharer.outside() / "docs/"));
  REQUIRE(index.add(sharer.outside() / "song"));
  sharer.waitForNames({"docs/x/y", "in/a", "in/b", "song"});
  REQUIRE(index.add(sharer.outside() / "docs"));
  CHECK(index.snapshot()->file("docs/x/y")->path == sharer.outside() / "docs/x/y");
  CHECK(index.openForServing(*index.snapshot()->file("song")));
  CHECK(index.openForServing(*index.snapshot()->file("docs/x/y")));
  write(sharer.outside() / "docs/new", "new");
  write(sharer.outside() / "song", "another song");
  sharer.waitForContent("song", "another song");
  sharer.waitForNames({"docs/new", "docs/x/y", "in/a", "in/b", "song"});

  REQUIRE(index.remove(sharer.share() / "in/a"));
  REQUIRE(index.remove("docs/x"));
  sharer.waitForNames({"docs/new", "in/b", "song"});
  write(sharer.share() / "in/a", "changed");
  write(sharer.outside() / "docs/x/z", "hidden");
  write(sharer.share() / "in/c", "c");
  sharer.waitForNames({"docs/new", "in/b", "in/c", "song"});

  sharer.startAndWait();
  sharer.waitForNames({"docs/new", "in/b", "in/c", "song"});
  auto& again = sharer.index();
  CHECK(again.add(sharer.outside() / "docs/x/z").error().message ==
        "docs/x/z is in a folder that is unshared: share that first");
  REQUIRE(again.add(sharer.outside() / "docs/x"));
  REQUIRE(again.add(sharer.share() / "in/a"));
  sharer.waitForNames({"docs/new", "docs/x/y", "docs/x/z", "in/a", "in/b", "in/c", "song"});
  REQUIRE(again.remove(sharer.outside() / "docs"));
  REQUIRE(again.remove("song"));
  sharer.waitForNames({"in/a", "in/b", "in/c"});
  write(sharer.outside() / "docs/later", "later");
  REQUIRE(again.remove("in"));
  sharer.waitForNames({});
  sharer.startAndWait();
  sharer.waitForNames({});
}

TEST_CASE("paths that cannot be shared or unshared are refused with a sentence") {
  Sharer sharer;
  write(sharer.share() / "name", "in the share");
  write(sharer.outside() / "name", "outside");
  write(sharer.outside() / ".espalier/key", "key");
  fs::create_symlink(sharer.outside() / "name", sharer.outside() / "link");
  auto& index = sharer.startAndWait();
  const auto refusal = [](const Result<void>& result) {
    REQUIRE_FALSE(result);
    return result.error().message;
  };
  CHECK(refusal(index.add(sharer.outside() / "name")) ==
        "name is in the share already: rename one of them");
  CHECK(refusal(index.add(sharer.outside() / "link")).find("is a symbolic link") !=
        std::string::npos);
  CHECK(refusal(index.add(sharer.outside() / "none")).find("No such file") != std::string::npos);
  CHECK(refusal(index.add(sharer.outside() / ".espalier")).find("ever shared") !=
        std::string::npos);
  CHECK(refusal(index.add(sharer.share() / ".espalier")).find("never shared") != std::string::npos);
  CHECK(refusal(index.remove(sharer.share())).find("is the share itself") != std::string::npos);
  CHECK(refusal(index.remove("nothing")) == "nothing is not shared");
  CHECK(refusal(index.remove(sharer.outside() / "name")).find("is not shared") !=
        std::string::npos);
  CHECK(index.add(sharer.share() / "name"));
  CHECK(sharer.names() == std::vector<std::string>{"name"});
}

TEST_CASE("without enough watches the folders are scanned at an interval") {
  Sharer sharer([](ShareOptions& options) {
    options.watches = 1;
    options.rescanInterval = 50ms;
  });
  write(sharer.share() / "a/b/f", "f");
  write(sharer.share() / "c/g", "g");
  sharer.startAndWait();
  sharer.waitForNotice("cannot watch all folders for changes");
  write(sharer.share() / "a/b/new", "new");
  sharer.waitForNames({"a/b/f", "a/b/new", "c/g"});
  fs::remove_all(sharer.share() / "a/b");
  write(sharer.share() / "c/g", "changed");
  sharer.waitForNames({"c/g"});
  sharer.waitForContent("c/g", "changed");
}
