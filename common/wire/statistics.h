// What metaservers have counted, for peers and for each other. docs/protocol.md describes the
// messages; statistics_codec.h encodes them. Plain values without protobuf, so that cores can use
// them.
//
//   peer --StatisticsRequest--> its home --StatisticsRequest--> each other metaserver
//   peer <--Statistics: the sum-- home <--Statistics: its own-- each
#pragma once

#include <chrono>
#include <cstdint>
#include <vector>

#include "common/base/ids.h"

namespace espalier::wire {

struct StatisticsRequest {
  std::uint32_t days = 0;    // how many of the last days; at most limits::kStatisticsDays
  std::uint64_t number = 0;  // the answer repeats it

  bool operator==(const StatisticsRequest&) const = default;
};

// Each is at most limits::kStatisticsCount.
struct StatisticsSums {
  std::uint64_t sessions = 0;    // that have begun
  std::uint64_t approaches = 0;  // peers that have asked to be let in
  std::uint64_t lost = 0;        // of these, whom nobody could take
  std::uint64_t ratings = 0;
  std::uint64_t ratingSum = 0;  // of their scores

  bool operator==(const StatisticsSums&) const = default;
};

struct StatisticsDay {
  std::uint32_t date = 0;  // local, in days since 1970; at most limits::kStatisticsDate
  StatisticsSums sums;

  bool operator==(const StatisticsDay&) const = default;
};

struct Statistics {
  std::uint64_t number = 0;           // of the request
  std::chrono::milliseconds since{};  // it was counted since then, since 1970; 0: not told
  std::uint64_t open = 0;             // sessions
  std::uint64_t today = 0;            // sessions that have begun today
  std::uint64_t month = 0;            // the same, this month
  StatisticsSums total;
  // Of how many metaservers these are the sums, and how many there are; to a metaserver 1 and 1.
  std::uint32_t answered = 1;
  std::uint32_t known = 1;          // at most limits::kStatisticsServers
  std::vector<ServerName> missing;  // those that are not among them; known - answered at most
  std::vector<StatisticsDay> days;  // rising; limits::kStatisticsDays at most

  bool operator==(const Statistics&) const = default;
};

}  // namespace espalier::wire
