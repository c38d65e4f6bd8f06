// What one relay sends to its neighbours, and when.
#include <doctest/doctest.h>

#include "tests/unit/search_fixture.h"

using namespace espalier;
using namespace espalier::peer;
using namespace espalier::peer::testing;

namespace {

// Lets time pass, ticking whenever it is due.
void pass(Fixture& f, Duration time) {
  const auto end = f.now + time;
  while (f.searches.deadline() <= end) {
    f.now = std::max(f.now, f.searches.deadline());
    f.searches.tick(f.now, f.fx);
  }
  f.now = end;
}

}  // namespace

TEST_CASE_FIXTURE(Fixture, "hits go upstream at once, coverage alone waits for more of its kind") {
  from(kAlice, queryOf(1));
  matchAll();
  CHECK(sentTo<wire::Answer>(kAlice).empty());
  pass(*this, limits::kCoverageDelay);
  REQUIRE(sentTo<wire::Answer>(kAlice).size() == 1);
  CHECK(sentTo<wire::Answer>(kAlice)[0].coverage == std::vector<wire::OrderRange>{{1, 1}});
  CHECK_FALSE(sentTo<wire::Answer>(kAlice)[0].done);

  auto answer = answerOf(queryId(1));
  answer.hits = {hitOf("a", "bob")};
  from(kBob, answer);
  CHECK(sentTo<wire::Answer>(kAlice).size() == 2);
  answer.coverage = {{3, 6}};
  answer.done = true;
  from(kBob, answer);
  REQUIRE(sentTo<wire::Answer>(kAlice).size() == 3);
  CHECK(sentTo<wire::Answer>(kAlice)[2].hits.empty());
  CHECK(sentTo<wire::Answer>(kAlice)[2].coverage == std::vector<wire::OrderRange>{{3, 6}});
  CHECK(sentTo<wire::Answer>(kAlice)[2].done);
}

TEST_CASE_FIXTURE(Fixture, "each hop gets a little less time") {
  from(kAlice, queryOf(1));
  REQUIRE(sentTo<wire::Query>(kBob).size() == 1);
  CHECK(sentTo<wire::Query>(kBob)[0].budget == 2971ms);
  CHECK(sentTo<wire::Query>(kBob)[0].hopsLeft == 99);
}

TEST_CASE_FIXTURE(Fixture, "when its share is over a relay names the link, and how many it hides") {
  from(kAlice, queryOf(1));
  matchAll();
  auto answer = answerOf(queryId(1));
  SUBCASE("the neighbour and one behind it have answered") {
    answer.coverage = {{3, 4}};
    from(kBob, answer);
    pass(*this, 3s);
    CHECK(sentTo<wire::Answer>(kAlice).back().missing ==
          std::vector<wire::Missing>{{peerId("bob"), JoinOrder{3}, 2}});
  }
  SUBCASE("nobody has answered") {
    pass(*this, 3s);
    CHECK(sentTo<wire::Answer>(kAlice).back().missing ==
          std::vector<wire::Missing>{{peerId("bob"), JoinOrder{3}, 3}});
  }
  CHECK(sentTo<wire::Answer>(kAlice).back().done);
  // Late answers are passed on, too.
  answer.coverage = {{5, 6}};
  from(kBob, answer);
  CHECK(sentTo<wire::Answer>(kAlice).back().coverage == std::vector<wire::OrderRange>{{5, 6}});
}

TEST_CASE_FIXTURE(Fixture, "a link that goes down may come back for a while before it is named") {
  from(kAlice, queryOf(1));
  matchAll();
  searches.linkDown(kBob, now, fx);
  pass(*this, limits::kSearchGrace - 1ms);
  REQUIRE_FALSE(sentTo<wire::Answer>(kAlice).empty());
  CHECK_FALSE(sentTo<wire::Answer>(kAlice).back().done);
  SUBCASE("it does not") {
    pass(*this, 1ms);
    CHECK(sentTo<wire::Answer>(kAlice).back().done);
    CHECK(sentTo<wire::Answer>(kAlice).back().missing ==
          std::vector<wire::Missing>{{peerId("bob"), JoinOrder{3}, 3}});
  }
  SUBCASE("it does, and nobody is missing") {
    searches.linkUp({kCarol, {peerId("bob"), JoinOrder{3}, {}}}, now, fx);
    REQUIRE(sentTo<wire::Query>(kCarol).size() == 1);
    auto answer = answerOf(queryId(1));
    answer.coverage = {{3, 6}};
    answer.done = true;
    from(kCarol, answer);
    CHECK(sentTo<wire::Answer>(kAlice).back().done);
    pass(*this, 10s);
    for (const auto& one : sentTo<wire::Answer>(kAlice)) CHECK(one.missing.empty());
  }
}

TEST_CASE_FIXTURE(Fixture, "an orphan asks nobody until somebody offers it a way") {
  from(kAlice, queryOf(1));
  matchAll();
  searches.linkDown(kAlice, now, fx);
  CHECK(sentTo<wire::Lost>(kBob).size() == 1);
  fx = {};
  searches.linkUp({kCarol, {peerId("carol"), JoinOrder{9}, {}}}, now, fx);
  pass(*this, 500ms);
  CHECK(fx.sends.empty());

  from(kCarol, queryOf(1));
  CHECK(sentTo<wire::Query>(kBob).size() == 1);
  REQUIRE(sentTo<wire::Answer>(kCarol).size() == 1);
  CHECK(sentTo<wire::Answer>(kCarol)[0].coverage == std::vector<wire::OrderRange>{{1, 1}});
}

TEST_CASE_FIXTURE(Fixture, "who offers a way also says how much time there is") {
  auto query = queryOf(1);
  query.budget = 500ms;
  from(kAlice, query);
  matchAll();
  from(kAlice, wire::Lost{query.id});
  query.budget = 2500ms;
  from(kBob, query);
  fx = {};
  pass(*this, 2s);
  CHECK(sentTo<wire::Answer>(kBob).empty());
  pass(*this, 500ms);
  REQUIRE(sentTo<wire::Answer>(kBob).size() == 1);
  CHECK(sentTo<wire::Answer>(kBob)[0].done);
}
