// Peers that repeat, forge and flood messages, and lie: their cost is bounded, and so is the harm.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/unit/search_fixture.h"
#include "tests/unit/search_network.h"

using namespace espalier;
using namespace espalier::peer;
using namespace espalier::peer::testing;

TEST_CASE_FIXTURE(Fixture, "a query that comes twice is answered once and told once") {
  from(kAlice, queryOf(1));
  from(kAlice, queryOf(1));
  from(kAlice, queryOf(1));
  CHECK(fx.jobs.size() == 1);
  CHECK(sentTo<wire::Query>(kBob).size() == 1);
  CHECK(notices() == std::vector<std::string>{"alice repeated a search: ignored"});
}

TEST_CASE_FIXTURE(Fixture, "a query that comes round in a loop is declined at once") {
  from(kAlice, queryOf(1));
  from(kBob, queryOf(1));
  REQUIRE(sentTo<wire::Answer>(kBob).size() == 1);
  CHECK(sentTo<wire::Answer>(kBob)[0].isDecline());
  from(kBob, queryOf(1));
  CHECK(sentTo<wire::Answer>(kBob).size() == 1);
}

TEST_CASE_FIXTURE(Fixture, "an asker declines its own query when somebody brings it back") {
  const auto id = ask();
  auto query = queryOf(1);
  query.id = id;
  from(kBob, query);
  REQUIRE(sentTo<wire::Answer>(kBob).size() == 1);
  CHECK(sentTo<wire::Answer>(kBob)[0].isDecline());
  CHECK(fx.jobs.size() == 1);
}

TEST_CASE("in a circle of links each peer is counted once") {
  Network network;
  network.line(5);
  network.connect(4, 0);
  const auto result = network.find(2);
  CHECK(coverageText(result) == "searched 5 of 5 peers");
  for (std::size_t i = 0; i < 5; ++i) CHECK(network[i].jobs == 1);
}

TEST_CASE_FIXTURE(Fixture, "a query that was searched before is not searched again") {
  from(kAlice, queryOf(1));
  matchAll();
  now += 30s;
  searches.tick(now, fx);
  CHECK(searches.openCount() == 0);
  from(kBob, queryOf(1));
  CHECK(fx.jobs.empty());
  CHECK(sentTo<wire::Answer>(kBob).back().isDecline());
}

TEST_CASE_FIXTURE(Fixture, "answers to what was never asked are ignored and told once a link") {
  for (int i = 0; i < 5; ++i) from(kBob, answerOf(queryId(9)));
  CHECK(notices() == std::vector<std::string>{"bob answered a search that nobody asked: ignored"});
  CHECK(fx.sends.empty());
}

TEST_CASE_FIXTURE(Fixture, "an answer from a link that was not asked is ignored") {
  auto query = queryOf(1);
  query.hopsLeft = 0;  // so no peer is asked
  from(kAlice, query);
  auto answer = answerOf(query.id);
  answer.hits = {hitOf("forged", "bob")};
  answer.coverage = {{3, 3}};
  from(kBob, answer);
  CHECK(sentTo<wire::Answer>(kAlice).empty());
  CHECK(fx.notices.size() == 1);
}

TEST_CASE_FIXTURE(Fixture,
                  "who answers instead of asking is not believed to be the way to the asker") {
  from(kAlice, queryOf(1));
  auto answer = answerOf(queryId(1));
  answer.hits = {hitOf("forged", "alice")};
  from(kAlice, answer);
  // The branch gets Lost, and nothing from it is passed on.
  CHECK(sentTo<wire::Lost>(kBob).size() == 1);
  CHECK(sentTo<wire::Answer>(kAlice).empty());
}

TEST_CASE_FIXTURE(Fixture, "a lying peer cannot make the count exceed the members") {
  const auto id = ask(6);
  matchAll();
  auto answer = answerOf(id);
  answer.coverage = {{1, 100'000}};
  answer.done = true;
  from(kBob, answer);
  from(kAlice, answer);
  const auto result = end(id);
  CHECK(result.searched == 6);
  CHECK(result.members == 6);
  CHECK(result.missing.empty());
}

TEST_CASE_FIXTURE(Fixture, "absurd ranges count nobody and are told once") {
  const auto id = ask(6);
  matchAll();
  auto answer = answerOf(id);
  answer.coverage = {{0, 0}, {5, 2}, {1, ~0ull}, {~0ull, ~0ull}};
  answer.done = true;
  from(kBob, answer);
  from(kBob, answer);
  CHECK(notices() == std::vector<std::string>{"bob spoke for peers that cannot exist: ignored"});
  CHECK(end(id).searched == 1);
}

TEST_CASE_FIXTURE(Fixture, "answers that come twice change nothing") {
  const auto id = ask(6);
  matchAll();
  auto answer = answerOf(id);
  answer.hits = {hitOf("a", "bob"), hitOf("b", "dave")};
  answer.coverage = {{3, 4}};
  answer.more = {{peerId("bob"), 7}};
  answer.missing = {{peerId("erin"), JoinOrder{5}, 0}};
  from(kBob, answer);
  from(kBob, answer);
  from(kAlice, answer);
  const auto result = end(id);
  CHECK(result.files.size() == 2);
  CHECK(result.files[0].holders.size() == 1);
  CHECK(result.searched == 3);
  CHECK(result.moreHits == 7);
}

TEST_CASE_FIXTURE(Fixture, "a relay passes on only what is new") {
  from(kAlice, queryOf(1));
  matchAll();
  auto answer = answerOf(queryId(1));
  answer.hits = {hitOf("a", "bob")};
  answer.coverage = {{3, 3}};
  for (int i = 0; i < 1000; ++i) from(kBob, answer);
  std::size_t hits = 0;
  for (const auto& one : sentTo<wire::Answer>(kAlice)) hits += one.hits.size();
  CHECK(hits == 1);
  CHECK(sentTo<wire::Answer>(kAlice).size() == 1);
}

TEST_CASE_FIXTURE(Fixture, "hits in my own name, in nobody's interest or without end are bounded") {
  const auto id = ask(6);
  matchAll();
  auto forged = answerOf(id);
  forged.hits = {hitOf("mine", "s1"), hitOf("", "bob"), hitOf(std::string(5000, 'x'), "bob")};
  forged.indexing = {peerId("s1")};
  forged.missing = {{peerId("s1"), JoinOrder{1}, 5}};
  from(kBob, forged);
  for (std::uint64_t i = 0; i < 3 * limits::kHitsPerQuery; i += 100) {
    auto flood = answerOf(id);
    for (std::uint64_t n = i; n < i + 100; ++n) {
      flood.hits.push_back(hitOf("f" + std::to_string(n), "h" + std::to_string(n / 150)));
    }
    from(kBob, flood);
  }
  const auto result = end(id);
  CHECK(result.files.size() == 4 * limits::kHitsPerPeer);  // four peers are behind bob
  CHECK(result.moreHits > 0);
  CHECK(result.indexing.empty());
}

TEST_CASE_FIXTURE(Fixture, "however many peers a link claims, hits of one search are bounded") {
  const auto id = ask(6);
  matchAll();
  searches.peersBehind(kBob, limits::kMembers);
  for (std::uint64_t i = 0; i < 3 * limits::kHitsPerQuery; i += 100) {
    auto flood = answerOf(id);
    for (std::uint64_t n = i; n < i + 100; ++n) {
      flood.hits.push_back(hitOf("f" + std::to_string(n), "h" + std::to_string(n / 150)));
    }
    from(kBob, flood);
  }
  // Its own half of the half that is dealt out, and all of the other half.
  CHECK(searches.cancel(id)->files.size() == limits::kHitsPerQuery * 3 / 4);
}

TEST_CASE_FIXTURE(Fixture, "hits beyond a link's share are counted") {
  const auto id = ask(6);
  auto answer = answerOf(id);
  for (int n = 0; n < 1500; ++n) answer.hits.push_back(hitOf("f" + std::to_string(n), "dave"));
  answer.more = {{peerId("dave"), ~0ull}};
  from(kBob, answer);
  const auto result = searches.cancel(id);
  CHECK(result->files.size() == 4 * limits::kHitsPerPeer);
  CHECK(result->moreHits == limits::kMoreHits + 700);
}

TEST_CASE_FIXTURE(Fixture, "names of the missing never add up to more than are missing") {
  const auto id = ask(6);
  matchAll();
  auto answer = answerOf(id);
  answer.coverage = {{3, 4}};
  answer.done = true;
  for (std::uint64_t n = 10; n < 2000; ++n) {
    answer.missing.push_back({peerId("p" + std::to_string(n)), JoinOrder{n}, ~0ull});
  }
  answer.missing.push_back({peerId("dave"), JoinOrder{4}, 0});  // dave has answered
  from(kBob, answer);
  const auto result = end(id);
  CHECK(result.searched == 3);
  std::uint64_t missing = result.missingUnnamed;
  for (const auto& peer : result.missing) missing += 1 + peer.below;
  CHECK(missing == 3);
}

TEST_CASE_FIXTURE(Fixture, "a flood of queries is served at the bucket's rate and then refused") {
  for (std::uint64_t i = 0; i < 1000; ++i) from(kBob, queryOf(i));
  const auto burst = static_cast<std::size_t>(limits::kQueryBurst);
  CHECK(fx.jobs.size() == burst);
  const auto refusals = sentTo<wire::Answer>(kBob);
  REQUIRE(refusals.size() == 1000 - burst - limits::kQueriesQueued);
  CHECK(refusals[0].done);
  CHECK(refusals[0].missing ==
        std::vector<wire::Missing>{{peerId("s1"), JoinOrder{1}, 1}});  // alice is behind
  CHECK(fx.notices.size() == 1);
  // Others are not slowed by it.
  from(kAlice, queryOf(5000));
  CHECK(fx.jobs.size() == burst + 1);
  // The queue is served as tokens come, and then the flood is over.
  std::size_t ticks = 0;
  while (fx.jobs.size() < burst + 1 + limits::kQueriesQueued) {
    REQUIRE(++ticks < 1000);
    now = std::max(now, searches.deadline());
    matchAll();
    fx.jobs.resize(burst + 1);
    searches.tick(now, fx);
    if (fx.notices.size() == 2) break;
  }
  CHECK(fx.notices.size() == 2);
  const auto seconds = std::chrono::duration<double>(now - kStart).count();
  CHECK(seconds >= static_cast<double>(limits::kQueriesQueued) / limits::kQueriesPerSecond - 0.1);
}

TEST_CASE_FIXTURE(Fixture, "who fills the table of searches takes no room from others") {
  // Bob never says done to anything, and everything that alice asks stays open.
  std::uint64_t number = 0;
  while (searches.openCount() < limits::kOpenQueries) {
    auto query = queryOf(++number);
    query.budget = 60s;
    from(kAlice, query);
    now += 20ms;
  }
  fx = {};
  auto query = queryOf(++number);
  query.budget = 60s;
  from(kAlice, query);
  REQUIRE(sentTo<wire::Answer>(kAlice).size() == 1);
  CHECK(sentTo<wire::Answer>(kAlice)[0].missing.size() == 1);
  CHECK(fx.jobs.empty());

  fx = {};
  from(kBob, queryOf(100'000));
  CHECK(fx.jobs.size() == 1);
  CHECK(searches.openCount() == limits::kOpenQueries);
  // The one that had to go was answered, and says what it lacks.
  REQUIRE(sentTo<wire::Answer>(kAlice).size() == 1);
  CHECK(sentTo<wire::Answer>(kAlice)[0].done);
  CHECK(sentTo<wire::Answer>(kAlice)[0].missing.size() == 2);
}

TEST_CASE_FIXTURE(Fixture, "finished searches make room for new ones") {
  searches.linkDown(kBob, now, fx);
  for (std::uint64_t i = 0; i < 3 * limits::kOpenQueries; ++i) {
    auto query = queryOf(i);
    query.budget = 60s;
    from(kAlice, query);
    matchAll();
    now += 20ms;
  }
  CHECK(searches.openCount() <= limits::kOpenQueries);
  for (const auto& answer : sentTo<wire::Answer>(kAlice)) CHECK(answer.missing.empty());
}

TEST_CASE_FIXTURE(Fixture, "losing and asking again does not make a relay repeat itself forever") {
  from(kAlice, queryOf(1));
  matchAll();
  auto answer = answerOf(queryId(1));
  for (int n = 0; n < 100; ++n) answer.hits.push_back(hitOf("f" + std::to_string(n), "bob"));
  from(kBob, answer);
  fx = {};
  for (int i = 0; i < 1000; ++i) {
    from(kAlice, wire::Lost{queryId(1)});
    from(kAlice, queryOf(1));
  }
  std::size_t hits = 0;
  for (const auto& one : sentTo<wire::Answer>(kAlice)) hits += one.hits.size();
  CHECK(hits == limits::kAdoptions * 100);
}

TEST_CASE_FIXTURE(Fixture, "two that adopt each other notice, and wait for a third") {
  searches.linkUp({kCarol, {peerId("carol"), JoinOrder{9}, {}}}, now, fx);
  from(kAlice, queryOf(1));
  from(kBob, queryOf(1));  // Bob has it from elsewhere: declined, but remembered
  matchAll();
  fx = {};
  searches.linkDown(kAlice, now, fx);
  // Bob is the way now, and gets all that is known.
  REQUIRE(sentTo<wire::Answer>(kBob).size() == 1);
  CHECK(sentTo<wire::Answer>(kBob)[0].coverage == std::vector<wire::OrderRange>{{1, 1}});
  // But Bob took the same step at the same time.
  auto answer = answerOf(queryId(1));
  answer.coverage = {{3, 3}};
  fx = {};
  from(kBob, answer);
  CHECK(sentTo<wire::Lost>(kCarol).size() == 1);
  fx = {};
  from(kCarol, queryOf(1));
  CHECK(sentTo<wire::Answer>(kCarol).size() == 1);
  CHECK(sentTo<wire::Query>(kBob).size() == 1);
}

TEST_CASE_FIXTURE(Fixture,
                  "what all relayed searches keep is bounded, and what was dropped is counted") {
  searches.peersBehind(kBob, 100);
  // Long names, so that the bound is reached soon.
  std::uint64_t number = 0;
  for (std::size_t kept = 0; kept < 2 * limits::kHitsKeptBytes; ++number) {
    auto query = queryOf(number);
    query.budget = 60s;
    from(kAlice, query);
    now += 20ms;
    for (int holder = 0; holder < 100; ++holder) {
      auto answer = answerOf(query.id);
      for (int n = 0; n < 10; ++n) {
        auto name = std::to_string(n) + std::string(4000, 'x');
        answer.hits.push_back(hitOf(name, "h" + std::to_string(holder)));
        kept += 4000;
      }
      from(kBob, answer);
    }
    fx = {};
  }
  // After a heal the oldest can only say how many there were, the newest has them all.
  searches.linkDown(kAlice, now, fx);
  const ConnectionId again{8};
  searches.linkUp({again, {peerId("alice"), JoinOrder{2}, {}}}, now, fx);
  const auto repeated = [&](std::uint64_t which) {
    fx = {};
    from(again, queryOf(which));
    std::pair<std::size_t, std::uint64_t> result;
    for (const auto& answer : sentTo<wire::Answer>(again)) {
      result.first += answer.hits.size();
      for (const auto& more : answer.more) result.second += more.hits;
    }
    return result;
  };
  CHECK(repeated(0) == std::pair<std::size_t, std::uint64_t>{0, 1000});
  CHECK(repeated(number - 1) == std::pair<std::size_t, std::uint64_t>{1000, 0});
}

TEST_CASE("one liar among many peers loses no link and hides nobody before it") {
  Network network;
  network.line(8);
  // s4 multiplies whatever it sends. It can drown the orders of s5 to s8, which are behind it.
  std::size_t budget = 2000;
  network.filter = [&](std::size_t from, std::size_t to, const wire::SearchMessage& message) {
    if (from == 3 && budget > 0) {
      --budget;
      auto forged = message;
      if (auto* answer = std::get_if<wire::Answer>(&forged)) {
        answer->coverage = {{1, 1000}};
        answer->done = !answer->done;
      }
      network.inject(to, from, forged);
      network.inject(to, from, message);
    }
    return true;
  };
  const auto result = network.find(0);
  CHECK(result.searched >= 4);
  CHECK(result.searched <= 8);
  CHECK(result.members == 8);
  const auto holders = holdersOf(result, "common.txt");
  for (std::size_t i = 0; i < 8; ++i) {
    CHECK(std::count(holders.begin(), holders.end(), network[i].id.text()) == 1);
    CHECK(network[i].jobs <= 1);
  }
}
