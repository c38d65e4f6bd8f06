#include "peer/share/match_queue.h"

#include <doctest/doctest.h>

#include "common/base/limits.h"
#include "peer/share/catalogue.h"

namespace espalier::share {
namespace {

using peer::MatchJob;
using peer::Pattern;

using namespace std::chrono_literals;

constexpr TimePoint kStart{};

MatchJob jobOf(unsigned number, std::optional<ConnectionId> source, TimePoint until = kNever) {
  MatchJob job;
  job.id.bytes[0] = static_cast<std::uint8_t>(number);
  job.id.bytes[1] = static_cast<std::uint8_t>(number >> 8);
  job.source = source;
  job.until = until;
  return job;
}

unsigned numberOf(const std::optional<Matching>& matching) {
  REQUIRE(matching);
  return matching->job.id.bytes[0] + 256u * matching->job.id.bytes[1];
}

constexpr ConnectionId kOne{1};
constexpr ConnectionId kTwo{2};

TEST_CASE("links take turns, and each link's searches keep their order") {
  MatchQueue queue;
  for (unsigned number = 1; number <= 3; ++number) queue.push(jobOf(number, kOne));
  queue.push(jobOf(11, kTwo));
  queue.push(jobOf(21, std::nullopt));

  std::vector<unsigned> order;
  while (auto next = queue.take(kStart)) order.push_back(numberOf(next));

  CHECK(order == std::vector<unsigned>{1, 11, 21, 2, 3});
  CHECK(queue.empty());
}

TEST_CASE("a long search lets every other have a first turn, and continues where it was") {
  MatchQueue queue;
  queue.push(jobOf(1, kOne));
  queue.push(jobOf(2, kOne));
  queue.push(jobOf(11, kTwo));
  auto slow = queue.take(kStart);
  slow->next = 500;
  queue.putBack(std::move(*slow));

  CHECK(numberOf(queue.take(kStart)) == 11);
  CHECK(numberOf(queue.take(kStart)) == 2);
  queue.push(jobOf(3, kOne));
  CHECK(numberOf(queue.take(kStart)) == 3);
  const auto next = queue.take(kStart);
  CHECK(numberOf(next) == 1);
  CHECK(next->next == 500);
  CHECK(queue.empty());
}

TEST_CASE("long searches take turns") {
  MatchQueue queue;
  for (unsigned number = 1; number <= 3; ++number) queue.push(jobOf(number, kOne));
  for (int i = 0; i < 3; ++i) queue.putBack(*queue.take(kStart));

  std::vector<unsigned> order;
  for (int i = 0; i < 6; ++i) {
    auto next = queue.take(kStart);
    order.push_back(numberOf(next));
    queue.putBack(std::move(*next));
  }
  CHECK(order == std::vector<unsigned>{1, 2, 3, 1, 2, 3});
}

TEST_CASE("a search past its deadline is dropped") {
  MatchQueue queue;
  queue.push(jobOf(1, kOne, kStart + 1s));
  queue.push(jobOf(2, kOne, kStart + 3s));
  queue.push(jobOf(3, kTwo, kStart + 2s));

  CHECK(numberOf(queue.take(kStart + 2s)) == 2);
  CHECK(!queue.take(kStart + 2s));
  CHECK(queue.empty());
}

TEST_CASE("of too many searches of a link the oldest are dropped, and none of another link") {
  MatchQueue queue;
  queue.push(jobOf(9999, kTwo));
  const auto count = static_cast<unsigned>(limits::kOpenQueries);
  for (unsigned number = 0; number < count + 10; ++number) queue.push(jobOf(number, kOne));

  CHECK(numberOf(queue.take(kStart)) == 9999);
  for (unsigned number = 10; number < count + 10; ++number) {
    REQUIRE(numberOf(queue.take(kStart)) == number);
  }
  CHECK(queue.empty());
}

TEST_CASE("matching stops in time, and continues with the next name") {
  Catalogue catalogue;
  for (int i = 0; i < 300; ++i) {
    const std::string name = "file" + std::to_string(i);
    catalogue.put({name, {1, 1, 1}, FileRoot{}, 0});
  }
  Matching matching;
  matching.job.kind = PatternKind::substring;
  matching.job.text = "file";
  matching.job.limit = 200;
  matching.snapshot = catalogue.publish(std::make_shared<const SharedFolders>());

  std::size_t turns = 1;
  while (!matching.advance(TimePoint::min())) ++turns;  // a time that is always past

  CHECK(turns == 300);
  CHECK(matching.hits.size() == 200);
  CHECK(matching.more == 100);

  matching.next = 0;
  CHECK(matching.advance(kNever));
  CHECK(matching.more == 400);
}

}  // namespace
}  // namespace espalier::share
