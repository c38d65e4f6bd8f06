// Peers that join, link, seek, leave and come back while masters and homes die at any message.
#include <doctest/doctest.h>

#include <set>

#include "common/base/random.h"
#include "tests/unit/cluster_sessions_fixture.h"

using namespace espalier;
using namespace espalier::metaserver;
using namespace espalier::metaserver::cluster;
using namespace std::chrono_literals;

namespace {

std::string text(const std::vector<PeerId>& ids) {
  std::string all;
  for (const auto& id : ids) all += " " + id.text();
  return all;
}

class RandomWorld {
 public:
  explicit RandomWorld(std::uint64_t seed) : random_(seed) { world_.delivers = false; }

  void run(int steps) {
    for (int step = 0; step < steps; ++step) {
      CAPTURE(step);
      act();
      for (auto moves = below(6); moves > 0; --moves) deliverOne();
    }
  }
  // Everything arrives; then the registry has exactly the members that think so, as they think.
  void calm() {
    revive();
    world_.delivers = true;
    world_.deliver();
    report();
    world_.pass(limits::kAwayWait + 5s);
    std::size_t members = 0;
    for (const auto& entry : world_.peers) {
      const int number = entry.first;
      const auto& one = entry.second;
      CAPTURE(number);
      if (!one.admitted || one.connection == kNoConnection) continue;
      const auto* row = world_.replica.copy().find(peer(number));
      REQUIRE(row);
      CHECK(row->contact == one.admitted->self);
      CHECK(row->home == world_.homes[one.home].number);
      CHECK(text(row->neighbours) == text(one.links.neighbours));
      ++members;
    }
    CHECK(world_.replica.copy().rows().size() == members);
  }

  unsigned masters = 0;  // that died
  unsigned midway = 0;   // of them, with messages under way
  unsigned quiet = 0;    // others, after which everything was compared

 private:
  std::uint64_t below(std::uint64_t n) { return random_() % n; }

  void act() {
    const int number = static_cast<int>(1 + below(20));
    auto& one = world_.peers[number];
    const bool isJoined = one.isJoined;
    const bool isThere = one.connection != kNoConnection;
    switch (below(isThere ? 16 : 4)) {
      case 0:
        if (!isThere) one = {};
        [[fallthrough]];
      case 1:
      case 2:
      case 3:
        return isThere ? world_.pass(500ms) : come(number);
      case 4:
      case 5:
      case 6:
      case 7:
        return isJoined ? world_.link(number) : void();
      case 8:
        return isJoined ? world_.send(number, one.links) : void();
      case 9:
        return isJoined ? world_.send(number, wire::Seek{}) : void();
      case 10:
        if (!isJoined) return;
        return world_.send(number, wire::PortTaken{one.admitted->self.endpoint.port});
      case 11:
        return leave(number);
      case 12:
        return world_.disconnect(number);
      case 13:
        return below(3) == 0 ? killHome() : void();
      case 14:
        return killMaster();
      default:
        return revive();
    }
  }
  void come(int number) {
    auto& one = world_.peers[number];
    const std::size_t home = below(2);
    if (!world_.homes[home].sessions) return;
    const auto join = one.admitted ? world_.returnOf(number) : world_.joinOf(number);
    world_.connect(number, home);
    world_.send(number, join);
  }
  // Who was admitted forgets its links, as its neighbours do.
  void leave(int number) {
    auto& one = world_.peers[number];
    if (!one.isJoined) return;
    world_.send(number, wire::Quit());
    if (one.connection != kNoConnection) world_.disconnect(number);
    one = {};
    for (auto& [other, near] : world_.peers) {
      if (std::erase(near.links.neighbours, peer(number)) == 0) continue;
      if (near.links.parent == peer(number)) near.links.parent.reset();
      if (near.isJoined) world_.send(other, near.links);
    }
  }
  void killHome() {
    const std::size_t home = below(2);
    if (world_.homes[home].sessions) world_.killHome(home);
  }
  void killMaster() {
    if (!world_.master) return;
    ++masters;
    if (below(3) == 0) {
      world_.deliver();
      report();
      world_.deliver();
    }
    const auto isBusy = [](const auto& home) { return !home.sent.empty() || !home.coming.empty(); };
    const bool isMidway = std::any_of(world_.homes.begin(), world_.homes.end(), isBusy);
    midway += isMidway ? 1u : 0u;
    const auto before = world_.tree();
    world_.killMasterOver(below(2));
    if (isMidway || below(2) == 0) return;
    ++quiet;
    world_.takeOver();
    CHECK(world_.tree() == before);
    world_.deliver();
    CHECK(withoutChildren(world_.tree()) == withoutChildren(before));
  }
  // Orders, ids and endpoints: orphans may have got another place.
  static std::string withoutChildren(const std::string& tree) {
    std::string text;
    for (std::size_t from = 0; from < tree.size();) {
      text += tree.substr(from, tree.find(" below", from) - from) + "\n";
      from = tree.find('\n', from) + 1;
    }
    return text;
  }
  void revive() {
    for (std::size_t home = 0; home < 2; ++home) {
      if (!world_.homes[home].sessions) world_.startHome(home);
    }
    if (!world_.master) world_.takeOver();
  }
  void deliverOne() {
    const std::size_t home = below(2);
    if (below(2) == 0) {
      world_.deliverUp(home);
    } else {
      world_.deliverDown(home);
    }
    report();
  }
  // Whoever was admitted reports the links that it has by now.
  void report() {
    for (auto& [number, one] : world_.peers) {
      const bool isNew = one.isJoined && !reported_.contains(one.connection);
      if (isNew && reported_.insert(one.connection).second) world_.send(number, one.links);
    }
  }

  Random random_;
  SessionWorld world_;
  std::set<ConnectionId> reported_;
};

}  // namespace

TEST_CASE("whenever masters and homes die, orders are unique and the registry knows its members") {
  unsigned masters = 0;
  unsigned midway = 0;
  unsigned quiet = 0;
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    CAPTURE(seed);
    RandomWorld world(seed);
    world.run(500);
    world.calm();
    masters += world.masters;
    midway += world.midway;
    quiet += world.quiet;
  }
  // The schedules have what they are for.
  MESSAGE(masters, " masters, ", midway, " midway, ", quiet, " compared");
  CHECK(midway > 100);
  CHECK(quiet > 20);
}
