#include "metaserver/core/sessions/statistics_rounds.h"

#include <algorithm>
#include <chrono>

#include "common/base/limits.h"

namespace espalier::metaserver::sessions {
namespace {

void add(wire::StatisticsSums& to, const wire::StatisticsSums& more) {
  const auto sum = [](std::uint64_t& one, std::uint64_t other) {
    one = std::min(one + other, limits::kStatisticsCount);
  };
  sum(to.sessions, more.sessions);
  sum(to.approaches, more.approaches);
  sum(to.lost, more.lost);
  sum(to.ratings, more.ratings);
  sum(to.ratingSum, more.ratingSum);
}

// Rising by date, with those of both.
void add(std::vector<wire::StatisticsDay>& to, const std::vector<wire::StatisticsDay>& more) {
  std::map<std::uint32_t, wire::StatisticsSums> byDate;
  for (const auto& day : to) add(byDate[day.date], day.sums);
  for (const auto& day : more) add(byDate[day.date], day.sums);
  while (byDate.size() > limits::kStatisticsDays) byDate.erase(byDate.begin());
  to.clear();
  for (const auto& [date, sums] : byDate) to.push_back({date, sums});
}

}  // namespace

void add(wire::Statistics& to, const wire::Statistics& more) {
  using std::chrono::milliseconds;
  if (to.since == milliseconds(0)) to.since = more.since;
  if (more.since != milliseconds(0)) to.since = std::min(to.since, more.since);
  to.open = std::min(to.open + more.open, limits::kStatisticsCount);
  to.today = std::min(to.today + more.today, limits::kStatisticsCount);
  to.month = std::min(to.month + more.month, limits::kStatisticsCount);
  add(to.total, more.total);
  add(to.days, more.days);
}

bool StatisticsRounds::join(std::uint64_t asker, std::size_t days) {
  const auto round = std::find_if(rounds_.begin(), rounds_.end(),
                                  [&](const auto& one) { return one.second.days == days; });
  if (round == rounds_.end()) return false;
  round->second.askers.push_back(asker);
  return true;
}

std::optional<std::uint64_t> StatisticsRounds::begin(std::uint64_t asker, std::size_t days,
                                                     wire::Statistics own,
                                                     const std::vector<Server>& others,
                                                     const std::vector<ServerName>& dead,
                                                     TimePoint now) {
  Round round{{asker}, days, now + limits::kStatisticsWait, std::move(own), {}};
  round.sum.answered = 1;
  const std::size_t known =
      std::min<std::size_t>(1 + others.size() + dead.size(), limits::kStatisticsServers);
  round.sum.known = static_cast<std::uint32_t>(known);
  for (const auto& name : dead) {
    if (round.sum.missing.size() + 1 < known) round.sum.missing.push_back(name);
  }
  for (const auto& [number, name] : others) {
    if (round.waiting.size() + round.sum.missing.size() + 1 < known) {
      round.waiting.emplace(number, name);
    }
  }
  const bool isFull = rounds_.size() >= limits::kStatisticsRounds;
  const auto added = rounds_.emplace(++last_, std::move(round)).first;
  if (!isFull && !added->second.waiting.empty()) return last_;
  finish(added);
  return std::nullopt;
}

void StatisticsRounds::answered(ServerNumber from, const wire::Statistics& answer) {
  const auto round = rounds_.find(answer.number);
  if (round == rounds_.end() || round->second.waiting.erase(from) == 0) return;
  add(round->second.sum, answer);
  ++round->second.sum.answered;
  if (round->second.waiting.empty()) finish(round);
}

void StatisticsRounds::tick(TimePoint now) {
  while (!rounds_.empty() && rounds_.begin()->second.until <= now) finish(rounds_.begin());
}

TimePoint StatisticsRounds::deadline() const {
  return rounds_.empty() ? kNever : rounds_.begin()->second.until;
}

void StatisticsRounds::finish(std::map<std::uint64_t, Round>::iterator round) {
  auto& missing = round->second.sum.missing;
  for (auto& [number, name] : round->second.waiting) missing.push_back(std::move(name));
  std::sort(missing.begin(), missing.end());
  for (const std::uint64_t asker : round->second.askers) {
    done_.push_back({asker, round->second.sum});
  }
  rounds_.erase(round);
}

}  // namespace espalier::metaserver::sessions
