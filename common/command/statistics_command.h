// The command `stats` of both programs: what the metaservers of the network have counted. Thread
// rule: as the function that it is made with.
//
//   here now    5 peers
//   today       7 sessions
//   this month  31 sessions
//   in all      40 sessions
//   approaches  42, of which 2 were lost
//   rating      4.33 of 5, by 3 ratings
//   counted     since 2026-11-30 11:00:00, of 2 of 3 metaservers (without m5020)
#pragma once

#include <cstddef>
#include <functional>
#include <stop_token>
#include <string>

#include "common/base/result.h"
#include "common/command/dispatcher.h"
#include "common/wire/statistics.h"

namespace espalier::command {

// With the last `days` days. Blocks.
using StatisticsOf =
    std::function<Result<wire::Statistics>(std::size_t days, std::stop_token stop)>;

Command statsCommand(StatisticsOf statisticsOf);

struct StatisticsOutcome {
  wire::Statistics sum;
  std::size_t days = 0;  // that were asked for
};
void addMembers(Json& data, const StatisticsOutcome& outcome);
std::string textOf(const StatisticsOutcome& outcome);

}  // namespace espalier::command
