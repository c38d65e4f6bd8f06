// Which of several connections between two metaservers is kept.
#include "metaserver/core/cluster/pair_connections.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <vector>

using namespace espalier;
using namespace espalier::metaserver::cluster;
using namespace std::chrono_literals;

namespace {

constexpr ConnectionId kFirst{1};
constexpr ConnectionId kSecond{2};
constexpr ConnectionId kThird{3};
using Ids = std::vector<ConnectionId>;

}  // namespace

TEST_CASE("the connection that the lower number dialled is kept, of several the last dialled") {
  PairConnections connections;
  connections.add(kFirst, {true, false, 9}, 0s);
  CHECK(connections.kept() == kFirst);
  connections.add(kSecond, {false, true, 1}, 0s);
  CHECK(connections.kept() == kSecond);
  connections.add(kThird, {false, true, 2}, 0s);
  CHECK(connections.kept() == kThird);
}

TEST_CASE("only who dialled the kept connection closes the others") {
  PairConnections connections;
  connections.add(kFirst, {true, false, 1}, 0s);
  connections.add(kSecond, {false, true, 1}, 0s);
  CHECK(connections.takeSpare() == Ids{});
  CHECK(connections.size() == 2);

  PairConnections atTheOther;
  atTheOther.add(kFirst, {false, false, 1}, 0s);
  atTheOther.add(kSecond, {true, true, 1}, 0s);
  CHECK(atTheOther.takeSpare() == Ids{kFirst});
  CHECK(atTheOther.kept() == kSecond);
}

TEST_CASE("a spare connection takes the place of the kept one when that ends") {
  PairConnections connections;
  connections.add(kFirst, {true, false, 1}, 0s);
  connections.add(kSecond, {false, true, 1}, 0s);
  connections.remove(kSecond);
  CHECK(connections.kept() == kFirst);
  connections.remove(kFirst);
  CHECK(connections.empty());
}

TEST_CASE("silent connections are taken out, those that are heard stay") {
  PairConnections connections;
  connections.add(kFirst, {false, true, 1}, 1s);
  connections.add(kSecond, {false, true, 2}, 1s);
  connections.heard(kFirst, 3s);
  CHECK(connections.isHeardSince(2s));
  CHECK_FALSE(connections.isHeardSince(3s));
  CHECK(connections.takeSilent(1s) == Ids{kSecond});
  CHECK(connections.kept() == kFirst);
  CHECK(connections.takeAll() == Ids{kFirst});
}

TEST_CASE("both ends keep the same one, in whatever order they learn of the connections") {
  std::mt19937 random{1};
  for (int round = 0; round < 200; ++round) {
    struct Dialled {
      ConnectionId id;
      bool byLower;
      std::uint64_t number;
    };
    std::vector<Dialled> dialled;
    for (std::uint64_t i = 1; i <= 4; ++i)
      dialled.push_back({ConnectionId{i}, random() % 2 == 0, i});
    std::vector<ConnectionId> kept;
    for (const bool isLower : {true, false}) {
      std::shuffle(dialled.begin(), dialled.end(), random);
      PairConnections connections;
      for (const auto& one : dialled) {
        connections.add(one.id, {one.byLower == isLower, one.byLower, one.number}, 0s);
      }
      kept.push_back(connections.kept());
    }
    CHECK(kept[0] == kept[1]);
  }
}
