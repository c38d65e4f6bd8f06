#include "common/wire/statistics_codec.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <utility>

#include "common/base/limits.h"
#include "common/wire/contact_codec.h"
#include "common/wire/field_bytes.h"
#include "statistics.pb.h"

namespace espalier::wire {
namespace {

constexpr std::size_t kSumsMost = 5 * numberBytes(limits::kStatisticsCount);
constexpr std::size_t kStatisticsMost =
    numberBytes(kAnyNumber) + 4 * numberBytes(limits::kStatisticsCount) + fieldBytes(kSumsMost) +
    2 * numberBytes(limits::kStatisticsServers) +
    limits::kStatisticsServers * fieldBytes(limits::kPeerIdBytes) +
    limits::kStatisticsDays *
        fieldBytes(numberBytes(limits::kStatisticsDate) + fieldBytes(kSumsMost));
static_assert(kStatisticsMost + 64 < limits::kFrameBytes, "they fit, with a route");

void fill(const StatisticsSums& sums, proto::StatisticsSums& out) {
  out.set_sessions(sums.sessions);
  out.set_approaches(sums.approaches);
  out.set_lost(sums.lost);
  out.set_ratings(sums.ratings);
  out.set_rating_sum(sums.ratingSum);
}

bool isCount(std::uint64_t in) {
  return in <= limits::kStatisticsCount;
}

std::optional<StatisticsSums> readSums(const proto::StatisticsSums& in) {
  const StatisticsSums sums{in.sessions(), in.approaches(), in.lost(), in.ratings(),
                            in.rating_sum()};
  const bool fits = isCount(sums.sessions) && isCount(sums.approaches) && isCount(sums.lost) &&
                    isCount(sums.ratings) && isCount(sums.ratingSum);
  if (!fits) return std::nullopt;
  return sums;
}

Result<std::vector<StatisticsDay>> readDays(const proto::Statistics& in) {
  if (static_cast<std::size_t>(in.days_size()) > limits::kStatisticsDays) {
    return malformed(fmt::format("statistics of {} days", in.days_size()));
  }
  std::vector<StatisticsDay> days;
  days.reserve(static_cast<std::size_t>(in.days_size()));
  for (const auto& entry : in.days()) {
    const auto sums = readSums(entry.sums());
    if (!sums) return malformed("a count beyond all counts");
    if (entry.date() > limits::kStatisticsDate) return malformed("a date beyond all calendars");
    if (!entry.has_sums()) return malformed("a day without its counts");
    if (!days.empty() && days.back().date >= entry.date())
      return malformed("days that do not rise");
    days.push_back({entry.date(), *sums});
  }
  return days;
}

}  // namespace

void toProto(const StatisticsRequest& request, proto::StatisticsRequest& out) {
  out.set_days(request.days);
  out.set_number(request.number);
}

Result<StatisticsRequest> fromProto(const proto::StatisticsRequest& in) {
  if (in.days() > limits::kStatisticsDays) {
    return malformed(fmt::format("statistics of {} days", in.days()));
  }
  return StatisticsRequest{in.days(), in.number()};
}

void toProto(const Statistics& statistics, proto::Statistics& out) {
  out.set_number(statistics.number);
  out.set_since_ms(static_cast<std::uint64_t>(statistics.since.count()));
  out.set_open(statistics.open);
  out.set_today(statistics.today);
  out.set_month(statistics.month);
  fill(statistics.total, *out.mutable_total());
  out.set_answered(statistics.answered);
  out.set_known(statistics.known);
  for (const auto& name : statistics.missing) out.add_missing(name.text());
  for (const auto& day : statistics.days) {
    auto& added = *out.add_days();
    added.set_date(day.date);
    fill(day.sums, *added.mutable_sums());
  }
}

Result<Statistics> fromProto(const proto::Statistics& in) {
  Statistics out;
  out.number = in.number();
  const bool fits =
      isCount(in.since_ms()) && isCount(in.open()) && isCount(in.today()) && isCount(in.month());
  const auto total = readSums(in.total());
  if (!fits || !total) return malformed("a count beyond all counts");
  // Else it would encode to more bytes than it was decoded from.
  if (!in.has_total()) return malformed("statistics without their sums");
  out.since = std::chrono::milliseconds(in.since_ms());
  out.open = in.open();
  out.today = in.today();
  out.month = in.month();
  out.total = *total;
  if (in.known() > limits::kStatisticsServers || in.answered() < 1 || in.answered() > in.known()) {
    return malformed(fmt::format("{} of {} metaservers", in.answered(), in.known()));
  }
  out.answered = in.answered();
  out.known = in.known();
  if (static_cast<std::uint32_t>(in.missing_size()) > out.known - out.answered) {
    return malformed("more metaservers are missing than there are");
  }
  for (const auto& text : in.missing()) {
    auto name = ServerName::parse(text);
    if (!name) return malformed(name.error().message);
    out.missing.push_back(*std::move(name));
  }
  auto days = readDays(in);
  if (!days) return days.error();
  out.days = *std::move(days);
  return out;
}

}  // namespace espalier::wire
