// The sessions of one metaserver, and what is counted of them: cases, and random runs against a
// plain model.
#include "metaserver/core/sessions/sessions.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "common/base/limits.h"

using namespace espalier;
using namespace espalier::metaserver;
using namespace espalier::metaserver::sessions;
using namespace std::chrono_literals;

namespace {

PeerId peerOf(int number) {
  return *PeerId::parse(fmt::format("s{}", number));
}

constexpr milliseconds dateTime(int year, unsigned month, unsigned day, std::chrono::seconds time) {
  const std::chrono::sys_days date = std::chrono::year_month_day{
      std::chrono::year{year}, std::chrono::month{month}, std::chrono::day{day}};
  return date.time_since_epoch() + time;
}

constexpr Day dayOf(milliseconds time) {
  return Day{static_cast<std::int32_t>(std::chrono::floor<std::chrono::days>(time).count())};
}

constexpr milliseconds kNoon = dateTime(2026, 11, 30, 12h);

// A metaserver whose disk is this object: what is taken is written at once.
struct World {
  Sessions& start(bool keepsDisk = true) {
    if (!keepsDisk) disk = {};
    sessions.emplace(disk, wall(), now);
    write();
    return *sessions;
  }
  Wall wall() const { return {clock, offset}; }
  void pass(Duration time) {
    now += time;
    clock += std::chrono::duration_cast<milliseconds>(time);
  }
  // Time passes while the metaserver runs.
  void run(Duration time) {
    const TimePoint end = now + time;
    while (now < end) {
      pass(std::min<Duration>(end - now, std::max<Duration>(sessions->deadline() - now, 1ms)));
      tick();
    }
  }
  void tick() {
    sessions->tick([&](JoinOrder order, milliseconds) { return members.contains(order); }, wall(),
                   now);
    write();
  }
  void say(const session::Event& event) {
    sessions->take(event, wall(), now);
    write();
  }
  // A peer joins; it gets the order `number`.
  void join(int number, std::optional<milliseconds> goesOn = {}) {
    wire::Join asked;
    asked.id = peerOf(number);
    if (goesOn) asked.order = orderOf(number);
    const auto begins = sessions->beginningOf(asked, wall(), now);
    if (!goesOn) say(session::Approached());
    const auto since = goesOn && *goesOn != 0ms ? *goesOn : begins;
    say(session::Here{peerOf(number), orderOf(number), ConnectionId{++connections}, since,
                      since == begins, !goesOn});
    began[number] = since;
    held[number] = ConnectionId{connections};
  }
  void cut(int number, Duration ago = 0s) {
    say(session::Gone{orderOf(number), held[number], ago});
  }
  static JoinOrder orderOf(int number) { return JoinOrder{static_cast<std::uint64_t>(number)}; }

  void write() {
    while (const auto batch = sessions->takeBatch(false)) {
      writeBatch(*batch);
      if (!batch->more) return;
    }
  }
  void writeBatch(const Batch& batch) {
    if (batch.isWhole) disk.open.clear();
    const auto remove = [&](JoinOrder order) {
      std::erase_if(disk.open, [&](const OpenRow& row) { return row.order == order; });
    };
    for (const JoinOrder order : batch.ended) remove(order);
    for (const auto& row : batch.open) {
      remove(row.order);
      disk.open.push_back(row);
    }
    rows.insert(rows.end(), batch.rows.begin(), batch.rows.end());
    for (const auto& row : batch.days) {
      if (days.contains(row.day)) {
        const auto& old = days[row.day];
        CHECK(row.tally.sessions >= old.tally.sessions);
        CHECK(row.total.approaches >= old.total.approaches);
        CHECK(row.monthSessions >= old.monthSessions);
      }
      days[row.day] = row;
      disk.counters.days[row.day] = row.tally;
    }
    disk.counters.total = days.rbegin()->second.total;
    CHECK(batch.seen >= disk.seen);
    CHECK(batch.date >= disk.date);
    disk.since = batch.since;
    disk.seen = batch.seen;
    disk.date = batch.date;
    disk.others = batch.others;
  }
  std::vector<std::string> texts() const {
    std::vector<std::string> all;
    for (const auto& row : rows) {
      all.push_back(
          fmt::format("{} {}-{}", row.id.text(), (row.in - kNoon) / 1s, (row.out - kNoon) / 1s));
    }
    return all;
  }
  using Texts = std::vector<std::string>;

  TimePoint now{1h};
  milliseconds clock = kNoon;
  std::chrono::seconds offset{0};
  std::optional<Sessions> sessions;
  Stored disk;
  std::vector<EndedRow> rows;
  std::map<Day, DayRow> days;
  std::set<JoinOrder> members;  // elsewhere
  std::map<int, milliseconds> began;
  std::map<int, ConnectionId> held;
  std::uint64_t connections = 0;
};

}  // namespace

TEST_CASE("a session ends when its peer leaves") {
  World given;
  given.start();
  given.join(1);
  given.run(90s);
  given.say(session::Left{JoinOrder{1}});
  CHECK(given.texts() == World::Texts{"s1 0-90"});
  CHECK(given.sessions->openCount() == 0);
  CHECK(given.disk.open.empty());
}

TEST_CASE("a session whose peer stays away ends when it was heard last") {
  World given;
  given.start();
  given.join(1);
  given.run(30s);
  given.cut(1, 6s);
  given.run(3s);
  CHECK(given.rows.empty());
  given.run(2s);  // 11 s after it was heard
  CHECK(given.texts() == World::Texts{"s1 0-24"});
}

TEST_CASE("a session goes on if its peer is back in time, and with a later connection") {
  World given;
  given.start();
  given.join(1);
  const auto since = given.began[1];
  given.run(30s);
  given.cut(1);
  given.run(9s);
  given.join(1, since);
  const auto old = given.held[1];
  given.join(1, since);  // again, before its old connection was known to be dead
  given.say(session::Gone{JoinOrder{1}, old, 0s});
  given.run(60s);
  CHECK(given.rows.empty());
  CHECK(given.sessions->statistics(1).open == 1);
  CHECK(given.sessions->statistics(1).today == 1);
  given.say(session::Left{JoinOrder{1}});
  CHECK(given.texts() == World::Texts{"s1 0-99"});
}

TEST_CASE("a peer that returns later begins another session") {
  World given;
  given.start();
  given.join(1);
  given.run(30s);
  given.cut(1);
  given.run(30s);
  given.join(1, 0ms);  // it has its order still
  given.run(10s);
  given.say(session::Left{JoinOrder{1}});
  CHECK(given.texts() == World::Texts{"s1 0-30", "s1 60-70"});
  const auto counted = given.sessions->statistics(0);
  CHECK(counted.total.sessions == 2);
  CHECK(counted.total.approaches == 2);
}

TEST_CASE("a session that goes on at another home has no row here") {
  World given;
  given.start();
  for (const int number : {1, 2}) {
    given.join(number);
    given.cut(number);
  }
  given.say(session::Elsewhere{JoinOrder{1}});  // told at once
  given.members.insert(JoinOrder{2});           // or seen at its end
  given.run(60s);
  CHECK(given.rows.empty());
  CHECK(given.sessions->openCount() == 0);
}

TEST_CASE("a session that comes from another home keeps its beginning, and is counted there") {
  World given;
  given.start();
  given.join(1, kNoon - 500s);
  given.run(10s);
  given.say(session::Left{JoinOrder{1}});
  CHECK(given.texts() == World::Texts{"s1 -500-10"});
  CHECK(given.sessions->statistics(0).total == wire::StatisticsSums{});
}

TEST_CASE("the master writes the row of a session whose home is dead") {
  World given;
  given.start();
  given.run(60s);
  given.say(session::Ended{peerOf(4), JoinOrder{4}, kNoon + 5s, 12s});
  CHECK(given.texts() == World::Texts{"s4 5-48"});
}

TEST_CASE("what was open at a kill ends at the last moment that was written") {
  World given;
  given.start();
  given.join(1);
  given.run(31s);
  given.sessions.reset();  // killed
  given.pass(1h);
  given.start();
  given.tick();
  REQUIRE(given.rows.size() == 1);
  CHECK(given.rows[0].in == kNoon);
  CHECK(given.rows[0].out > kNoon + 27s);
  CHECK(given.rows[0].out <= kNoon + 31s);
}

TEST_CASE("after a quick restart a peer that is back goes on with its session") {
  World given;
  given.start();
  given.join(1);
  given.join(2);
  given.run(31s);
  given.sessions.reset();
  given.pass(2s);
  given.start();
  wire::Join back;
  back.id = peerOf(1);
  back.order = JoinOrder{1};
  given.join(1, given.sessions->beginningOf(back, given.wall(), given.now));
  given.run(20s);
  REQUIRE(given.rows.size() == 1);  // of the one that did not come
  CHECK(given.rows[0].id == peerOf(2));
  CHECK(given.sessions->statistics(0).total.sessions == 2);
  given.say(session::Left{JoinOrder{1}});
  CHECK(given.rows.back().in == kNoon);
}

TEST_CASE("after a restart nothing is written that a metaserver has taken over which still runs") {
  for (const bool stillRuns : {true, false}) {
    World given;
    given.start();
    const Run other{ServerNumber{7}, 5s};
    given.sessions->setOthers({other});
    given.join(1);
    given.join(2);
    given.run(4s);
    given.cut(2);
    given.run(3s);
    given.sessions.reset();
    given.pass(1h);
    given.start();
    given.sessions->setOthers({stillRuns ? other : Run{ServerNumber{7}, 9s}});
    given.tick();
    CHECK(given.rows.empty());  // it may have to link first
    given.run(11s);
    // Who was away already is nobody else's.
    REQUIRE(given.rows.size() == (stillRuns ? 1 : 2));
    CHECK(std::any_of(given.rows.begin(), given.rows.end(),
                      [](const auto& row) { return row.id == peerOf(2); }));
  }
}

TEST_CASE("approaches, losses and ratings are counted, also over a restart") {
  World given;
  given.start();
  for (int i = 0; i < 3; ++i) given.say(session::Approached());
  given.say(session::LostApproach());
  given.say(session::Rating{peerOf(1), 5, "good"});
  given.say(session::Rating{peerOf(2), 2, ""});
  given.sessions.reset();
  given.start();
  const auto counted = given.sessions->statistics(1);
  CHECK(counted.total == wire::StatisticsSums{0, 3, 1, 2, 7});
  REQUIRE(counted.days.size() == 1);
  CHECK(counted.days[0].sums == counted.total);
  CHECK(counted.since == kNoon);
}

TEST_CASE("a day and a month that go on begin at zero, and the total does not") {
  World given;
  given.clock = dateTime(2026, 11, 30, 23h + 59min + 50s);
  given.start();
  given.join(1);
  given.run(20s);  // December
  CHECK(given.sessions->statistics(0).today == 0);
  CHECK(given.sessions->statistics(0).month == 0);
  given.join(2);
  given.run(24h);
  given.join(3);
  const auto counted = given.sessions->statistics(2);
  CHECK(counted.today == 1);
  CHECK(counted.month == 2);
  CHECK(counted.total.sessions == 3);
  CHECK(counted.days.size() == 2);
  CHECK(given.days.size() == 3);  // a row for each
  CHECK(given.days[dayOf(kNoon)].total.sessions == 1);
}

TEST_CASE("a clock that is set back takes neither times nor dates along") {
  World given;
  given.start();
  given.join(1);
  given.run(10s);
  given.clock -= 48h;
  given.run(1s);
  given.say(session::Left{JoinOrder{1}});
  given.join(2);
  given.run(100s);
  given.say(session::Left{JoinOrder{2}});
  REQUIRE(given.rows.size() == 2);
  CHECK(given.rows[0].out >= kNoon + 10s);
  CHECK(given.rows[1].in >= given.rows[0].out);
  CHECK(given.rows[1].out - given.rows[1].in == 50s);  // at half the speed
  CHECK(given.days.size() == 1);
  given.run(97h);                                       // the clock has caught up
  CHECK(given.sessions->statistics(0).month == 2 - 2);  // it is December
  given.join(3);
  CHECK(given.began[3] == given.clock);
}

TEST_CASE("the end of daylight saving time at midnight does not take the date back") {
  World given;
  given.offset = -4h;
  given.clock = dateTime(2026, 11, 1, 4h + 10min);  // 0:10, local
  given.start();
  given.join(1);
  given.offset = -5h;  // 23:10 again
  given.run(1min);
  CHECK(given.days.size() == 1);
  CHECK(given.sessions->statistics(0).today == 1);
}

TEST_CASE("when the disk is lost all that is in memory is written again") {
  World given;
  given.start();
  given.join(1);
  given.run(30h);
  given.join(2);
  const auto days = given.days;
  given.disk = {};
  given.days.clear();
  given.writeBatch(*given.sessions->takeBatch(true));
  CHECK(given.days == days);
  CHECK(given.disk.open.size() == 2);
}

TEST_CASE("what was counted before the first day that is known is written again, too") {
  World given;
  given.start();
  std::uint64_t joined = 0;
  const auto countDays = [&](std::size_t days) {
    for (std::size_t i = 0; i < days; ++i) {
      given.run(24h);
      given.say(session::Approached());
      ++joined;
    }
  };
  SUBCASE("all days were written") {
    countDays(limits::kStatisticsDays + 5);
  }
  SUBCASE("the disk has failed for a year") {
    countDays(5);
    for (std::size_t i = 0; i < limits::kStatisticsDays; ++i, ++joined) {
      given.pass(24h);
      given.sessions->take(session::Approached(), given.wall(), given.now);
    }
  }
  const auto batch = given.sessions->takeBatch(true);
  REQUIRE(batch);
  CHECK(batch->hasAllDays);
  CHECK(batch->days.size() == limits::kStatisticsDays);
  Tally sum = batch->earlier;
  for (const auto& row : batch->days) sum += row.tally;
  CHECK(sum.approaches == joined);
  CHECK(sum == batch->days.back().total);
}

TEST_CASE("what cannot be written is bounded, and the oldest rows make room") {
  World given;
  given.start();
  for (std::size_t i = 0; i < limits::kSessionRowsWaiting + 5; ++i) {
    given.sessions->take(session::Ended{peerOf(1), JoinOrder{1}, milliseconds(i), 0s}, given.wall(),
                         given.now);
  }
  std::size_t rows = 0;
  std::uint64_t dropped = 0;
  for (bool more = true; more;) {
    const auto batch = given.sessions->takeBatch(false);
    REQUIRE(batch);
    CHECK(batch->rows.size() <= limits::kSessionBatchRows);
    rows += batch->rows.size();
    dropped += batch->dropped;
    more = batch->more;
  }
  CHECK(rows == limits::kSessionRowsWaiting);
  CHECK(dropped == 5);
}

// --- random runs

namespace {

// The same, told plainly: what each peer does, by the clock of somebody who sees everything.
struct Model {
  struct Open {
    bool isHere = true;
    TimePoint heard;
    milliseconds since{};
  };
  std::map<int, Open> open;
  std::multiset<std::string> ended;  // who, and since when
  std::uint64_t sessions = 0;
  std::uint64_t approaches = 0;
  std::uint64_t lost = 0;

  void end(int number) {
    ended.insert(fmt::format("{} {}", number, open.at(number).since.count()));
    open.erase(number);
  }
  void expire(TimePoint now) {
    for (auto one = open.begin(); one != open.end();) {
      const int number = one->first;
      const bool isOver = !one->second.isHere && now - one->second.heard >= limits::kSessionAway;
      ++one;
      if (isOver) end(number);
    }
  }
};

void runRandomly(std::uint64_t seed) {
  CAPTURE(seed);
  std::mt19937_64 random(seed);
  const auto below = [&](std::uint64_t most) { return random() % most; };
  World given;
  Model model;
  given.clock = dateTime(2026, 1 + static_cast<unsigned>(below(12)), 28, 20h);
  given.start();
  int last = 0;
  for (int step = 0; step < 400; ++step) {
    given.run(milliseconds(1 + below(4000)));
    model.expire(given.now);
    const auto pick = [&]() -> std::optional<int> {
      if (model.open.empty()) return std::nullopt;
      return std::next(model.open.begin(), static_cast<std::ptrdiff_t>(below(model.open.size())))
          ->first;
    };
    switch (below(10)) {
      case 0:
      case 1:
      case 2:
        given.join(++last);
        model.open[last] = {true, given.now, given.began[last]};
        ++model.sessions;
        ++model.approaches;
        break;
      case 3:
        if (const auto one = pick()) {
          given.say(session::Left{World::orderOf(*one)});
          model.end(*one);
        }
        break;
      case 4:
        if (const auto one = pick(); one && model.open[*one].isHere) {
          given.cut(*one);
          model.open[*one] = {false, given.now, model.open[*one].since};
        }
        break;
      case 5:  // back in time
        if (const auto one = pick(); one && !model.open[*one].isHere) {
          given.join(*one, model.open[*one].since);
          model.open[*one].isHere = true;
        }
        break;
      case 6:
        if (const auto one = pick(); one && !model.open[*one].isHere) {
          given.say(session::Elsewhere{World::orderOf(*one)});
          model.open.erase(*one);
        }
        break;
      case 7:
        given.say(session::Approached());
        ++model.approaches;
        if (below(2) == 0) {
          given.say(session::LostApproach());
          ++model.lost;
        }
        break;
      case 8: {  // the clock is set, back or forward; days pass
        const auto minutes = std::chrono::minutes(below(3000));
        given.clock += below(2) == 0 ? minutes : -minutes;
        break;
      }
      default:  // killed, and started after long
        if (below(4) != 0) break;
        given.sessions.reset();
        given.pass(std::chrono::minutes(1 + below(600)));
        given.clock = std::max(given.clock, given.disk.seen + 11s);
        given.start();
        given.tick();
        while (!model.open.empty()) model.end(model.open.begin()->first);
    }
    REQUIRE(given.sessions->openCount() == model.open.size());
    const auto total = given.sessions->statistics(0).total;
    REQUIRE(total == wire::StatisticsSums{model.sessions, model.approaches, model.lost, 0, 0});
  }
  std::multiset<std::string> ended;
  Day date{};
  for (const auto& row : given.rows) {
    ended.insert(fmt::format("{} {}", row.id.text().substr(1), row.in.count()));
    CHECK(row.out >= row.in);
    CHECK(row.date >= date);
    date = row.date;
  }
  CHECK(ended == model.ended);
  // A day has one row; totals rise from day to day, and are the sums of the days.
  Tally sum;
  std::map<int, std::uint64_t> months;
  for (const auto& [day, row] : given.days) {
    sum += row.tally;
    CHECK(row.total == sum);
    CHECK(row.monthSessions == (months[monthOf(day)] += row.tally.sessions));
  }
}

}  // namespace

TEST_CASE(
    "in random runs with kills, clocks that are set and ends of months each session has one "
    "row, and no number falls") {
  for (std::uint64_t seed = 1; seed <= 200; ++seed) runRandomly(seed);
}
