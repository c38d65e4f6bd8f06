// What a search finds, the completeness that it reports, and how it survives heals.
#include "peer/core/search.h"

#include <doctest/doctest.h>

#include "tests/unit/search_network.h"

using namespace espalier;
using namespace espalier::peer;
using namespace espalier::peer::testing;

TEST_CASE("a lone peer finds its own files") {
  Network network;
  network.add(1);
  const auto result = network.find(0, "common");
  REQUIRE(result.files.size() == 1);
  CHECK(result.files[0].holders[0].endpoint == Endpoint{"127.0.0.1", 5001});
  CHECK(coverageText(result) == "searched 1 of 1 peer");
}

TEST_CASE("any peer of a chain finds the files of any other, in both directions") {
  Network network;
  network.line(5);
  for (std::size_t asker = 0; asker < 5; ++asker) {
    for (std::size_t holder = 0; holder < 5; ++holder) {
      const auto name = "s" + std::to_string(holder + 1) + ".txt";
      const auto result = network.find(asker, name);
      CHECK(holdersOf(result, name) == std::vector{network[holder].id.text()});
      CHECK(coverageText(result) == "searched 5 of 5 peers");
    }
  }
}

TEST_CASE("all of a line of 64 peers answer the one at its end") {
  Network network;
  network.line(64);
  const auto result = network.find(0);
  CHECK(result.searched == 64);
  CHECK(result.complete());
  CHECK(result.files.size() == 65);
  CHECK(holdersOf(result, "common.txt").size() == 64);
  for (std::size_t i = 0; i < 64; ++i) CHECK(network[i].jobs == 1);
}

TEST_CASE("all peers of a tree answer, whichever peer asks") {
  for (std::uint64_t seed = 1; seed <= 10; ++seed) {
    CAPTURE(seed);
    Network network(seed);
    network.tree(40, 2 + seed % 4);
    const auto result = network.find(seed * 7 % 40);
    CHECK(coverageText(result) == "searched 40 of 40 peers");
    CHECK(result.files.size() == 41);
  }
}

TEST_CASE("a search ends as soon as the last has answered") {
  Network network;
  network.line(10);
  network.maxDelay = 1ms;
  const auto begun = network.now();
  network.find(0);
  // Nine hops there and back and a match: nothing waits for a timer.
  CHECK(network.now() - begun <= 9 * 2 * 1ms + 1ms);
}

TEST_CASE("hits are one file when name and root agree, those with most holders first") {
  Network network;
  network.add(3);
  network.connect(0, 1);
  network.connect(1, 2);
  network[0].share = {file("b.txt", "1"), file("a.txt", "1")};
  network[1].share = {file("b.txt", "1"), file("a.txt", "2")};
  network[2].share = {file("b.txt", "other"), file("c.txt", "3")};
  const auto result = network.find(2);
  REQUIRE(result.files.size() == 5);
  CHECK(result.files[0].name == "b.txt");
  CHECK(result.files[0].holders.size() == 2);
  CHECK(result.files[1].name == "a.txt");
  CHECK(result.files[2].name == "a.txt");
  CHECK(result.files[3].name == "b.txt");
  CHECK(result.files[3].root == rootOf("other"));
  CHECK(result.files[4].name == "c.txt");
}

TEST_CASE("hits are shown as they come, before the search ends") {
  Network network;
  network.line(3);
  network[2].matchTakes = 1s;
  const auto id = network.ask(0, "common.txt");
  network.run(500ms);
  CHECK(network.hitsShown(id).size() == 2);
  CHECK(network.resultOf(id).searched == 3);
}

TEST_CASE("a far end that is too slow is named by the one before it, and the rest has answered") {
  Network network;
  network.line(6);
  network[5].matchTakes = 20s;
  const auto id = network.ask(0);
  const auto result = network.resultOf(id);
  CHECK(coverageText(result) == "searched 5 of 6 peers; missing: s6");
  CHECK(network.now() - TimePoint{} <= searchBudget(6));
}

TEST_CASE("a peer that is silent is named with those behind it") {
  Network network;
  network.line(6);
  network[3].isSilent = true;
  const auto result = network.find(0);
  CHECK(coverageText(result) == "searched 3 of 6 peers; missing: s4 and 2 below it");
}

TEST_CASE("a peer that has answered but hides others is not itself missing") {
  Network network;
  network.line(5);
  network.filter = [&](std::size_t from, std::size_t to, const wire::SearchMessage& message) {
    return !(from == 2 && to == 3 && std::holds_alternative<wire::Query>(message));
  };
  // s3 itself says what it lacks; this one dies before it can.
  network.after(1s, [&] { network.kill(2); });
  const auto result = network.find(0);
  CHECK(coverageText(result) == "searched 3 of 5 peers; missing: 2 below s3");
}

TEST_CASE(
    "a peer that dies in mid search is missing, and the search does not wait for its budget") {
  Network network;
  network.line(5);
  network[4].matchTakes = 1s;
  network.after(500ms, [&] { network.kill(4); });
  const auto result = network.find(0);
  CHECK(coverageText(result) == "searched 4 of 5 peers; missing: s5");
  CHECK(network.now() - TimePoint{} <= 500ms + 2 * limits::kSearchGrace + 100ms);
}

TEST_CASE("a line that is cut and healed in mid search is still searched whole") {
  Network network;
  network.line(6);
  for (std::size_t i = 3; i < 6; ++i) network[i].matchTakes = 300ms;
  network.after(100ms, [&] { network.cut(2, 3); });
  network.after(400ms, [&] { network.connect(1, 3); });
  const auto result = network.find(0);
  CHECK(coverageText(result) == "searched 6 of 6 peers");
  CHECK(holdersOf(result, "common.txt").size() == 6);
  for (std::size_t i = 0; i < 6; ++i) CHECK(network[i].jobs == 1);
}

TEST_CASE(
    "answers that an inner peer passed on before its death are neither lost nor counted twice") {
  Network network;
  network.line(7);
  network[6].matchTakes = 800ms;
  network.after(400ms, [&] { network.kill(3); });
  network.after(600ms, [&] { network.connect(2, 4); });
  const auto result = network.find(0);
  // s4 had answered before it died.
  CHECK(coverageText(result) == "searched 7 of 7 peers");
  CHECK(holdersOf(result, "common.txt").size() == 7);
}

TEST_CASE("after a heal, a part of the tree that is reached from its other end answers there") {
  // The asker s1 is at the end of s1-s2-s3-s4-s5-s6. s3 dies, and s2 is taken in by s6.
  Network network;
  network.line(6);
  for (std::size_t i = 3; i < 6; ++i) network[i].matchTakes = 800ms;
  SUBCASE("the cut is known before the heal") {
    network.after(300ms, [&] { network.kill(2); });
    network.after(500ms, [&] { network.connect(1, 5); });
  }
  SUBCASE("one end of the cut learns of it only after the heal") {
    network.after(300ms, [&] {
      network.cut(1, 2);
      network.cut(2, 3, 400ms);
      network[2].isDead = true;
    });
    network.after(500ms, [&] { network.connect(1, 5); });
  }
  const auto result = network.find(0);
  CHECK(holdersOf(result, "s5.txt").size() == 1);
  CHECK(coverageText(result) == "searched 6 of 6 peers");
}

TEST_CASE("an asker that is cut off and attaches elsewhere gets all answers there") {
  Network network;
  network.line(5);
  for (std::size_t i = 0; i < 5; ++i) network[i].matchTakes = 600ms;
  network.after(200ms, [&] { network.cut(0, 1); });
  network.after(400ms, [&] { network.connect(0, 4); });
  CHECK(coverageText(network.find(0)) == "searched 5 of 5 peers");
}

TEST_CASE("a link that comes up after done is searched too, and done is taken back for it") {
  Network network;
  network.line(4);
  network.add(1);
  network[4].matchTakes = 1900ms;  // longer than the grace
  network.after(300ms, [&] { network.connect(3, 4); });
  const auto result = network.find(0);
  CHECK(coverageText(result) == "searched 5 of 5 peers");
}

TEST_CASE("a peer that joins after the search began is searched but not counted") {
  Network network;
  network.line(3);
  network.add(1);
  network[2].matchTakes = 500ms;
  network.after(100ms, [&] { network.connect(1, 3); });
  network.after(200ms, [&] { network.kill(2); });
  const auto result = network.resultOf(network.ask(0, "*", 3, JoinOrder{3}));
  CHECK(coverageText(result) == "searched 2 of 3 peers; missing: s3");
  CHECK(holdersOf(result, "s4.txt").size() == 1);
}

TEST_CASE("members that no peer can name are counted as missing after a grace period") {
  Network network;
  network.line(3);
  const auto result = network.resultOf(network.ask(0, "*", 5));
  CHECK(coverageText(result) == "searched 3 of 5 peers");
  CHECK(result.missingUnnamed == 2);
  CHECK(network.now() - TimePoint{} < limits::kSearchGrace + 100ms);
}

TEST_CASE("a peer that is still indexing says so") {
  Network network;
  network.line(4);
  network[2].isIndexing = true;
  CHECK(coverageText(network.find(0)) == "searched 4 of 4 peers; still indexing: s3");
}

TEST_CASE("a search for everything returns 200 hits a peer and says how many more there are") {
  Network network;
  network.line(64);
  for (std::size_t i = 0; i < 64; ++i) {
    network[i].share.clear();
    for (int n = 0; n < 300; ++n) {
      const auto name = network[i].id.text() + "/" + std::to_string(n);
      network[i].share.push_back(file(name, name));
    }
  }
  const auto result = network.find(20);
  CHECK(result.searched == 64);
  CHECK(result.files.size() == 64 * limits::kHitsPerPeer);
  CHECK(result.moreHits == 64 * (300 - limits::kHitsPerPeer));
}

TEST_CASE("hits that fill many frames are cut to frames, and all arrive") {
  Network network;
  network.line(3);
  for (int n = 0; n < 200; ++n) {
    const auto name = std::to_string(n) + std::string(2000, 'x');
    network[2].share.push_back(file(name, name));
  }
  // 400 KB; the network refuses messages that fit no frame.
  CHECK(network.find(0, "xxx").files.size() == 200);
}

TEST_CASE("a congested link gets counts instead of hits, and all coverage") {
  Network network;
  network.line(4);
  network[1].searches->congested(network[1].links.at(0));
  const auto result = network.find(0);
  CHECK(coverageText(result) == "searched 4 of 4 peers");
  CHECK(result.files.size() == 2);  // the asker's own
  CHECK(result.moreHits == 6);
  network[1].searches->drained(network[1].links.at(0));
  CHECK(network.find(0).files.size() == 5);
}

TEST_CASE("a cancelled search returns what it has found, and reports nothing more") {
  Network network;
  network.line(3);
  network[2].matchTakes = 1s;
  const auto id = network.ask(0, "common.txt");
  network.run(200ms);
  const auto result = network[0].searches->cancel(id);
  REQUIRE(result);
  CHECK(holdersOf(*result, "common.txt").size() == 2);
  CHECK(coverageText(*result) == "searched 2 of 3 peers; missing: 1 below s2");
  network.run(5s);  // the network's own checks would see an update
  CHECK(network[0].notices.empty());
  CHECK_FALSE(network[0].searches->cancel(id));
}

TEST_CASE("searches are forgotten everywhere once their time is over") {
  Network network;
  network.line(4);
  network.find(0);
  network.run(10s);
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(network[i].searches->openCount() == 0);
    CHECK(network[i].searches->deadline() == kNever);
  }
}

TEST_CASE("a budget grows with the members and shrinks with each hop, but never to nothing") {
  CHECK(searchBudget(1) == 3250ms);
  CHECK(searchBudget(64) == 19s);
  CHECK(searchBudget(1'000'000) == 60s);
  CHECK(budgetBehind(4280ms, 8) == 4080ms);
  CHECK(budgetBehind(60s, 1015) == 60s - 59ms);
  auto budget = searchBudget(100'000);
  for (int hop = 0; hop < 100'000; ++hop) {
    const auto behind = budgetBehind(budget, 8);
    CHECK_UNARY(behind < budget || behind == limits::kSearchBudgetLeast);
    budget = behind;
  }
  CHECK(budget == limits::kSearchBudgetLeast);
}

TEST_CASE("a file that no message can carry is counted and costs nothing else") {
  Network network;
  network.line(2);
  auto& share = network[1].share;
  share.push_back(file(std::string(limits::kPathBytes + 1, 'x'), "long"));
  share.push_back(file(std::string("a\0b", 3), "nul"));
  share.push_back(LocalHit{"huge", limits::kFileBytes + 1, FileRoot{}});
  const auto result = network.find(0);
  CHECK(result.files.size() == 3);
  CHECK(result.moreHits == 2);  // the long name does not even match
  // Nor does a peer that does not know yet where it listens.
  network[1].searches->selfChanged({network[1].id, JoinOrder{2}, {}});
  CHECK(network.find(0).files.size() == 2);
}

TEST_CASE("an invalid pattern is refused before any peer is asked") {
  Network network;
  network.line(2);
  Effects fx;
  auto& searches = *network[0].searches;
  CHECK_FALSE(
      searches.ask(PatternKind::substring, "", MemberCount({2, kNoOrder}), network.now(), fx).ok());
  CHECK_FALSE(
      searches.ask(PatternKind::root, "xyz", MemberCount({2, kNoOrder}), network.now(), fx).ok());
  CHECK(fx.sends.empty());
}
