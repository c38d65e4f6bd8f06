// Which names are shared: dot names, after share and unshare, and names that cannot be asked for.
#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <map>
#include <set>

#include "peer/core/pattern.h"
#include "peer/share/share_name.h"
#include "tests/unit/share_fixture.h"

using namespace espalier;
using namespace espalier::share;

TEST_CASE("a name that begins with a dot is shared only if the user named it") {
  Sharer sharer;
  for (const std::string name :
       {".config/x", ".config/.y", ".config/sub/z", ".profile", "d/.git/head", "d/f", "d/.a/b/.c/e",
        ".ESPALIER/key", "espalier-state.txt"}) {
    write(sharer.share() / name, name);
  }
  for (const std::string name : {".dots/f", ".dots/.g", "top/.h/i"}) {
    write(sharer.outside() / name, name);
  }
  auto& index = sharer.startAndWait();
  const std::set<std::string> plain{"d/f", "espalier-state.txt"};
  const auto expect = [&](std::set<std::string> more) {
    more.insert(plain.begin(), plain.end());
    sharer.waitForNames({more.begin(), more.end()});
  };
  expect({});
  sharer.waitForNotice("begins with a dot");
  REQUIRE(index.add(sharer.share() / ".config"));
  expect({".config/sub/z", ".config/x"});
  CHECK(index.add(".ESPALIER").error().message.find("never shared") == std::string::npos);
  CHECK(index.add(sharer.share() / ".ESPALIER").error().message.find("never shared") !=
        std::string::npos);
  REQUIRE(index.add(sharer.share() / "d/.a/b/.c"));
  REQUIRE(index.add(sharer.share() / ".profile"));
  expect({".config/sub/z", ".config/x", ".profile", "d/.a/b/.c/e"});
  write(sharer.share() / ".config/later", "later");
  write(sharer.share() / ".later", "later");
  write(sharer.share() / "d/.a/not", "not named");
  expect({".config/later", ".config/sub/z", ".config/x", ".profile", "d/.a/b/.c/e"});
  REQUIRE(index.remove(".config/sub"));
  REQUIRE(index.remove(sharer.share() / ".profile"));
  CHECK_FALSE(index.remove(sharer.share() / "d/.git"));
  REQUIRE(index.add(sharer.outside() / ".dots"));
  REQUIRE(index.add(sharer.outside() / "top"));
  expect({".config/later", ".config/x", ".dots/f", "d/.a/b/.c/e"});
  REQUIRE(index.add(sharer.outside() / "top/.h"));
  sharer.startAndWait();
  expect({".config/later", ".config/x", ".dots/f", "d/.a/b/.c/e", "top/.h/i"});
  auto& again = sharer.index();
  REQUIRE(again.remove(sharer.share() / ".config"));
  REQUIRE(again.remove("d/.a"));
  REQUIRE(again.remove(".dots"));
  REQUIRE(again.remove("top"));
  expect({});
}

TEST_CASE("with shareHidden all names are shared but the programs' own") {
  Sharer sharer([](ShareOptions& options) { options.shareHidden = true; });
  for (const std::string name : {".config/.y", "d/.git/head", ".Espalier/key", "f"}) {
    write(sharer.share() / name, name);
  }
  auto& index = sharer.startAndWait();
  sharer.waitForNames({".config/.y", "d/.git/head", "f"});
  REQUIRE(index.remove(".config"));
  sharer.waitForNames({"d/.git/head", "f"});
  REQUIRE(index.add(sharer.share() / ".config"));
  sharer.waitForNames({".config/.y", "d/.git/head", "f"});
}

TEST_CASE("a dot in the name of the shared folder itself hides nothing") {
  Sharer sharer([](ShareOptions& options) { options.root = options.root / ".hidden"; });
  write(sharer.share() / ".hidden/f", "f");
  write(sharer.share() / ".hidden/.g", "g");
  sharer.startAndWait();
  CHECK(sharer.names() == std::vector<std::string>{"f"});
  CHECK(sharer.index().wouldShare("a/b"));
  CHECK_FALSE(sharer.index().wouldShare("a/.b"));
  CHECK_FALSE(sharer.index().wouldShare("espalier-state"));
}

TEST_CASE("every announced file can be asked for by its name, and the user is told of the others") {
  Sharer sharer;
  std::string deep = "x";
  while (deep.size() < 2 * limits::kPathDepth - 1) deep += "/x";
  std::string longest;
  while (longest.size() + 200 < limits::kSharedNameBytes) longest += std::string(199, 'l') + '/';
  longest += std::string(limits::kSharedNameBytes - longest.size(), 'e');
  const std::string wide = "wide/" + std::string(limits::kNameBytes, 'w');
  for (const auto& name : {deep, deep + "y/x", longest, longest + 'e', wide}) {
    write(sharer.share() / name, "f");
  }
  for (const std::string name : {"a\nb", "right\u202eleft", "bad\xff"}) {
    write(sharer.share() / name, "f");
  }
  auto& index = sharer.startAndWait();
  sharer.waitForNames({deep, longest, wide});
  sharer.waitForNotice("because the path has too many folders");
  sharer.waitForNotice("because the path is too long");
  sharer.waitForNotice("because the name has control characters");
  sharer.waitForNotice("because the name is not UTF-8");
  for (const auto& entry : index.snapshot()->entries()) {
    const auto pattern = peer::Pattern::compile(PatternKind::path, entry->name);
    REQUIRE(pattern.ok());
    CHECK(pattern->matches(entry->name, entry->root));
    CHECK(nameFault(entry->name) == NameFault::none);
  }
}

TEST_CASE("after unshare nothing of a path is shared, under any of its names") {
  Sharer sharer;
  for (const std::string name : {"top/in/f", "top/in/deep/g", "top/other", "beside"}) {
    write(sharer.outside() / name, name);
  }
  write(sharer.share() / "own/h", "h");
  fs::create_directory_symlink(sharer.outside() / "top", sharer.temp / "link");
  fs::create_directory_symlink(sharer.outside() / "top/in", sharer.temp / "inlink");
  sharer.startAndWait();
  const fs::path top = sharer.outside() / "top";
  const auto shareBoth = [&] {
    REQUIRE(sharer.index().add(top / "in"));
    REQUIRE(sharer.index().add(top));
    sharer.waitForNames({"in/deep/g", "in/f", "own/h", "top/in/deep/g", "top/in/f", "top/other"});
  };
  // The path, names as `list` shows them, and links.
  for (const fs::path& path :
       {top / "in", fs::path("in"), fs::path("top/in"), sharer.temp / "link/in",
        sharer.temp / "inlink", top / "../top/./in/"}) {
    CAPTURE(path.string());
    shareBoth();
    REQUIRE(sharer.index().remove(path));
    CHECK(sharer.names() == std::vector<std::string>{"own/h", "top/other"});
    CHECK(sharer.index().add(top / "in/deep").error().message.find("share that first") !=
          std::string::npos);
    REQUIRE(sharer.index().add(sharer.outside()));  // a folder above it
    REQUIRE(sharer.index().awaitPublished(kDeadline));
    sharer.waitForNames({"outside/beside", "outside/top/other", "own/h", "top/other"});
    sharer.startAndWait();
    sharer.waitForNames({"outside/beside", "outside/top/other", "own/h", "top/other"});
    REQUIRE(sharer.index().add(top / "in"));
    sharer.waitForNames({"outside/beside", "outside/top/in/deep/g", "outside/top/in/f",
                         "outside/top/other", "own/h", "top/in/deep/g", "top/in/f", "top/other"});
    REQUIRE(sharer.index().remove(sharer.outside()));
    CHECK(sharer.names() == std::vector<std::string>{"own/h"});
    CHECK_FALSE(sharer.index().remove(sharer.outside()));
  }
}

TEST_CASE("an unshared path stays unshared when the share is moved, and with an older list") {
  Sharer sharer;
  write(sharer.share() / "in/f", "f");
  write(sharer.share() / "g", "g");
  write(sharer.share() / ".espalier/share.json", R"({"shared":[],"hidden":["in"]})");
  sharer.startAndWait();
  sharer.waitForNames({"g"});
  // Sharing a folder above it does not share it, either.
  CHECK(sharer.index().add(sharer.temp.path()).ok());
  REQUIRE(sharer.index().awaitPublished(kDeadline));
  const std::string label = sharer.temp.path().filename().string();
  sharer.waitForNames({"g", label + "/s1/g"});
  sharer.stop();
  const fs::path elsewhere = sharer.temp / "elsewhere";
  fs::rename(sharer.share(), elsewhere);
  ShareOptions options;
  options.root = elsewhere;
  options.stateFolder = elsewhere / ".espalier";
  ShareIndex moved(options);
  REQUIRE(moved.awaitPublished(kDeadline));
  CHECK(moved.snapshot()->find("g") != nullptr);
  CHECK(moved.snapshot()->find("in/f") == nullptr);
}

TEST_CASE("a path that is neither file nor folder is refused") {
  Sharer sharer;
  REQUIRE(::mkfifo((sharer.share() / "fifo").c_str(), 0600) == 0);
  fs::create_directories(sharer.outside());
  REQUIRE(::mkfifo((sharer.outside() / "fifo").c_str(), 0600) == 0);
  auto& index = sharer.startAndWait();
  for (const auto& path : {sharer.share() / "fifo", sharer.outside() / "fifo"}) {
    CHECK(index.add(path).error().message.find("is neither a file nor a folder") !=
          std::string::npos);
  }
  CHECK(index.remove(sharer.temp.path()).error().message.find("the share itself is in") == 0);
}

// --- against a naive model

namespace {

// The model: the last command for a path, or for the nearest path above it, holds.
class Model {
 public:
  explicit Model(const std::string& share) : rules_{{share, true}} {}

  bool share(const std::string& path) {
    const auto rule = rules_.find(path);
    if (rule != rules_.end() && !rule->second) {
      rules_.erase(rule);
      return true;
    }
    const auto nearest = nearestOf(path);
    if (nearest == Rule::unshared) return false;
    if (nearest == Rule::none) rules_[path] = true;
    return true;
  }
  bool unshare(const std::string& path) {
    bool any = nearestOf(path) == Rule::shared;
    for (const auto& [at, shared] : rules_) any = any || (shared && isBelow(at, path));
    if (!any) return false;
    std::erase_if(rules_, [&](const auto& rule) { return isBelow(rule.first, path); });
    if (nearestOf(path) == Rule::shared) rules_[path] = false;
    return true;
  }
  bool shares(const std::string& path) const { return nearestOf(path) == Rule::shared; }

 private:
  enum class Rule { none, shared, unshared };
  static bool isBelow(const std::string& path, const std::string& top) {
    return path == top || path.starts_with(top + '/');
  }
  Rule nearestOf(const std::string& path) const {
    Rule nearest = Rule::none;
    std::size_t length = 0;
    for (const auto& [at, shared] : rules_) {
      if (!isBelow(path, at) || at.size() < length) continue;
      length = at.size();
      nearest = shared ? Rule::shared : Rule::unshared;
    }
    return nearest;
  }
  std::map<std::string, bool> rules_;
};

}  // namespace

TEST_CASE("sharing and unsharing overlapping folders agrees with a naive model") {
  rc::check("share, unshare, restart", [] {
    Sharer sharer;
    const std::vector<std::string> files{"s1/p/a",          "s1/p/q/b",      "s1/c",
                                         "outside/t/u/v/d", "outside/t/u/e", "outside/t/f",
                                         "outside/w/g"};
    const std::vector<std::string> paths{
        "s1/p",          "s1/p/q",          "s1/c",        "outside",  "outside/t", "outside/t/u",
        "outside/t/u/v", "outside/t/u/v/d", "outside/t/f", "outside/w"};
    for (const auto& file : files) write(sharer.temp / file, file);
    Model model((sharer.temp / "s1").string());
    sharer.startAndWait();
    const auto steps = *rc::gen::container<std::vector<std::pair<int, std::size_t>>>(
        12, rc::gen::pair(rc::gen::inRange(0, 9), rc::gen::inRange<std::size_t>(0, paths.size())));
    for (const auto& [what, at] : steps) {
      const fs::path path = sharer.temp / paths[at];
      if (what == 0) {
        sharer.startAndWait();
      } else if (what <= 4) {
        RC_ASSERT(sharer.index().add(path).ok() == model.share(path.string()));
      } else {
        RC_ASSERT(sharer.index().remove(path).ok() == model.unshare(path.string()));
      }
      RC_ASSERT(sharer.index().awaitPublished(kDeadline));
      std::set<std::string> shared;
      for (const auto& entry : sharer.index().snapshot()->entries()) {
        shared.insert(sharer.index().snapshot()->file(*entry).path.string());
      }
      for (const auto& file : files) {
        const auto whole = (sharer.temp / file).string();
        RC_ASSERT(shared.contains(whole) == model.shares(whole));
      }
    }
  });
}
