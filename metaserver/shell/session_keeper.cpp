#include "metaserver/shell/session_keeper.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <unordered_set>

#include "common/base/limits.h"

namespace espalier::metaserver::shell {

using sessions::Batch;
using sessions::Sessions;
using std::chrono::milliseconds;

namespace {

// To wake a thread costs as much as a part of a join: it is done once for many.
constexpr auto kGather = std::chrono::milliseconds(20);

}  // namespace

SessionKeeper::SessionKeeper(std::string path, Host host)
    : host_(std::move(host)), database_(std::move(path)) {}

SessionKeeper::~SessionKeeper() {
  sessions_.with([&](auto& kept) {
    if (kept) kept->touch(wall(), Clock::now());
  });
}

Result<void> SessionKeeper::open() {
  auto stored = database_.load();
  if (!stored) return stored.error();
  sessions_.with([&](auto& kept) {
    kept = std::make_unique<Sessions>(*std::move(stored), wall(), Clock::now());
    deadline_ = kept->deadline();
  });
  return {};
}

Result<void> SessionKeeper::start() {
  return database_.start(
      [this](bool all) { return sessions_.with([&](auto& kept) { return kept->takeBatch(all); }); },
      [this] { return host_.name().text(); });
}

// The offset of the local time changes at whole minutes.
sessions::Wall SessionKeeper::wall() {
  const auto since1970 =
      std::chrono::duration_cast<milliseconds>(std::chrono::system_clock::now().time_since_epoch());
  const std::int64_t minute = std::chrono::floor<std::chrono::minutes>(since1970).count();
  if (minute != offsetOf_) {
    offsetOf_ = minute;
    const auto time = static_cast<std::time_t>(minute * 60);
    std::tm local{};
    if (::localtime_r(&time, &local) != nullptr) offset_ = std::chrono::seconds(local.tm_gmtoff);
  }
  return {since1970, offset_};
}

// --- sessions

void SessionKeeper::begin(wire::Join& join) {
  const TimePoint now = Clock::now();
  const sessions::Wall at = wall();
  join.since = sessions_.with([&](auto& kept) { return kept->beginningOf(join, at, now); });
}

void SessionKeeper::take(const std::vector<session::Event>& events) {
  const TimePoint now = Clock::now();
  const sessions::Wall at = wall();
  sessions_.with([&](auto& kept) {
    for (const auto& event : events) kept->take(event, at, now);
    deadline_ = kept->deadline();
  });
  wakeAt_ = std::min<TimePoint>(wakeAt_, now + kGather);
}

void SessionKeeper::look() {
  std::vector<sessions::Run> runs;
  for (const auto& other : host_.others()) runs.push_back({other.number, other.started});
  sessions_.with([&](auto& kept) { kept->setOthers(std::move(runs)); });
}

void SessionKeeper::tick(TimePoint now) {
  if (now >= deadline_) {
    // The host has a mutex of its own, which is not taken behind this one.
    const auto due = sessions_.with([&](auto& kept) { return kept->due(now); });
    std::unordered_set<JoinOrder> members;
    for (const auto& [order, since] : due) {
      if (host_.hasMember(order, since)) members.insert(order);
    }
    const sessions::Wall at = wall();
    const bool wakes = sessions_.with([&](auto& kept) {
      kept->tick([&](JoinOrder order, milliseconds) { return members.contains(order); }, at, now);
      deadline_ = kept->deadline();
      return kept->hasBatch();
    });
    if (wakes) database_.wake();
  }
  if (now >= wakeAt_) {
    wakeAt_ = kNever;
    database_.wake();
  }
  rounds_.tick(now);
  finish();
}

TimePoint SessionKeeper::deadline() const {
  return std::min({deadline_, wakeAt_, rounds_.deadline()});
}

// --- statistics

wire::Statistics SessionKeeper::own(std::size_t days) {
  return sessions_.with([&](auto& kept) { return kept->statistics(days); });
}

void SessionKeeper::ask(std::size_t days, Answer answer) {
  days = std::min(days, limits::kStatisticsDays);
  askers_[++lastAsker_] = std::move(answer);
  if (rounds_.join(lastAsker_, days)) return;
  std::vector<sessions::StatisticsRounds::Server> others;
  for (auto& other : host_.others()) others.push_back({other.number, std::move(other.name)});
  const auto number =
      rounds_.begin(lastAsker_, days, own(days), others, host_.dead(), Clock::now());
  if (number) {
    const wire::StatisticsRequest request{static_cast<std::uint32_t>(days), *number};
    for (const auto& other : others) host_.tell(other.number, request);
  }
  finish();
}

void SessionKeeper::asked(ServerNumber from, const wire::StatisticsRequest& request) {
  auto answer = own(request.days);
  answer.number = request.number;
  host_.tell(from, answer);
}

void SessionKeeper::answered(ServerNumber from, const wire::Statistics& statistics) {
  rounds_.answered(from, statistics);
  finish();
}

void SessionKeeper::finish() {
  for (const auto& done : rounds_.takeDone()) {
    const auto asker = askers_.extract(done.asker);
    if (!asker.empty()) asker.mapped()(done.sum);
  }
}

}  // namespace espalier::metaserver::shell
