// The parts of the share without a thread: catalogue and snapshot against a plain map, names,
// watches, files of the state folder.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <rapidcheck.h>

#include <algorithm>
#include <map>

#include "common/base/file.h"
#include "common/base/limits.h"
#include "common/crypto/sha256.h"
#include "peer/share/catalogue.h"
#include "peer/share/rechecker.h"
#include "peer/share/share_list.h"
#include "peer/share/share_name.h"
#include "peer/share/shared_file.h"
#include "peer/share/watch_table.h"

using namespace espalier;
using namespace espalier::share;

namespace {

FileRoot rootNumber(std::uint8_t number) {
  FileRoot root;
  root.bytes[0] = number;
  return root;
}

Entry entryOf(const std::string& name, std::uint8_t number) {
  return {name, {number, number, number}, rootNumber(number), 0};
}

rc::Gen<std::string> genName() {
  return rc::gen::map(rc::gen::inRange(0, 40), [](int n) {
    const std::string parts[] = {"a", "a-", "b", "a/b", "a/c", "a/b/c", "b/", "a0", "ä", "zz"};
    return parts[n % 10] + std::string(static_cast<std::size_t>(n / 10), 'x');
  });
}

struct TempFile {
  TempFile() : path(fs::temp_directory_path() / fs::unique_path("share_parts_%%%%%%%%")) {}
  ~TempFile() {
    boost::system::error_code ignored;
    fs::remove(path, ignored);
  }
  fs::path path;
};

}  // namespace

TEST_CASE("the catalogue and its snapshots agree with a plain map") {
  CHECK(rc::check([] {
    Catalogue catalogue;
    std::map<std::string, std::uint8_t> model;
    const auto folders = std::make_shared<const SharedFolders>(1);
    const auto steps = *rc::gen::container<std::vector<std::pair<std::string, int>>>(
        rc::gen::pair(genName(), rc::gen::inRange(-5, 8)));
    for (const auto& [name, what] : steps) {
      if (what >= 0) {
        catalogue.put(entryOf(name, static_cast<std::uint8_t>(what)));
        model[name] = static_cast<std::uint8_t>(what);
      } else if (what == -1) {
        catalogue.publish(folders);
      } else {
        catalogue.retire(name);
        model.erase(name);
      }
      std::uint64_t bytes = 0;
      for (const auto& [one, number] : model) bytes += number;
      RC_ASSERT(catalogue.files() == model.size());
      RC_ASSERT(catalogue.bytes() == bytes);
      const Entry* current = catalogue.current(name);
      RC_ASSERT((current != nullptr) == model.contains(name));
    }
    std::vector<std::string> below;
    for (const auto& [name, number] : model) {
      if (name.starts_with("a/")) below.push_back(name);
    }
    auto names = catalogue.names("a", [](const Entry&) { return true; });
    std::ranges::sort(names);
    RC_ASSERT(names == below);
    std::set<std::pair<std::string, bool>> children;
    catalogue.children(
        "a", [&](std::string_view child, bool isFolder) { children.emplace(child, isFolder); });
    for (const auto& name : below) {
      const auto rest = name.substr(2);
      RC_ASSERT(children.contains({rest.substr(0, rest.find('/')), rest.find('/') != rest.npos}));
    }

    const auto snapshot = catalogue.publish(folders);
    RC_ASSERT(snapshot->size() == model.size());
    RC_ASSERT(snapshot->totalBytes() == catalogue.bytes());
    std::size_t found = 0;
    for (std::uint8_t number = 0; number < 8; ++number) {
      const auto ofRoot = snapshot->findRoot(rootNumber(number));
      found += ofRoot.size();
      RC_ASSERT(std::ranges::is_sorted(ofRoot, {}, &Entry::name));
      for (const Entry* entry : ofRoot) RC_ASSERT(model.at(entry->name) == number);
    }
    RC_ASSERT(found == model.size());
    auto at = model.begin();
    for (const auto& entry : snapshot->entries()) RC_ASSERT(entry->name == (at++)->first);
  }));
}

TEST_CASE("an old snapshot is not changed by a new one") {
  Catalogue catalogue;
  const auto folders = std::make_shared<const SharedFolders>(1);
  catalogue.put(entryOf("a", 1));
  const auto old = catalogue.publish(folders);
  catalogue.put(entryOf("a", 2));
  catalogue.put(entryOf("b", 3));
  const auto fresh = catalogue.publish(folders);
  CHECK(old->size() == 1);
  CHECK(old->find("a")->root == rootNumber(1));
  CHECK(fresh->find("a")->root == rootNumber(2));
  CHECK(fresh->version() == old->version() + 1);
}

TEST_CASE("a version is remembered if its file was removed, not if it was overwritten") {
  Catalogue catalogue;
  catalogue.put(entryOf("a", 1));
  catalogue.put(entryOf("b", 2));
  catalogue.retire("a");
  catalogue.remove("b");
  REQUIRE(catalogue.remembered({1, 1, 1}) != nullptr);
  CHECK(*catalogue.remembered({1, 1, 1}) == rootNumber(1));
  CHECK(catalogue.remembered({1, 2, 1}) == nullptr);
  CHECK(catalogue.remembered({2, 2, 2}) == nullptr);
}

TEST_CASE("names that leave the folder, are the programs' own or cannot be typed are invalid") {
  const std::string deep = [] {
    std::string name = "x";
    while (name.size() < 2 * limits::kPathDepth - 1) name += "/x";
    return name;
  }();
  const std::string longest = [] {
    std::string name;
    while (name.size() + 200 < limits::kSharedNameBytes) name += std::string(199, 'l') + '/';
    return name + std::string(limits::kSharedNameBytes - name.size(), 'e');
  }();
  const std::map<std::string, NameFault> names{{"", NameFault::empty},
                                               {"a//b", NameFault::empty},
                                               {"a/", NameFault::empty},
                                               {"/a", NameFault::absolute},
                                               {".", NameFault::dots},
                                               {"a/..", NameFault::dots},
                                               {".espalier", NameFault::own},
                                               {"a/.ESPALIER/b", NameFault::own},
                                               {".Espalier-part-1", NameFault::own},
                                               {"espalier-state", NameFault::own},
                                               {"a/ESPALIER-state", NameFault::own},
                                               {std::string("a\0b", 3), NameFault::control},
                                               {"a\n", NameFault::control},
                                               {"x\u202ey", NameFault::control},
                                               {"\u0085", NameFault::control},
                                               {"\xff", NameFault::notUtf8},
                                               {"a/\xc0\xaf/b", NameFault::notUtf8},
                                               {std::string(255, 'x'), NameFault::none},
                                               {std::string(256, 'x'), NameFault::longComponent},
                                               {longest, NameFault::none},
                                               {longest + 'x', NameFault::tooLong},
                                               {deep, NameFault::none},
                                               {deep + "/x", NameFault::tooDeep},
                                               {"...", NameFault::none},
                                               {".espalier2", NameFault::none},
                                               {".hidden", NameFault::none},
                                               {"a b/-/~", NameFault::none},
                                               {"日本\\", NameFault::none}};
  for (const auto& each : names) {  // clang 14 captures no structured bindings
    CAPTURE(each.first);
    CHECK(nameFault(each.first) == each.second);
  }
}

TEST_CASE("opening below a folder refuses paths that lead out of it") {
  for (const std::string path : {"..", "../etc", "/etc/passwd", "a/../..", "./a", "a//b"}) {
    CHECK_FALSE(openBelow(fs::temp_directory_path(), path, O_RDONLY));
  }
  CHECK(openBelow(fs::temp_directory_path(), "", O_RDONLY | O_DIRECTORY));
}

TEST_CASE("a watch is dropped with its last name") {
  WatchTable table;
  table.put("", 1);
  table.put("a", 2);
  table.put("a/b", 3);
  table.put("a-b", 4);
  table.put("other", 3);
  CHECK(table.namesOf(3) == std::vector<std::string>{"a/b", "other"});
  CHECK(table.dropTree("a") == std::vector<int>{2});
  CHECK(table.namesOf(3) == std::vector<std::string>{"other"});
  CHECK(table.contains("a-b"));
  table.drop(4);
  CHECK_FALSE(table.contains("a-b"));
  CHECK(table.dropNames([](const std::string&) { return true; }).size() == 2);
  CHECK(table.size() == 0);
}

TEST_CASE("the index reads back as it was written") {
  TempFile file;
  CHECK(loadIndex(file.path)->empty());
  CHECK(rc::check([&] {
    std::vector<KnownVersion> files;
    for (const auto& [size, mtime, inode, ctime, device] :
         *rc::gen::arbitrary<std::vector<std::tuple<std::uint64_t, std::int64_t, std::uint64_t,
                                                    std::int64_t, std::uint64_t>>>()) {
      files.push_back(
          {{size, mtime, inode, ctime, device}, rootNumber(static_cast<std::uint8_t>(size))});
    }
    RC_ASSERT(saveIndex(file.path, files));
    RC_ASSERT(*loadIndex(file.path) == files);
  }));
}

TEST_CASE("each damaged byte of an index is noticed") {
  TempFile file;
  const std::vector<KnownVersion> files{{{1, 2, 3}, rootNumber(4)}};
  REQUIRE(saveIndex(file.path, files));
  const std::string good = *readFile(file.path.string(), 4096);
  for (std::size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ 4);
    REQUIRE(replaceFile(file.path.string(), bad, Durability::soft, kPrivate));
    CHECK_FALSE(loadIndex(file.path));
    REQUIRE(replaceFile(file.path.string(), good.substr(0, i), Durability::soft, kPrivate));
    CHECK_FALSE(loadIndex(file.path));
  }
}

TEST_CASE("the share list reads back as it was written, and a damaged one is an error") {
  TempFile file;
  CHECK(*loadShareList(file.path) == ShareList{});
  const ShareList list{{"/a/\"quoted\"\n", "/b/"}, {"ä/b", "c"}, {"/x/ä/b"}, {".d", "e/.f/g"}};
  REQUIRE(saveShareList(file.path, list));
  CHECK(*loadShareList(file.path) == list);
  for (const std::string bad : {"", "[]", "{", R"({"shared":3})", R"({"hidden":[1]})",
                                R"({"version":"2"})", R"({"named":{}})", "\xff"}) {
    REQUIRE(replaceFile(file.path.string(), bad, Durability::soft, kPrivate));
    CHECK_FALSE(loadShareList(file.path));
  }
}

TEST_CASE("files of a newer version are refused, those of an older version are read") {
  TempFile file;
  REQUIRE(replaceFile(file.path.string(), R"({"version":3})", Durability::soft, kPrivate));
  CHECK(loadShareList(file.path).error().code == ErrorCode::configuration);
  REQUIRE(replaceFile(file.path.string(), "ESPINDX3" + std::string(100, 'x'), Durability::soft,
                      kPrivate));
  CHECK(loadIndex(file.path).error().code == ErrorCode::configuration);

  REQUIRE(replaceFile(file.path.string(), R"({"shared":["/a"],"hidden":["b"]})", Durability::soft,
                      kPrivate));
  CHECK(*loadShareList(file.path) == ShareList{{"/a"}, {"b"}, {}, {}});
  const auto number = [](std::uint64_t value) {
    std::string bytes;
    for (int i = 0; i < 8; ++i) bytes.push_back(static_cast<char>(value >> 8 * i));
    return bytes;
  };
  std::string first = "ESPINDX1" + number(1) + number(7) + number(8) + number(9);
  first += rootNumber(1).view();
  first += crypto::sha256(std::as_bytes(std::span(first))).view();
  REQUIRE(replaceFile(file.path.string(), first, Durability::soft, kPrivate));
  CHECK(*loadIndex(file.path) == std::vector<KnownVersion>{{{8, 9, 7, 0, 0}, rootNumber(1)}});
}

TEST_CASE("a version has a ctime and a device, unless it is from an index that had neither") {
  Catalogue catalogue;
  const FileStat stat{100, 1, 2, 5'000'000'000, 3};
  catalogue.remember({stat, rootNumber(1)});
  CHECK(catalogue.remembered(stat) != nullptr);
  FileStat other = stat;
  other.ctimeNanos += 1;
  CHECK(catalogue.remembered(other) == nullptr);
  other = stat;
  other.device = 4;
  CHECK(catalogue.remembered(other) == nullptr);

  catalogue.remember({{100, 1, 20, 0, 0}, rootNumber(2)});
  CHECK(*catalogue.remembered({100, 1, 20, 77, 3}) == rootNumber(2));
  CHECK(catalogue.remembered({100, 2, 20, 77, 3}) == nullptr);

  // A download that is renamed after it was verified has a later ctime.
  catalogue.remember({{100, 1, 30, 5'000'000'000, 3}, rootNumber(3), true});
  CHECK(*catalogue.remembered({100, 1, 30, 6'000'000'000, 3}) == rootNumber(3));
  CHECK(catalogue.remembered({100, 1, 30, 4'999'999'999, 3}) == nullptr);
  CHECK(catalogue.remembered({100, 1, 30, 16'000'000'000, 3}) == nullptr);
}

TEST_CASE(
    "hashing again takes a twentieth of the time, and a stop of the process ends it only for a "
    "while") {
  using namespace std::chrono_literals;
  CHECK(share::pauseAfterRecheck(0s) == 1s);
  CHECK(share::pauseAfterRecheck(2s) == 40s);
  CHECK(share::pauseAfterRecheck(1h) == 10min);
  CHECK(share::pauseAfterRecheck(std::chrono::years(100)) == 10min);
}
