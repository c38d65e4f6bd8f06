// Which metaserver is the master.
#include "metaserver/core/cluster/election.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

using namespace espalier;
using namespace espalier::metaserver::cluster;

namespace {

constexpr ElectionRule kAll[] = {ElectionRule::oldest, ElectionRule::address,
                                 ElectionRule::priority, ElectionRule::mostPeers};

Candidate candidate(std::string_view name, std::uint16_t number, int startedMs) {
  Candidate one;
  one.name = ServerName::parse(name).value();
  one.number = ServerNumber{number};
  one.address = {"127.0.0.1", static_cast<std::uint16_t>(5000 + number)};
  one.started = std::chrono::milliseconds{startedMs};
  return one;
}

std::string masterOf(ElectionRule rule, const std::vector<Candidate>& candidates,
                     std::optional<ServerNumber> sitting = std::nullopt) {
  const Candidate* master = best(rule, candidates, sitting);
  return master ? master->name.text() : "nobody";
}

std::string lowestAddress(const Endpoint& a, const Endpoint& b) {
  std::vector<Candidate> both{candidate("a", 1, 0), candidate("b", 2, 0)};
  both[0].address = a;
  both[1].address = b;
  return masterOf(ElectionRule::address, both);
}

}  // namespace

TEST_CASE("the oldest is the master, and of equally old ones the one of the lesser name") {
  CHECK(masterOf(ElectionRule::oldest, {candidate("a", 1, 9), candidate("b", 2, 8)}) == "b");
  CHECK(masterOf(ElectionRule::oldest, {candidate("b", 1, 8), candidate("a", 2, 8)}) == "a");
}

TEST_CASE("addresses are compared as numbers, and the lowest is the master") {
  CHECK(lowestAddress({"10.0.0.10", 1}, {"10.0.0.9", 2}) == "b");
  CHECK(lowestAddress({"10.0.0.9", 5010}, {"10.0.0.9", 5009}) == "b");
  CHECK(lowestAddress({"fe80::1", 1}, {"200.0.0.9", 2}) == "b");
  CHECK(lowestAddress({"meta.example", 1}, {"fe80::1", 2}) == "b");
  CHECK(lowestAddress({"meta-b.example", 1}, {"meta-a.example", 2}) == "b");
}

TEST_CASE("the highest priority is the master, and of equal ones the oldest") {
  std::vector<Candidate> all{candidate("a", 1, 7), candidate("b", 2, 8), candidate("c", 3, 9)};
  CHECK(masterOf(ElectionRule::priority, all) == "a");
  all[1].priority = all[2].priority = 5;
  CHECK(masterOf(ElectionRule::priority, all) == "b");
}

TEST_CASE("the one with the most peers is the master, and of equal ones the oldest") {
  std::vector<Candidate> all{candidate("a", 1, 7), candidate("b", 2, 8), candidate("c", 3, 9)};
  CHECK(masterOf(ElectionRule::mostPeers, all) == "a");
  all[1].peers = all[2].peers = 5;
  CHECK(masterOf(ElectionRule::mostPeers, all) == "b");
}

TEST_CASE("who is alone is no master, and who drains is none") {
  std::vector<Candidate> all{candidate("a", 1, 7)};
  CHECK(best(ElectionRule::oldest, {}, std::nullopt) == nullptr);
  for (const auto rule : kAll) {
    CHECK(masterOf(rule, all, ServerNumber{1}) == "nobody");
    std::vector<Candidate> two{candidate("a", 1, 7), candidate("b", 2, 8)};
    two[0].drains = true;
    two[0].appointed = true;
    CHECK(masterOf(rule, two, ServerNumber{1}) == "b");
    two[1].drains = true;
    CHECK(masterOf(rule, two, ServerNumber{1}) == "nobody");
  }
}

TEST_CASE("a better one takes over at once, but under most-peers the sitting master stays") {
  std::vector<Candidate> all{candidate("a", 1, 7), candidate("b", 2, 8), candidate("c", 3, 9)};
  all[0].priority = 1;
  all[0].peers = 100;
  const ServerNumber sitting{2};
  CHECK(masterOf(ElectionRule::oldest, all, sitting) == "a");
  CHECK(masterOf(ElectionRule::address, all, sitting) == "a");
  CHECK(masterOf(ElectionRule::priority, all, sitting) == "a");
  CHECK(masterOf(ElectionRule::mostPeers, all, sitting) == "b");
  all.erase(all.begin() + 1);
  CHECK(masterOf(ElectionRule::mostPeers, all, sitting) == "a");
}

TEST_CASE("one that was made master by hand stays it until the next vacancy") {
  std::vector<Candidate> all{candidate("a", 1, 7), candidate("b", 2, 8), candidate("c", 3, 9)};
  all[2].appointed = true;
  for (const auto rule : kAll) {
    CHECK(masterOf(rule, all, ServerNumber{3}) == "c");
    CHECK(masterOf(rule, all) == "a");
    CHECK(masterOf(rule, all, ServerNumber{1}) == "a");
  }
}

TEST_CASE("all elect the same one, in whatever order they know the candidates") {
  std::mt19937 random{1};
  std::vector<Candidate> all;
  for (std::uint16_t number = 1; number <= 9; ++number) {
    all.push_back(
        candidate("m" + std::to_string(random() % 1000), number, static_cast<int>(random() % 3)));
    all.back().priority = static_cast<std::uint32_t>(random() % 3);
    all.back().peers = static_cast<std::uint32_t>(random() % 3);
  }
  for (const auto rule : kAll) {
    const auto master = masterOf(rule, all);
    for (int i = 0; i < 50; ++i) {
      std::shuffle(all.begin(), all.end(), random);
      CHECK(masterOf(rule, all) == master);
    }
  }
}

TEST_CASE("each rule is read as it is named, priority also with a number") {
  for (const auto rule : kAll) {
    const auto choice = parseRule(ruleName(rule));
    REQUIRE(choice);
    CHECK(*choice == ElectionChoice{rule, 0});
  }
  CHECK(parseRule("priority:7").value() == ElectionChoice{ElectionRule::priority, 7});
  CHECK(parseRule("priority:1000000").ok());
  for (const auto* bad : {"", "newest", "Oldest", "oldest:1", "priority:", "priority:-1",
                          "priority:1000001", "priority:7x", "priority: 7"}) {
    CAPTURE(bad);
    REQUIRE_FALSE(parseRule(bad).ok());
    CHECK(parseRule(bad).error().code == ErrorCode::usage);
  }
  CHECK(parseRule("newest").error().message ==
        "\"newest\" is no election rule: oldest, address, priority, most-peers (or priority:N)");
}
