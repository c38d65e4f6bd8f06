// Names from the network in a real folder tree. Outside the downloads folder are files that must
// not change; inside it are links that point at them.
#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <set>

#include "common/base/text.h"
#include "peer/transfer/safe_path.h"
#include "tests/unit/transfer_fixture.h"

using namespace espalier;
using namespace espalier::transfer;
using namespace espalier::transfer::test;

namespace {

// A folder with canaries beside, above and behind links of its `downloads`.
class CanaryTree {
 public:
  CanaryTree() {
    for (const auto* name : {"canary", "passwd", "outside/canary", "outside/deep/canary",
                             "downloads/.espalier/key", "downloads/docs/.espalier/key"}) {
      fs::create_directories((root_ / name).parent_path());
      writeFile(root_ / name, "canary");
    }
    fs::create_directories(downloads() / "docs");
    fs::create_symlink("../outside", downloads() / "link");
    fs::create_symlink(root_ / "outside", downloads() / "absolute");
    fs::create_symlink("../../outside", downloads() / "docs" / "link");
    fs::create_symlink("../canary", downloads() / "file");
    fs::create_symlink("docs", downloads() / "inner");
    fs::create_symlink("nowhere", downloads() / "dangling");
    fs::create_symlink(".", downloads() / "self");
    before_ = canaries();
  }

  fs::path downloads() const { return root_ / "downloads"; }
  std::string text() const { return root_.text(); }
  bool untouched() const { return canaries() == before_; }

 private:
  // Everything but what lies in `downloads` proper: path, kind and content.
  std::set<std::string> canaries() const {
    std::set<std::string> found;
    for (fs::recursive_directory_iterator at(root_ / "."), end; at != end; ++at) {
      const std::string path = at->path().string();
      const bool plain = path.find("/downloads/") != std::string::npos &&
                         path.find(".espalier") == std::string::npos && !fs::is_symlink(at->path());
      if (plain) continue;
      found.insert(path + (fs::is_symlink(at->path())        ? fs::read_symlink(at->path()).string()
                           : fs::is_regular_file(at->path()) ? readFile(at->path())
                                                             : "/"));
    }
    return found;
  }

  TemporaryFolder root_;
  std::set<std::string> before_;
};

// Saves a byte under the name, as a fetch does in the end.
bool save(const fs::path& downloads, const std::string& name) {
  const auto safe = SafeName::parse(name, DotNames::all());
  if (!safe) return false;
  const auto base = openFolder(downloads.string());
  REQUIRE(base.ok());
  const auto folder = openFolderBeneath(base->get(), safe->folders(), true);
  if (!folder) return false;
  const auto part = safe->leaf().substr(0, 240) + ".new";
  const FileDescriptor file(
      ::openat(folder->get(), part.c_str(), O_WRONLY | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0666));
  if (!file) return false;
  REQUIRE(::write(file.get(), "evil", 4) == 4);
  return ::renameat(folder->get(), part.c_str(), folder->get(), safe->leaf().c_str()) == 0;
}

const std::vector<std::string> kParts{"..",
                                      ".",
                                      "",
                                      "docs",
                                      "link",
                                      "absolute",
                                      "file",
                                      "inner",
                                      "dangling",
                                      "self",
                                      "canary",
                                      "outside",
                                      ".espalier",
                                      ".Espalier",
                                      ".ESPALIER",
                                      "key",
                                      "downloads",
                                      "...",
                                      ".. ",
                                      " ..",
                                      "~",
                                      "-rf",
                                      "a b",
                                      "größe",
                                      "日本",
                                      "CON",
                                      "a\\..\\b",
                                      "..\\..",
                                      "%2e%2e",
                                      "a\nb",
                                      "\x1b[2J",
                                      "a\x7f",
                                      "\xff\xfe",
                                      "\xc0\xae\xc0\xae",
                                      "\u202egnp",
                                      "\u0085",
                                      std::string("a\0b", 3),
                                      std::string(255, 'x'),
                                      std::string(256, 'x'),
                                      "new",
                                      "deep"};

}  // namespace

TEST_CASE("names that lead out, or that nobody could type, are refused") {
  for (const std::string bad : {"",
                                "/",
                                "//",
                                "/etc/passwd",
                                "..",
                                "../canary",
                                "a/..",
                                "a/../b",
                                "a//b",
                                "a/",
                                "a\xc3\\\x96",  // with the backslash gone it would be UTF-8
                                "./a",
                                ".",
                                "a/.",
                                ".espalier",
                                ".espalier/key",
                                "a/.espalier/b",
                                ".ESPALIER/x",
                                "a\nb",
                                "a\tb",
                                "\x1b]0;x\x07",
                                "a\x7f",
                                "\xff",
                                "a/\xc0\xaf/b",
                                "x\u202ey",
                                "a\r"}) {
    CAPTURE(escaped(bad));
    CHECK_FALSE(SafeName::parse(bad, DotNames::all()).ok());
  }
  CHECK_FALSE(SafeName::parse(std::string("a\0b", 3), DotNames::all()).ok());
  CHECK_FALSE(SafeName::parse(std::string(256, 'x'), DotNames::all()).ok());
  std::string deep = "x";
  for (int i = 0; i < 64; ++i) deep += "/x";
  CHECK_FALSE(SafeName::parse(deep, DotNames::all()).ok());
  CHECK(SafeName::parse(deep.substr(2), DotNames::all()).ok());
  CHECK_FALSE(SafeName::parse(std::string(5000, 'x'), DotNames::all()).ok());
}

TEST_CASE("ordinary names are taken as they are") {
  for (const std::string good : {"f1.txt", "a/b/c", "with space", "größe/日本", "...", "..a", "a..",
                                 "-rf", "~", "a\\b", ".hidden", ".espalier2", "espalier"}) {
    CAPTURE(good);
    const auto name = SafeName::parse(good, DotNames::all());
    REQUIRE(name.ok());
    CHECK(name->text() == good);
  }
}

TEST_CASE("no name out of hundreds touches a canary") {
  const CanaryTree tree;
  std::size_t saved = 0;
  std::size_t refused = 0;
  const auto attempt = [&](const std::string& name) {
    ++(save(tree.downloads(), name) ? saved : refused);
  };
  // Replacing a link by a file is no harm (a test below), but it would disarm what follows.
  const std::set<std::string> links{"link", "absolute", "file", "inner", "dangling", "self"};
  for (const auto& one : kParts) {
    if (!links.contains(one)) {
      attempt(one);
      attempt("docs/" + one);
    }
    attempt("/" + one);
    attempt(tree.text() + "/" + one);
    for (const auto& two : kParts) {
      if (!links.contains(two)) attempt(one + "/" + two);
      attempt(one + "/" + two + "/x");
      attempt("docs/" + one + "/" + two + "/x");
    }
  }
  CHECK(saved > 150);
  CHECK(refused > 1000);
  CHECK(tree.untouched());
  CHECK(readFile(fs::path(tree.text()) / "canary") == "canary");
}

TEST_CASE("a whole fetch under a nasty name ends with an error and leaves the canaries alone") {
  HolderPeer s1("s1");
  const CanaryTree tree;
  const auto info = s1.share.add("f", "evil");
  for (const std::string name :
       {"../canary", "link/canary", "absolute/deep/canary", "docs/link/x", "inner/x", "self/self/x",
        "dangling/x", "file/x", ".espalier/key", "docs/.espalier/key", "/etc/espalier-canary"}) {
    CAPTURE(name);
    DownloaderOptions options;
    options.stateFolder = (tree.downloads() / ".state").string();
    FetchRequest request{info.root, info.size, {s1.holder()}, tree.downloads().string(),
                         name,      true};
    const auto result = Downloader(options).fetch(request, {});
    REQUIRE_FALSE(result.ok());
    CHECK(result.error().code == ErrorCode::failed);
  }
  CHECK(s1.connections() == 0);
  CHECK(tree.untouched());
}

TEST_CASE("a link under the very name is neither followed nor replaced, not even by force") {
  HolderPeer s1("s1");
  const CanaryTree tree;
  const auto info = s1.share.add("f", "new content");
  DownloaderOptions options;
  options.stateFolder = (tree.downloads() / ".state").string();
  FetchRequest request{info.root, info.size, {s1.holder()}, tree.downloads().string(), "file"};
  CHECK_FALSE(Downloader(options).fetch(request, {}).ok());
  CHECK(tree.untouched());
  request.force = true;
  CHECK_FALSE(Downloader(options).fetch(request, {}).ok());
  CHECK(tree.untouched());
  CHECK(fs::is_symlink(tree.downloads() / "file"));
}

TEST_CASE("a safe name is exactly what it was parsed from") {
  rc::check("parse keeps or refuses", [](const std::string& name) {
    const auto safe = SafeName::parse(name, DotNames::all());
    if (!safe) return;
    RC_ASSERT(safe->text() == name);
    RC_ASSERT(name.find('\0') == std::string::npos);
    for (const auto& part : safe->folders()) RC_ASSERT(part != ".." && !part.empty());
  });
}
