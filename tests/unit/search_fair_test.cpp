// Members that flood searches: those of others are complete, at any distance, also of peers behind
// the same relay.
#include <doctest/doctest.h>

#include "tests/unit/search_fixture.h"
#include "tests/unit/search_network.h"

using namespace espalier;
using namespace espalier::peer;
using namespace espalier::peer::testing;

namespace {

// A network in which some peers flood their only neighbour, while others ask now and then.
struct Flooded {
  Network network;
  std::uint64_t sent = 0;
  std::vector<QueryId> asked;

  // The peer sends `perSecond` searches over its only link for that time.
  void flood(std::size_t from, unsigned perSecond, wire::Query query, Duration time) {
    const auto end = network.now() + time;
    const auto pause = Duration(1s) / perSecond;
    network.after(pause, [=, this] { floodOnce(from, pause, query, end); });
  }
  void ask(std::size_t from, Duration pause, Duration time) {
    for (Duration at = pause; at < time; at += pause) {
      network.after(at, [this, from] { asked.push_back(network.ask(from, "common.txt")); });
    }
  }
  // The part of the searches in which at least `peers` have answered.
  double complete(std::uint64_t peers) {
    std::size_t count = 0;
    for (const auto& id : asked) count += network.resultOf(id).searched >= peers;
    return static_cast<double>(count) / static_cast<double>(asked.size());
  }

 private:
  void floodOnce(std::size_t from, Duration pause, wire::Query query, TimePoint end) {
    query.id = queryId(1'000'000 + ++sent);
    network.inject(network[from].links.begin()->first, from, query);
    if (network.now() >= end) return;
    network.after(pause, [=, this] { floodOnce(from, pause, query, end); });
  }
};

wire::Query floodOf(std::uint32_t load, std::chrono::milliseconds budget = 3000ms) {
  auto query = queryOf(0);
  query.text = "nosuch*";
  query.load = load;
  query.budget = budget;
  return query;
}

}  // namespace

TEST_CASE(
    "searches from behind the relay of a flood are complete, whatever load the flood claims") {
  for (const std::uint32_t load : {0, 1}) {
    for (const unsigned perSecond : {40, 500}) {
      CAPTURE(load);
      CAPTURE(perSecond);
      Flooded flooded;
      flooded.network.line(8);
      flooded.network.add(1);
      flooded.network.connect(1, 8);
      flooded.flood(0, perSecond, floodOf(load), 20s);
      flooded.ask(8, 490ms, 20s);  // another child of the relay
      flooded.ask(1, 990ms, 20s);  // the relay itself
      flooded.ask(7, 990ms, 20s);  // the far end
      flooded.ask(4, 990ms, 20s);
      flooded.network.run(21s);
      CHECK(flooded.complete(9) >= 0.99);
    }
  }
}

TEST_CASE("several floods that share a link with honest peers starve none of them") {
  Flooded flooded;
  flooded.network.line(8);
  flooded.network.add(4);
  for (std::size_t i = 0; i < 4; ++i) flooded.network.connect(2 * i, 8 + i);
  for (std::size_t i = 0; i < 4; ++i)
    flooded.flood(8 + i, static_cast<unsigned>(60 + 100 * i), floodOf(0), 20s);
  for (std::size_t i = 0; i < 8; ++i) flooded.ask(i, 1490ms, 20s);
  flooded.network.run(21s);
  CHECK(flooded.complete(12) >= 0.99);
}

TEST_CASE("searches that stay open displace those of the flood, not those behind the same link") {
  Flooded flooded;
  flooded.network.line(6);
  flooded.network.add(2);
  flooded.network.connect(1, 6);
  flooded.network.connect(3, 7);
  flooded.network[7].isSilent = true;  // so no search ends before its time
  flooded.flood(0, 45, floodOf(0, 60'000ms), 40s);
  flooded.ask(6, 1990ms, 40s);
  flooded.ask(5, 1990ms, 40s);
  flooded.network.run(41s);
  CHECK(flooded.complete(7) >= 0.99);
  CHECK(flooded.network[4].searches->openCount() <= limits::kOpenQueries);
}

TEST_CASE_FIXTURE(Fixture, "a query carries the load of the link that it came over") {
  searches.peersBehind(kBob, 1);
  searches.peersBehind(kAlice, 20);
  for (std::uint64_t i = 0; i < 190; ++i) from(kBob, queryOf(i));
  const auto sent = sentTo<wire::Query>(kAlice);
  REQUIRE(sent.size() == 190);
  CHECK(sent[0].load == 1);
  CHECK(sent[189].load == 47);
  // A peer behind alice that sends little, and one that sends much.
  auto light = queryOf(1000);
  light.load = 2;
  from(kAlice, light);
  CHECK(sentTo<wire::Query>(kBob).back().load == 2);
  auto heavy = queryOf(1001);
  heavy.load = 70;
  from(kAlice, heavy);
  CHECK(sentTo<wire::Query>(kBob).back().load == 70);
}

TEST_CASE_FIXTURE(Fixture,
                  "a branch whose outbox has no room is missing, and the rest is searched") {
  linkUp(kCarol, "carol", 9);
  searches.peersBehind(kCarol, 3);
  const auto many = static_cast<std::uint64_t>(limits::kQueryBurst) + limits::kQueriesQueued;
  for (std::uint64_t i = 0; i < many; ++i) {
    // From two links, so that no bucket refuses any; all go to carol.
    from(i % 2 == 0 ? kAlice : kBob, queryOf(i));
  }
  CHECK(sentTo<wire::Query>(kCarol).size() == static_cast<std::size_t>(limits::kQueryBurst));
  now += 1s;
  searches.tick(now, fx);
  CHECK(sentTo<wire::Query>(kCarol).size() >
        static_cast<std::size_t>(limits::kQueryBurst + 0.9 * limits::kQueriesPerSecond));
}
