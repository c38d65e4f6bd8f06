// What several metaservers have counted is added up.
#include "metaserver/core/sessions/statistics_rounds.h"

#include <doctest/doctest.h>

#include "common/base/limits.h"

using namespace espalier;
using namespace espalier::metaserver::sessions;
using namespace std::chrono_literals;

namespace {

ServerName nameOf(const char* text) {
  return *ServerName::parse(text);
}

wire::Statistics counted(std::uint64_t sessions, std::chrono::milliseconds since) {
  wire::Statistics one;
  one.since = since;
  one.open = 1;
  one.today = sessions;
  one.month = sessions;
  one.total = {sessions, sessions + 1, 1, 2, 7};
  one.days = {{20000, {sessions, 0, 0, 0, 0}}, {20002, {1, 0, 0, 0, 0}}};
  return one;
}

const std::vector<StatisticsRounds::Server> kTwo = {{ServerNumber{2}, nameOf("m2")},
                                                    {ServerNumber{3}, nameOf("m3")}};
constexpr TimePoint kNow{1h};

}  // namespace

TEST_CASE("a metaserver that is alone answers at once") {
  StatisticsRounds rounds;
  CHECK_FALSE(rounds.begin(9, 0, counted(3, 10s), {}, {}, kNow));
  const auto done = rounds.takeDone();
  REQUIRE(done.size() == 1);
  CHECK(done[0].asker == 9);
  CHECK(done[0].sum.answered == 1);
  CHECK(done[0].sum.known == 1);
  CHECK(rounds.deadline() == kNever);
}

TEST_CASE("the numbers of all are added up, since the first of them began to count") {
  StatisticsRounds rounds;
  const auto number = rounds.begin(9, 0, counted(3, 10s), kTwo, {}, kNow);
  REQUIRE(number);
  auto answer = counted(4, 8s);
  answer.number = *number;
  rounds.answered(ServerNumber{2}, answer);
  rounds.answered(ServerNumber{2}, answer);  // twice
  CHECK(rounds.takeDone().empty());
  answer.days = {{20001, {5, 0, 0, 0, 0}}};
  rounds.answered(ServerNumber{3}, answer);
  const auto done = rounds.takeDone();
  REQUIRE(done.size() == 1);
  const auto& sum = done[0].sum;
  CHECK(sum.since == 8s);
  CHECK(sum.open == 3);
  CHECK(sum.today == 11);
  CHECK(sum.total == wire::StatisticsSums{11, 14, 3, 6, 21});
  CHECK(sum.days == std::vector<wire::StatisticsDay>{{20000, {7, 0, 0, 0, 0}},
                                                     {20001, {5, 0, 0, 0, 0}},
                                                     {20002, {2, 0, 0, 0, 0}}});
  CHECK(sum.answered == 3);
  CHECK(sum.known == 3);
}

TEST_CASE("who is dead or silent is named as missing") {
  StatisticsRounds rounds;
  const auto number = rounds.begin(9, 0, counted(3, 10s), kTwo, {nameOf("m1")}, kNow);
  auto answer = counted(4, 8s);
  answer.number = *number;
  rounds.answered(ServerNumber{3}, answer);
  rounds.tick(kNow + limits::kStatisticsWait - 1ms);
  CHECK(rounds.takeDone().empty());
  rounds.tick(rounds.deadline());
  const auto done = rounds.takeDone();
  REQUIRE(done.size() == 1);
  CHECK(done[0].sum.answered == 2);
  CHECK(done[0].sum.known == 4);
  CHECK(done[0].sum.missing == std::vector{nameOf("m1"), nameOf("m2")});
  rounds.answered(ServerNumber{2}, answer);  // too late
  CHECK(rounds.takeDone().empty());
}

TEST_CASE("rounds are bounded: one more is answered with what this metaserver has") {
  StatisticsRounds rounds;
  for (std::size_t i = 0; i < limits::kStatisticsRounds; ++i) {
    CHECK(rounds.begin(i, i, counted(3, 10s), kTwo, {}, kNow));
  }
  CHECK_FALSE(rounds.begin(99, 366, counted(3, 10s), kTwo, {}, kNow));
  const auto done = rounds.takeDone();
  REQUIRE(done.size() == 1);
  CHECK(done[0].asker == 99);
  CHECK(done[0].sum.answered == 1);
  CHECK(done[0].sum.missing.size() == 2);
}

TEST_CASE("who asks for as many days as a round under way gets its answer, and nobody is asked") {
  StatisticsRounds rounds;
  CHECK_FALSE(rounds.join(8, 2));
  const auto number = rounds.begin(8, 2, counted(3, 10s), kTwo, {}, kNow);
  REQUIRE(number);
  for (std::uint64_t asker = 9; asker < 9 + limits::kStatisticsRounds; ++asker) {
    CHECK(rounds.join(asker, 2));
  }
  CHECK_FALSE(rounds.join(99, 3));
  CHECK(rounds.begin(99, 3, counted(3, 10s), kTwo, {}, kNow));  // there is room
  auto answer = counted(4, 8s);
  answer.number = *number;
  for (const auto& server : kTwo) rounds.answered(server.number, answer);
  const auto done = rounds.takeDone();
  REQUIRE(done.size() == 1 + limits::kStatisticsRounds);
  for (std::size_t i = 0; i < done.size(); ++i) {
    CHECK(done[i].asker == 8 + i);
    CHECK(done[i].sum.answered == 3);
    CHECK(done[i].sum.total.sessions == 11);
  }
  CHECK_FALSE(rounds.join(9, 2));  // it is over
}
