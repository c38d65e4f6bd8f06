#include "common/command/statistics_command.h"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <charconv>
#include <chrono>
#include <ctime>
#include <utility>
#include <vector>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/command/printing.h"

namespace espalier::command {
namespace {

std::string dateOf(std::uint32_t daysSince1970) {
  const std::chrono::year_month_day date{std::chrono::sys_days{std::chrono::days{daysSince1970}}};
  return fmt::format("{:04}-{:02}-{:02}", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()));
}

double average(const wire::StatisticsSums& sums) {
  return static_cast<double>(sums.ratingSum) / static_cast<double>(sums.ratings);
}

std::time_t secondsOf(std::chrono::milliseconds since1970) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(since1970).count();
  return static_cast<std::time_t>(std::min<std::int64_t>(seconds, limits::kStatisticsCount / 1000));
}

void addSums(Json& data, const wire::StatisticsSums& sums) {
  data["sessions"] = sums.sessions;
  data["approaches"] = sums.approaches;
  data["lost"] = sums.lost;
  data["ratings"] = sums.ratings;
  data["rating"] = sums.ratings == 0 ? Json(nullptr) : Json(average(sums));
}

// "4.33 of 5, by 3 ratings"
std::string ratingText(const wire::StatisticsSums& sums) {
  if (sums.ratings == 0) return "none";
  return fmt::format("{:.2f} of 5, by {}", average(sums), counted(sums.ratings, "rating"));
}

// "since 2026-11-30 11:00:00, of 2 of 3 metaservers (without m5020)"
std::string countedText(const wire::Statistics& sum) {
  std::string text;
  if (sum.since != std::chrono::milliseconds(0)) {
    const auto time = secondsOf(sum.since);
    std::tm local{};
    if (::localtime_r(&time, &local) != nullptr) {
      text = fmt::format("since {:%Y-%m-%d %H:%M:%S}", local);
    }
  }
  if (sum.known < 2) return text;
  text += text.empty() ? "of " : ", of ";
  if (sum.answered == sum.known) return text + counted(sum.known, "metaserver");
  text += fmt::format("{} of {}", sum.answered, counted(sum.known, "metaserver"));
  if (sum.missing.empty()) return text;
  std::vector<std::string> names;
  for (const auto& name : sum.missing) names.push_back(name.text());
  return text + fmt::format(" (without {})", listed(names));
}

Result<std::size_t> daysOf(const Arguments& arguments) {
  const auto text = arguments.value("--days");
  if (!text) return std::size_t{0};
  std::size_t days = 0;
  const auto [end, code] = std::from_chars(text->data(), text->data() + text->size(), days);
  const bool isWhole = code == std::errc{} && end == text->data() + text->size();
  if (isWhole && days >= 1 && days <= limits::kStatisticsDays) return days;
  return Error{ErrorCode::usage, fmt::format("--days: {} is no number from 1 to {}", escaped(*text),
                                             limits::kStatisticsDays)};
}

}  // namespace

void addMembers(Json& data, const StatisticsOutcome& outcome) {
  const wire::Statistics& sum = outcome.sum;
  const bool isKnown = sum.since != std::chrono::milliseconds(0);
  data["since"] = nullptr;
  if (isKnown) {
    data["since"] = fmt::format("{:%Y-%m-%dT%H:%M:%SZ}", fmt::gmtime(secondsOf(sum.since)));
  }
  data["metaservers"] = sum.known;
  data["answered"] = sum.answered;
  data["missing"] = Json::array();
  for (const auto& name : sum.missing) data["missing"].push_back(name.text());
  data["open"] = sum.open;
  data["today"] = sum.today;
  data["month"] = sum.month;
  addSums(data, sum.total);
  if (outcome.days == 0) return;
  data["days"] = Json::array();
  for (const auto& day : sum.days) {
    Json entry;
    entry["date"] = dateOf(day.date);
    addSums(entry, day.sums);
    data["days"].push_back(std::move(entry));
  }
}

std::string textOf(const StatisticsOutcome& outcome) {
  const wire::Statistics& sum = outcome.sum;
  const auto& total = sum.total;
  std::string text = table({
      {"here now", counted(sum.open, "peer")},
      {"today", counted(sum.today, "session")},
      {"this month", counted(sum.month, "session")},
      {"in all", counted(total.sessions, "session")},
      {"approaches",
       fmt::format("{}, of which {} lost", total.approaches,
                   total.lost == 1 ? std::string("1 was") : fmt::format("{} were", total.lost))},
      {"rating", ratingText(total)},
      {"counted", countedText(sum)},
  });
  if (outcome.days == 0) return text;
  std::vector<std::vector<std::string>> rows = {
      {"date", "sessions", "approaches", "lost", "rating"}};
  for (const auto& [date, sums] : sum.days) {
    rows.push_back({dateOf(date), std::to_string(sums.sessions), std::to_string(sums.approaches),
                    std::to_string(sums.lost), ratingText(sums)});
  }
  return text + table(rows, {Align::left, Align::right, Align::right, Align::right, Align::left});
}

Command statsCommand(StatisticsOf statisticsOf) {
  Command command{
      .name = "stats",
      .usage = "stats [--days N]",
      .summary = "show what the metaservers have counted: sessions, approaches, ratings",
      .details =
          "An approach is a peer that asked to be let in; it is lost if nobody could take it.\n"
          "With --days also each of the last N days, up to 366.",
      .flags = {{"--days", "N", Kind::text}}};
  command.handler = [statisticsOf = std::move(statisticsOf)](const Arguments& arguments,
                                                             Context& context) {
    const auto days = daysOf(arguments);
    if (!days) return Outcome::failed("stats", days.error());
    auto sum = statisticsOf(*days, context.stop);
    if (!sum) return Outcome::failed("stats", sum.error());
    return Outcome::done("stats", StatisticsOutcome{*std::move(sum), *days});
  };
  return command;
}

}  // namespace espalier::command
