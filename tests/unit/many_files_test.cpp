// Batches of small files: what arrives, what is left to single fetches, what a kill leaves.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "peer/transfer/many_files.h"
#include "tests/unit/transfer_fixture.h"

using namespace espalier;
using namespace espalier::transfer;
using namespace espalier::transfer::test;

namespace {

std::string contentOf(std::size_t number) {
  return randomContent(1 + number * 37 % 9000, 1000 + number);
}

ManyRequest requestFor(const Asker& asker, const std::vector<wire::FileEntry>& files,
                       std::vector<Holder> holders) {
  ManyRequest request{std::move(holders), asker.downloads.text(), {}};
  std::vector<std::size_t> all(request.holders.size());
  for (std::size_t i = 0; i < all.size(); ++i) all[i] = i;
  for (const auto& file : files) request.files.push_back({file.root, file.size, file.name, all});
  return request;
}

struct Fetched {
  std::set<std::size_t> files;
  std::map<std::size_t, std::size_t> byHolder;
  FetchedCallback callback() {
    return [this](std::size_t file, std::size_t holder) {
      CHECK(files.insert(file).second);
      ++byHolder[holder];
    };
  }
};

}  // namespace

TEST_CASE("many small files come over one connection, below folders that are made") {
  HolderPeer s1("s1");
  std::vector<wire::FileEntry> infos;
  for (std::size_t i = 0; i < 700; ++i) {
    auto info = s1.share.add("f" + std::to_string(i), contentOf(i));
    info.name = "many/" + std::to_string(i % 7) + "/" + info.name;
    infos.push_back(info);
  }
  const Asker asker;
  Fetched fetched;
  const auto result =
      fetchMany(requestFor(asker, infos, {s1.holder()}), asker.options, {}, fetched.callback());
  REQUIRE(result.ok());
  CHECK(result->left.empty());
  CHECK(fetched.files.size() == 700);
  CHECK(s1.connections() == 1);
  for (std::size_t i = 0; i < 700; ++i) {
    REQUIRE(readFile(asker.downloads / infos[i].name) == contentOf(i));
  }
  CHECK_FALSE(fs::exists(asker.downloads / ".espalier" / "incoming"));
}

TEST_CASE("files that a batch cannot take are left to single fetches") {
  HolderPeer s1("s1");
  const auto small = s1.share.add("small", contentOf(1));
  const auto empty = s1.share.add("empty", "");
  const auto large = s1.share.add("large", randomContent(3 << 20, 2));
  const auto there = s1.share.add("there", contentOf(3));
  auto twin = small;
  twin.name = "twin";
  auto unsafe = s1.share.add("unsafe", contentOf(4));
  unsafe.name = "../unsafe";
  const Asker asker;
  writeFile(asker.downloads / "there", "mine");
  Fetched fetched;
  const auto result =
      fetchMany(requestFor(asker, {empty, large, there, small, twin, unsafe}, {s1.holder()}),
                asker.options, {}, fetched.callback());
  REQUIRE(result.ok());
  CHECK(fetched.files == std::set<std::size_t>{3});
  std::set<std::size_t> left;
  for (const auto& [file, problem] : result->left) {
    left.insert(file);
    CHECK_FALSE(problem.has_value());
  }
  CHECK(left == std::set<std::size_t>{0, 1, 2, 4, 5});
  CHECK(readFile(asker.downloads / "there") == "mine");
  CHECK(readFile(asker.downloads / "small") == contentOf(1));
}

TEST_CASE("the files of a holder that lies or dies come from others, or fail with a reason") {
  HolderPeer liar("liar");
  HolderPeer s2("s2");
  std::vector<wire::FileEntry> infos;
  for (std::size_t i = 0; i < 50; ++i) {
    infos.push_back(liar.share.add("f" + std::to_string(i), contentOf(i)));
    s2.share.add("f" + std::to_string(i), contentOf(i));
  }
  for (const auto& info : infos) liar.share.damage(info, 0);
  {
    const Asker asker;
    Fetched fetched;
    const auto result =
        fetchMany(requestFor(asker, infos, {liar.holder()}), asker.options, {}, fetched.callback());
    REQUIRE(result.ok());
    CHECK(fetched.files.empty());
    REQUIRE(result->left.size() == 50);
    REQUIRE(result->left[0].second.has_value());
    CHECK(result->left[0].second->message == "liar: sent a damaged chunk 0");
    CHECK_FALSE(fs::exists(asker.downloads / "f0"));
  }
  const Asker asker;
  Fetched fetched;
  const auto result = fetchMany(requestFor(asker, infos, {liar.holder(), s2.holder()}),
                                asker.options, {}, fetched.callback());
  REQUIRE(result.ok());
  CHECK(fetched.byHolder[0] == 0);
  for (const auto& [file, problem] : result->left) CHECK_FALSE(problem.has_value());
  CHECK(fetched.files.size() + result->left.size() == 50);
}

TEST_CASE("a file that is no longer shared fails with a reason, and the others arrive") {
  HolderPeer s1("s1");
  const auto kept = s1.share.add("kept", contentOf(1));
  const auto gone = s1.share.add("gone", contentOf(2));
  s1.share.remove(gone);
  const Asker asker;
  Fetched fetched;
  const auto result = fetchMany(requestFor(asker, {gone, kept}, {s1.holder()}), asker.options, {},
                                fetched.callback());
  REQUIRE(result.ok());
  CHECK(fetched.files == std::set<std::size_t>{1});
  REQUIRE(result->left.size() == 1);
  REQUIRE(result->left[0].second.has_value());
  CHECK(result->left[0].second->message == "the file is not shared");
}

TEST_CASE("a whole part that a kill left is verified and taken, not fetched again") {
  HolderPeer s1("s1");
  const auto info = s1.share.add("f", contentOf(5));
  const Asker asker;
  fs::create_directories(asker.downloads / ".espalier" / "incoming");
  const auto part =
      asker.downloads / ".espalier" / "incoming" / (toHex(info.root.view()) + ".part");
  SUBCASE("of the right bytes") {
    writeFile(part, contentOf(5));
    Fetched fetched;
    const auto many =
        fetchMany(requestFor(asker, {info}, {s1.holder()}), asker.options, {}, fetched.callback());
    REQUIRE(many.ok());
    REQUIRE(many->left.size() == 1);
    const auto result = asker.fetch(info, {s1.holder()});
    REQUIRE(result.ok());
    CHECK(result->resumedBytes == info.size);
    CHECK(s1.status().bytes == 0);
  }
  SUBCASE("of others") {
    std::string other = contentOf(5);
    other[0] = static_cast<char>(other[0] ^ 1);
    writeFile(part, other);
    const auto result = asker.fetch(info, {s1.holder()});
    REQUIRE(result.ok());
    CHECK(result->resumedBytes == 0);
  }
  CHECK(readFile(asker.downloads / "f") == contentOf(5));
}
