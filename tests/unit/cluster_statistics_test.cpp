// The sessions of peers at several metaservers: who counts them, and who writes their rows, while
// metaservers die and peers move.
#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "metaserver/core/sessions/sessions.h"
#include "tests/unit/cluster_fixture.h"

using namespace espalier;
using namespace espalier::metaserver;
using namespace espalier::test;
using sessions::Sessions;
using std::chrono::milliseconds;

namespace {

// Each metaserver counts for itself. What is written is on its disk at once.
struct World : Cluster {
  using Cluster::Cluster;
  struct Keeper {
    std::unique_ptr<Sessions> sessions;
    sessions::Stored disk;
    unsigned run = 0;
  };

  sessions::Wall wall() const {
    return {std::chrono::duration_cast<milliseconds>(now().time_since_epoch()), {}};
  }
  Keeper& keeperOf(std::size_t i) {
    Keeper& keeper = keepers[i];
    if (!keeper.sessions || keeper.run != network.run(i)) {
      keeper.run = network.run(i);
      keeper.sessions = std::make_unique<Sessions>(keeper.disk, wall(), now());
    }
    return keeper;
  }
  void begin(std::size_t i, wire::Join& join) override {
    join.since = keeperOf(i).sessions->beginningOf(join, wall(), now());
  }
  void sessionEvent(std::size_t i, const session::Event& event) override {
    keeperOf(i).sessions->take(event, wall(), now());
    write(i);
  }
  void write(std::size_t i) {
    Keeper& keeper = keeperOf(i);
    while (const auto batch = keeper.sessions->takeBatch(false)) {
      for (const auto& row : batch->rows) {
        rows.push_back(
            fmt::format("{} at m{}: {}-{}", row.id.text(), 5000 + i, row.in / 1s, row.out / 1s));
      }
      for (const auto& row : batch->open) {
        std::erase_if(keeper.disk.open, [&](const auto& old) { return old.order == row.order; });
        keeper.disk.open.push_back(row);
      }
      for (const JoinOrder order : batch->ended) {
        std::erase_if(keeper.disk.open, [&](const auto& old) { return old.order == order; });
      }
      for (const auto& row : batch->days) {
        keeper.disk.counters.days[row.day] = row.tally;
        keeper.disk.counters.total = row.total;
      }
      keeper.disk.seen = batch->seen;
      keeper.disk.since = batch->since;
      keeper.disk.others = batch->others;
    }
  }
  // Time passes, and the keepers look at their directories.
  void pass(Duration time) {
    for (const TimePoint end = now() + time; now() < end;) {
      run(100ms);
      for (std::size_t i = 0; i < network.size(); ++i) {
        if (!network.runs(i)) continue;
        std::vector<sessions::Run> others;
        for (const auto& row : network.core(i).servers()) {
          if (!row.isSelf) others.push_back({row.state.number, row.state.started});
        }
        Keeper& keeper = keeperOf(i);
        keeper.sessions->setOthers(std::move(others));
        keeper.sessions->tick(
            [&](JoinOrder order, milliseconds since) {
              return network.core(i).hasMember(order, since);
            },
            wall(), now());
        write(i);
      }
    }
  }
  wire::StatisticsSums sum() {
    sessions::Tally all;
    for (std::size_t i = 0; i < network.size(); ++i) all += keepers[i].disk.counters.total;
    return {all.sessions, all.approaches, all.lost, all.ratings, all.ratingSum};
  }
  std::size_t openCount() {
    std::size_t all = 0;
    for (std::size_t i = 0; i < network.size(); ++i) {
      if (network.runs(i)) all += keeperOf(i).sessions->statistics(0).open;
    }
    return all;
  }
  void begin() {
    startAll();
    pass(2s);
    began = now();
  }
  std::size_t rowsOf(int number) const {
    std::size_t all = 0;
    for (const auto& row : rows) all += row.starts_with(fmt::format("s{} ", number)) ? 1 : 0;
    return all;
  }

  std::map<std::size_t, Keeper> keepers;
  std::vector<std::string> rows;
  TimePoint began;
};

}  // namespace

TEST_CASE("each home counts its own peers, and writes the rows of those that leave") {
  World world(3);
  world.begin();
  for (int number = 1; number <= 6; ++number) {
    world.join(number, static_cast<std::size_t>(number) % 3);
    world.pass(1s);
  }
  CHECK(world.sum() == wire::StatisticsSums{6, 6, 0, 0, 0});
  CHECK(world.openCount() == 6);
  world.quit(1);
  world.pass(1s);
  REQUIRE(world.rows.size() == 1);
  CHECK(world.rows[0].starts_with("s1 at m5001"));
  world.crash(2);
  world.pass(8s);
  CHECK(world.rows.size() == 1);
  world.pass(4s);
  REQUIRE(world.rows.size() == 2);
  CHECK(world.rows[1].starts_with("s2 at m5002"));
  CHECK(world.openCount() == 4);
}

TEST_CASE("a session that moves with its peer does not end, and keeps its beginning") {
  World world(3);
  world.begin();
  world.join(1, 1);
  world.pass(5s);
  const auto before = world.keeperOf(1).disk.open.at(0).since;
  world.join(1, 2);  // its old connection is closed by the master
  world.pass(1s);
  world.join(1, 0);
  world.pass(500ms);
  world.quit(1);  // before the homes of before have given it up
  world.pass(20s);
  REQUIRE(world.rows.size() == 1);
  CHECK(world.rows[0] == fmt::format("s1 at m5000: {}-{}", before / 1s, (before + 6500ms) / 1s));
  CHECK(world.sum() == wire::StatisticsSums{1, 1, 0, 0, 0});
  CHECK(world.openCount() == 0);
}

TEST_CASE("a session goes on when its home dies, and the master ends those that do not come back") {
  for (const std::size_t dies : {std::size_t{1}, std::size_t{0}}) {  // a follower, the master
    CAPTURE(dies);
    World world(3);
    world.begin();
    world.join(1, dies);
    world.join(2, dies);
    world.pass(5s);
    world.peers[2].isGone = true;  // both die together
    world.kill(dies);
    world.pass(20s);
    CHECK(world.rowsOf(1) == 0);
    CHECK(world.rowsOf(2) == 1);
    CHECK(world.openCount() == 1);
    world.network.start(dies);  // it has both sessions on its disk
    world.pass(20s);
    CHECK(world.rowsOf(1) == 0);
    CHECK(world.rowsOf(2) == 1);
    world.quit(1);
    world.pass(1s);
    CHECK(world.rowsOf(1) == 1);
    CHECK(world.sum() == wire::StatisticsSums{2, 2, 0, 0, 0});
  }
}

TEST_CASE("when all are killed a session has one row, whoever comes back") {
  World world(2);
  world.begin();
  world.join(1, 0);
  world.join(2, 1);
  world.pass(30s);
  for (const int number : {1, 2}) world.peers[number].isGone = true;
  world.kill(0);
  world.kill(1);
  world.run(60s);
  world.network.start(0);
  world.network.start(1);
  world.pass(30s);
  CHECK(world.rowsOf(1) == 1);
  CHECK(world.rowsOf(2) == 1);
  CHECK(world.openCount() == 0);
}

TEST_CASE("a session is rated once, wherever it goes on") {
  World world(2);
  world.begin();
  world.join(1, 0);
  world.pass(2s);
  world.send(1, wire::Rate{4, "good", 1});
  world.pass(1s);
  world.join(1, 1);
  world.pass(2s);
  world.send(1, wire::Rate{1, "bad", 2});
  world.pass(1s);
  CHECK(world.sum() == wire::StatisticsSums{1, 1, 0, 1, 4});
  const auto& last = std::get<wire::Rated>(world.peers[1].heard.back());
  CHECK(last.number == 2);
  CHECK_FALSE(last.isTaken);
}

TEST_CASE("of two ratings at once the first one is counted, with a master and without one") {
  for (const bool hasMaster : {true, false}) {
    CAPTURE(hasMaster);
    World world(2);
    world.begin();
    world.join(1, 1);
    world.pass(2s);
    if (!hasMaster) world.kill(0);
    world.send(1, wire::Rate{4, "good", 1});
    world.send(1, wire::Rate{1, "bad", 2});
    world.pass(20s);
    CHECK(world.sum().ratings == 1);
    CHECK(world.sum().ratingSum == 4);
    std::map<std::uint64_t, bool> rated;
    for (const auto& reply : world.peers[1].heard) {
      const auto* one = std::get_if<wire::Rated>(&reply);
      if (one != nullptr) CHECK(rated.emplace(one->number, one->isTaken).second);
    }
    CHECK(rated == std::map<std::uint64_t, bool>{{1, true}, {2, false}});
  }
}

TEST_CASE("each session has one row, while metaservers die one after the other and peers move") {
  for (std::uint64_t seed = 1; seed <= 6; ++seed) {
    CAPTURE(seed);
    World world(3, true, {}, seed);
    Random random(seed);
    const auto below = [&](std::uint64_t most) { return random() % most; };
    world.begin();
    int last = 0;
    constexpr std::size_t kNobody = SIZE_MAX;
    std::size_t dead = kNobody;
    for (int step = 0; step < 60; ++step) {
      const auto someHome = [&] {
        for (;;) {
          const auto i = static_cast<std::size_t>(below(3));
          if (world.network.runs(i)) return i;
        }
      };
      const auto somePeer = [&]() -> std::optional<int> {
        std::vector<int> all;
        for (const auto& [number, one] : world.peers) {
          if (!one.isGone && one.isJoined) all.push_back(number);
        }
        if (all.empty()) return std::nullopt;
        return all[static_cast<std::size_t>(below(all.size()))];
      };
      switch (below(6)) {
        case 0:
        case 1:
          world.join(++last, someHome());
          break;
        case 2:
          if (const auto one = somePeer()) world.quit(*one);
          break;
        case 3:
          if (const auto one = somePeer()) world.crash(*one);
          break;
        case 4:
          if (const auto one = somePeer()) world.join(*one, someHome());
          break;
        default:
          if (dead != kNobody) {
            world.network.start(dead);
            dead = kNobody;
          } else {
            dead = someHome();
            world.pass(12s);  // what it alone knows is written
            world.kill(dead);
          }
          world.pass(12s);
      }
      world.pass(std::chrono::milliseconds(100 + below(3000)));
    }
    if (dead != kNobody) world.network.start(dead);
    world.pass(15s);
    CHECK(world.openCount() == static_cast<std::size_t>(std::count_if(
                                   world.peers.begin(), world.peers.end(),
                                   [](const auto& one) { return !one.second.isGone; })));
    for (auto& [number, one] : world.peers) {
      if (!one.isGone) world.quit(number);
    }
    world.pass(15s);
    for (const auto& entry : world.peers) {
      const int number = entry.first;
      CAPTURE(number);
      CHECK(world.rowsOf(number) == 1);
    }
    CHECK(world.sum().sessions == static_cast<std::uint64_t>(last));
    CHECK(world.sum().approaches == static_cast<std::uint64_t>(last));
  }
}
