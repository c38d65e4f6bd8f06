// What a branch says about who has answered and who is missing counts only for the peers behind its
// link.
#include <doctest/doctest.h>

#include "tests/unit/search_fixture.h"
#include "tests/unit/search_network.h"

using namespace espalier;
using namespace espalier::peer;
using namespace espalier::peer::testing;

namespace {

// Orders that nobody has, as many as fit one answer; `part`: 0, 1, …
wire::Answer madeUpOrders(const QueryId& id, std::uint64_t part) {
  auto answer = answerOf(id);
  for (std::uint64_t n = 0; n < limits::kCoverageRanges; ++n) {
    const auto order = 1000 + 2 * (part * limits::kCoverageRanges + n);
    answer.coverage.push_back({order, order});
  }
  return answer;
}

std::vector<std::string> missingOf(const SearchResult& result) {
  std::vector<std::string> names;
  for (const auto& peer : result.missing) names.push_back(peer.id.text());
  return names;
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "made-up join orders take no room from another branch") {
  const auto id = ask(6);
  matchAll();
  for (std::uint64_t part = 0; part < 6; ++part) from(kAlice, madeUpOrders(id, part));
  auto answer = answerOf(id);
  answer.coverage = {{3, 6}};
  answer.done = true;
  from(kBob, answer);
  answer.coverage = {{2, 2}};
  from(kAlice, answer);
  const auto result = end(id);
  CHECK(coverageText(result) == "searched 6 of 6 peers");
}

TEST_CASE_FIXTURE(Fixture, "a neighbour with nobody behind it answers for nobody else") {
  const auto id = ask(6);
  matchAll();
  auto answer = answerOf(id);
  answer.coverage = {{1, 6}, {40, 60}};
  answer.done = true;
  from(kAlice, answer);  // alice is 2
  answer.coverage = {{3, 3}};
  from(kBob, answer);
  const auto result = end(id);
  CHECK(result.searched == 3);  // s1, alice, bob
  CHECK(result.missingUnnamed == 3);
}

TEST_CASE_FIXTURE(Fixture, "a branch does not answer for this peer or for another neighbour") {
  const auto id = ask(6);
  matchAll();
  auto answer = answerOf(id);
  answer.coverage = {{1, 2}};
  answer.done = true;
  from(kBob, answer);  // four peers are behind bob
  CHECK(end(id).searched == 1);
}

TEST_CASE_FIXTURE(Fixture, "orders wait until as many peers are known behind the link") {
  const auto id = ask(7);
  matchAll();
  auto answer = answerOf(id);
  answer.coverage = {{3, 7}};
  answer.done = true;
  from(kBob, answer);
  answer.coverage = {{2, 2}};
  from(kAlice, answer);
  CHECK(fx.searchUpdates.back().searched == 6);
  CHECK_FALSE(fx.searchUpdates.back().result);
  // The fifth has just joined behind bob.
  searches.peersBehind(kBob, 5);
  CHECK(searches.deadline() <= now);
  searches.tick(now, fx);
  REQUIRE(fx.searchUpdates.back().result);
  CHECK(coverageText(*fx.searchUpdates.back().result) == "searched 7 of 7 peers");
}

TEST_CASE_FIXTURE(Fixture, "a relay passes on no more orders than peers are behind its branches") {
  from(kAlice, queryOf(1));
  matchAll();
  from(kBob, madeUpOrders(queryId(1), 0));
  now += 1s;
  searches.tick(now, fx);
  std::uint64_t orders = 0;
  for (const auto& answer : sentTo<wire::Answer>(kAlice)) {
    for (const auto& range : answer.coverage) orders += range.last - range.first + 1;
  }
  CHECK(orders == 1 + 3);  // this peer, and the three behind bob
}

TEST_CASE_FIXTURE(Fixture, "a peer that has answered is not missing, whatever another one says") {
  const auto id = ask(7);
  searches.linkUp({kCarol, {peerId("carol"), JoinOrder{9}, {}}}, now, fx);
  searches.peersBehind(kCarol, 1);
  matchAll();
  auto answer = answerOf(id);
  answer.coverage = {{3, 5}};
  answer.missing = {{peerId("zoe"), JoinOrder{6}, 0}};  // true
  answer.done = true;
  from(kBob, answer);
  answer = answerOf(id);
  answer.coverage = {{9, 9}};
  answer.done = true;
  for (std::uint64_t n = 0; n < 60; ++n) {
    answer.missing.push_back({peerId("a" + std::to_string(n)), JoinOrder{900 + n}, ~0ull >> 44});
  }
  answer.missing.push_back({peerId("alice"), JoinOrder{9000}, 0});
  answer.missing.push_back({peerId("bob"), JoinOrder{9001}, 5});
  answer.indexing = {peerId("alice")};
  answer.more = {{peerId("bob"), 1ull << 32}};
  from(kCarol, answer);
  answer = answerOf(id);
  answer.coverage = {{2, 2}};
  answer.done = true;
  from(kAlice, answer);
  const auto result = end(id);
  CHECK(result.searched == 6);
  CHECK(missingOf(result) == std::vector<std::string>{"zoe"});
  CHECK(result.indexing.empty());
  CHECK(result.moreHits == 0);
}

TEST_CASE_FIXTURE(Fixture, "hits of a neighbour count only over its own link") {
  const auto id = ask(6);
  auto answer = answerOf(id);
  answer.hits = {hitOf("false", "alice"), hitOf("own", "bob"), hitOf("behind", "dave")};
  from(kBob, answer);
  answer.hits = {hitOf("true", "alice")};
  from(kAlice, answer);
  std::set<std::string> names;
  const auto result = searches.cancel(id);
  for (const auto& file : result->files) names.insert(file.name);
  CHECK(names == std::set<std::string>{"true", "own", "behind"});
}

TEST_CASE_FIXTURE(Fixture, "a neighbour under the id of another peer does not hide that peer") {
  searches.confirmed(kAlice, false);  // alice is behind bob
  const auto id = ask(6);
  auto answer = answerOf(id);
  answer.hits = {hitOf("false", "alice")};
  from(kAlice, answer);
  answer.hits = {hitOf("true", "alice")};
  answer.coverage = {{2, 3}};
  from(kBob, answer);
  const auto result = searches.cancel(id);
  REQUIRE(result);
  std::set<std::string> names;
  for (const auto& file : result->files) names.insert(file.name);
  CHECK(names == std::set<std::string>{"false", "true"});
  CHECK(result->searched == 2);
}

TEST_CASE("in a line each peer may be the liar, and no honest peer is lost from the count") {
  for (std::size_t liar = 0; liar < 13; ++liar) {
    CAPTURE(liar);
    Network network(liar + 1);
    network.line(13);
    network.filter = [&](std::size_t from, std::size_t to, const wire::SearchMessage& message) {
      const auto* answer = std::get_if<wire::Answer>(&message);
      if (from != liar || answer == nullptr) return true;
      for (std::uint64_t part = 0; part < 4; ++part) {
        network.inject(to, from, madeUpOrders(answer->id, part));
      }
      return true;
    };
    const auto asker = liar < 6 ? std::size_t{12} : std::size_t{0};
    const auto result = network.find(asker);
    // The liar stands between the asker and some honest peers, whose answers it can drown.
    const auto behindLiar = asker == 12 ? liar : 12 - liar;
    CHECK(result.searched >= 13 - behindLiar - 1);
    CHECK(result.searched + result.missingUnnamed + result.missing.size() >= result.searched);
    if (behindLiar == 0) CHECK(result.searched >= 12);
  }
}
