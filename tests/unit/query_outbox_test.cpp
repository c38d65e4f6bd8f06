// QueryOutbox: whose queries go first over a link, and whose are dropped.
#include "peer/core/query_outbox.h"

#include <doctest/doctest.h>

#include <vector>

#include "common/base/limits.h"

using namespace espalier;
using namespace espalier::peer;
using namespace std::chrono_literals;

namespace {

constexpr TimePoint kStart{1000s};
constexpr ConnectionId kOne{2};
constexpr ConnectionId kTwo{4};

QueryId idOf(unsigned number) {
  QueryId id;
  id.bytes[0] = static_cast<std::uint8_t>(number);
  id.bytes[1] = static_cast<std::uint8_t>(number >> 8);
  return id;
}

unsigned numberOf(const QueryId& id) {
  return id.bytes[0] + 256u * id.bytes[1];
}

struct Outbox {
  Budget budget;
  QueryOutbox outbox{budget.account(Payer::member(*PeerId::parse("next")))};
  std::vector<unsigned> dropped;

  // An outbox without a token.
  Outbox() {
    for (unsigned i = 0; i < limits::kQueryBurst; ++i) REQUIRE(offer(60'000 + i, kOne, 1));
  }
  bool offer(unsigned number, QueryOutbox::Source source, std::uint32_t load) {
    std::optional<QueryId> lost;
    const bool sent = outbox.offer(idOf(number), source, load, kStart, lost);
    if (lost) dropped.push_back(numberOf(*lost));
    return sent;
  }
  std::vector<unsigned> rest() {
    std::vector<unsigned> order;
    while (const auto id = outbox.next(kStart + 1h)) order.push_back(numberOf(*id));
    return order;
  }
};

}  // namespace

TEST_CASE("a burst is sent at once, and further queries at the rate of the next peer") {
  Outbox one;
  CHECK_FALSE(one.offer(1, kOne, 1));
  CHECK_FALSE(one.offer(2, kOne, 1));
  CHECK_FALSE(one.outbox.next(kStart));
  const auto due = one.outbox.deadline();
  CHECK(due > kStart);
  CHECK(one.outbox.next(due) == idOf(1));
  CHECK_FALSE(one.outbox.next(due));
  CHECK(one.outbox.next(one.outbox.deadline()) == idOf(2));
  CHECK(one.outbox.deadline() == kNever);
}

TEST_CASE("a link that comes again to the same peer gets no second burst") {
  Outbox one;
  QueryOutbox again{one.budget.account(Payer::member(*PeerId::parse("next")))};
  std::optional<QueryId> lost;
  CHECK_FALSE(again.offer(idOf(1), kOne, 1, kStart, lost));
  CHECK_FALSE(lost);
  CHECK(again.deadline() > kStart);
  CHECK(again.next(again.deadline()) == idOf(1));
}

TEST_CASE("links take turns, and this peer's user has every second turn") {
  Outbox one;
  for (const unsigned number : {11u, 12u, 13u}) one.offer(number, kOne, 1);
  for (const unsigned number : {21u, 22u}) one.offer(number, kTwo, 1);
  for (const unsigned number : {1u, 2u}) one.offer(number, std::nullopt, 1);
  CHECK(one.rest() == std::vector<unsigned>{1, 11, 2, 21, 12, 22, 13});
}

TEST_CASE("the smaller load goes first, also of one link") {
  Outbox one;
  one.offer(1, kOne, 50);
  one.offer(2, kOne, 1);
  one.offer(3, kTwo, 4);
  one.offer(4, kTwo, 200);
  CHECK(one.rest() == std::vector<unsigned>{2, 3, 1, 4});
}

TEST_CASE("a source that has no room loses its heaviest queries, and no other source loses any") {
  Outbox one;
  one.offer(1, kTwo, 200);
  for (unsigned number = 0; number < limits::kQueriesQueued; ++number) {
    one.offer(100 + number, kOne, 50);
  }
  CHECK(one.dropped.empty());
  one.offer(1000, kOne, 50);
  CHECK(one.dropped == std::vector<unsigned>{1000});
  one.offer(1001, kOne, 1);
  CHECK(one.dropped.back() == 100 + limits::kQueriesQueued - 1);
  CHECK(one.outbox.size() == limits::kQueriesQueued + 1);
  const auto order = one.rest();
  CHECK(order.front() == 1001);
  CHECK(order.back() == 1);
}

TEST_CASE("a query that is not sent takes no token") {
  Outbox one;
  one.offer(1, kOne, 1);
  one.offer(2, kOne, 1);
  const auto due = one.outbox.deadline();
  CHECK(one.outbox.next(due) == idOf(1));
  one.outbox.giveBack(due);
  CHECK(one.outbox.next(due) == idOf(2));
}
