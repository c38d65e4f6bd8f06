// Ways between metaservers, against a naive model of themselves.
#include "metaserver/core/cluster/reach.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <random>
#include <set>

using namespace espalier;
using namespace espalier::metaserver::cluster;
using namespace std::chrono_literals;

namespace {

using Lists = std::map<ServerNumber, std::vector<ServerNumber>>;

ServerNumber at(unsigned number) {
  return ServerNumber{static_cast<std::uint16_t>(number)};
}

// Both hear each other.
void link(Lists& lists, unsigned a, unsigned b) {
  lists[at(a)].push_back(at(b));
  lists[at(b)].push_back(at(a));
}

std::map<ServerNumber, Way> waysOf(Lists lists, unsigned self,
                                   std::map<ServerNumber, Duration> ages = {}) {
  std::vector<Heard> others;
  for (auto& [server, list] : lists) {
    std::sort(list.begin(), list.end());
    if (server != at(self)) others.push_back({server, list, ages[server]});
  }
  const auto ways = reach({at(self), lists[at(self)], {}}, others);
  std::map<ServerNumber, Way> result;
  for (std::size_t i = 0; i < others.size(); ++i) result[others[i].number] = ways[i];
  return result;
}

}  // namespace

TEST_CASE("a link is up only if both ends hear each other") {
  Lists lists;
  link(lists, 1, 2);
  lists[at(1)].push_back(at(3));
  lists[at(4)].push_back(at(1));
  lists[at(3)];
  const auto ways = waysOf(lists, 1);
  CHECK(ways.at(at(2)) == Way{1, at(2)});
  CHECK(ways.at(at(3)) == Way{});
  CHECK(ways.at(at(4)) == Way{});
}

TEST_CASE("those without a link are reached by way of others, by the lowest number of several") {
  Lists lists;
  link(lists, 1, 2);
  link(lists, 1, 3);
  link(lists, 2, 4);
  link(lists, 3, 4);
  link(lists, 4, 5);
  const auto ways = waysOf(lists, 1);
  CHECK(ways.at(at(4)) == Way{2, at(2)});
  CHECK(ways.at(at(5)) == Way{3, at(2)});
}

TEST_CASE("a state counts for the silence allowed, and for a beat more for each further hop") {
  Lists lists;
  link(lists, 1, 2);
  link(lists, 2, 3);
  CHECK(waysOf(lists, 1, {{at(2), 1999ms}}).at(at(2)).hops == 1);
  CHECK(waysOf(lists, 1, {{at(2), 2000ms}}).at(at(2)).hops == 0);
  CHECK(waysOf(lists, 1, {{at(3), 2499ms}}).at(at(3)).hops == 2);
  CHECK(waysOf(lists, 1, {{at(3), 2500ms}}).at(at(3)).hops == 0);
  CHECK(waysOf(lists, 1, {{at(2), 2000ms}}).at(at(3)).hops == 0);
}

TEST_CASE("no more than the largest number of metaservers is reached, the nearest first") {
  Lists lists;
  for (unsigned number = 2; number <= 11; ++number) link(lists, 1, number);
  for (unsigned number = 12; number <= 30; ++number) link(lists, 2, number);
  const auto ways = waysOf(lists, 1);
  const auto reached =
      std::count_if(ways.begin(), ways.end(), [](const auto& one) { return one.second.hops > 0; });
  CHECK(reached == limits::kMetaservers - 1);
  CHECK(ways.at(at(11)).hops == 1);
  CHECK(ways.at(at(16)).hops == 2);
  CHECK(ways.at(at(17)).hops == 0);
}

TEST_CASE("hops are the distances of a naive model, and each way leads one step nearer") {
  for (unsigned seed = 1; seed <= 200; ++seed) {
    CAPTURE(seed);
    std::mt19937 random{seed};
    const auto count = static_cast<unsigned>(2 + random() % 13);
    Lists lists;
    for (unsigned a = 1; a <= count; ++a) lists[at(a)];
    for (unsigned a = 1; a <= count; ++a) {
      for (unsigned b = 1; b <= count; ++b) {
        if (a != b && random() % 2 == 0) lists[at(a)].push_back(at(b));
      }
    }
    // Shortest distances by relaxation.
    constexpr unsigned kFar = 1000;
    std::map<std::pair<unsigned, unsigned>, unsigned> distance;
    const auto hears = [&](unsigned a, unsigned b) {
      const auto& list = lists[at(a)];
      return std::find(list.begin(), list.end(), at(b)) != list.end();
    };
    for (unsigned a = 1; a <= count; ++a) {
      for (unsigned b = 1; b <= count; ++b) {
        distance[{a, b}] = a == b ? 0 : hears(a, b) && hears(b, a) ? 1 : kFar;
      }
    }
    for (unsigned by = 1; by <= count; ++by) {
      for (unsigned a = 1; a <= count; ++a) {
        for (unsigned b = 1; b <= count; ++b) {
          auto& shortest = distance[{a, b}];
          shortest = std::min(shortest, distance[{a, by}] + distance[{by, b}]);
        }
      }
    }
    for (unsigned a = 1; a <= count; ++a) {
      for (const auto& [server, way] : waysOf(lists, a)) {
        const unsigned expected = distance[{a, number(server)}];
        CHECK(way.hops == (expected >= kFar ? 0 : expected));
        if (way.hops == 0) continue;
        CHECK(distance[{a, number(way.next)}] == 1);
        CHECK(distance[{number(way.next), number(server)}] == expected - 1);
      }
    }
  }
}
