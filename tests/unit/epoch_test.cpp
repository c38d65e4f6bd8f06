// Orders of joining and epochs: their parts, their order, and what follows when numbers are used
// up.
#include "metaserver/core/cluster/epoch.h"

#include <doctest/doctest.h>

#include <set>

using namespace espalier;
using namespace espalier::metaserver::cluster;

namespace {

constexpr ServerNumber kLow{7};
constexpr ServerNumber kHigh{0xffff};

JoinOrder order(const Epoch& prefix, std::uint32_t running) {
  const auto result = orderOf({prefix, running});
  REQUIRE(result);
  return *result;
}

}  // namespace

TEST_CASE("an order of joining is composed of its parts and splits into them") {
  for (const std::uint32_t counter : {0u, 1u, 77u, limits::kEpochCounter}) {
    for (const ServerNumber server : {kNoServer, kLow, kHigh}) {
      for (const std::uint32_t running : {1u, 2u, kRunningLast}) {
        const OrderParts parts{{counter, server}, running};
        CHECK(partsOf(order(parts.prefix, running)) == parts);
        CHECK(number(order(parts.prefix, running)) < 1ull << 63);
      }
    }
  }
  CHECK(number(order({1, ServerNumber{2}}, 3)) == (1ull << 40 | 2ull << 24 | 3));
}

TEST_CASE("parts beyond their range make no order") {
  CHECK_FALSE(orderOf({{limits::kEpochCounter + 1, kLow}, 1}));
  CHECK_FALSE(orderOf({{1, kLow}, kRunningLast + 1}));
  CHECK_FALSE(orderOf({{1, kLow}, 0}));
}

TEST_CASE("orders are compared by counter, then number, then running number") {
  CHECK(order({1, kHigh}, kRunningLast) < order({2, kLow}, 1));
  CHECK(order({1, kLow}, kRunningLast) < order({1, kHigh}, 1));
  CHECK(order({1, kLow}, 1) < order({1, kLow}, 2));
  CHECK(Epoch{1, kHigh} < Epoch{2, kLow});
  CHECK(Epoch{1, kLow} < Epoch{1, kHigh});
}

TEST_CASE("a founder counts 1, 2, 3 in every epoch until its prefix is used up") {
  const Epoch epoch{3, kLow};
  CHECK(orderAfter(JoinOrder{1}, epoch) == JoinOrder{2});
  CHECK(orderAfter(JoinOrder{kRunningLast - 1}, epoch) == JoinOrder{kRunningLast});
  CHECK(orderAfter(JoinOrder{kRunningLast}, epoch) == order(epoch, 1));
}

TEST_CASE("a used-up prefix is followed by the epoch, or else by the next counter") {
  CHECK(prefixAfter({2, kLow}, {3, kLow}) == Epoch{3, kLow});
  CHECK(prefixAfter({3, kLow}, {3, kLow}) == Epoch{4, kLow});
  CHECK(orderAfter(order({3, kLow}, kRunningLast), {3, kLow}) == order({4, kLow}, 1));
}

TEST_CASE("two sides of a cut that count alike never have the same epoch or order") {
  const Epoch before{5, kLow};
  const auto one = nextEpoch(before, ServerNumber{1});
  const auto other = nextEpoch(before, ServerNumber{2});
  REQUIRE((one && other));
  CHECK(one->counter == other->counter);
  CHECK(*one != *other);
  CHECK(order(*one, 1) != order(*other, 1));
}

TEST_CASE("no prefix is opened twice while mastership goes to and fro") {
  std::set<Epoch> opened;
  Epoch highest{0, kNoServer};
  for (int turn = 0; turn < 20; ++turn) {
    const ServerNumber master{static_cast<std::uint16_t>(1 + turn % 3)};
    Epoch epoch = *nextEpoch(highest, master);
    Epoch prefix = epoch;
    CHECK(opened.insert(prefix).second);
    for (int used = 0; used < turn % 4; ++used) {
      prefix = *prefixAfter(prefix, epoch);
      epoch = std::max(epoch, prefix);
      CHECK(opened.insert(prefix).second);
    }
    highest = epoch;
  }
}

TEST_CASE("behind the last counter there is no epoch, and behind the last order no order") {
  CHECK(nextEpoch({limits::kEpochCounter - 1, kLow}, kHigh) == Epoch{limits::kEpochCounter, kHigh});
  CHECK_FALSE(nextEpoch({limits::kEpochCounter, kLow}, kHigh));
  const Epoch last{limits::kEpochCounter, kHigh};
  CHECK_FALSE(orderAfter(order(last, kRunningLast), last));
}
