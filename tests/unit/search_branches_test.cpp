// SearchBranches: the states of a branch, what is missing behind it, and hits within their share.
#include "peer/core/search_branches.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "common/base/limits.h"

using namespace espalier;
using namespace espalier::peer;
using namespace std::chrono_literals;

namespace {

constexpr TimePoint kStart{1000s};

PeerId id(unsigned number) {
  return *PeerId::parse("s" + std::to_string(number));
}

// A link to the peer, with `behind` peers behind it.
SearchLink linkTo(unsigned number, std::uint64_t behind = 1) {
  SearchLink link({{}, {id(number), JoinOrder{number}, {"127.0.0.1", 5001}}}, kStart);
  link.setBehind(behind);
  return link;
}

SearchBranch& askOver(SearchBranches& branches, unsigned number) {
  auto& branch = branches.add(ConnectionId{number}, linkTo(number));
  branch.ask();
  branch.sent();
  return branch;
}

}  // namespace

TEST_CASE("a branch is pending from the query to its answer") {
  SearchBranches branches;
  CHECK(branches.areDone());
  branches.add(ConnectionId{2}, linkTo(2));
  CHECK(branches.areDone());
  CHECK(branches.everAsked(ConnectionId{2}) == nullptr);
  auto& branch = askOver(branches, 2);
  CHECK_FALSE(branches.areDone());
  CHECK(branches.everAsked(ConnectionId{2}) == &branch);
  branch.done = true;
  CHECK(branches.areDone());
}

TEST_CASE("withdrawn branches are unasked, and answers from them are still accepted") {
  SearchBranches branches;
  askOver(branches, 2).done = true;
  askOver(branches, 3);
  branches.add(ConnectionId{4}, linkTo(4));
  CHECK(branches.withdraw() == std::vector{ConnectionId{2}, ConnectionId{3}});
  CHECK(branches.withdraw().empty());
  CHECK(branches.areDone());
  CHECK(branches.everAsked(ConnectionId{3}) != nullptr);
  CHECK(branches.everAsked(ConnectionId{4}) == nullptr);
}

TEST_CASE("a lost branch is awaited for a grace period, and then its peers are missing") {
  SearchBranches branches;
  SearchKnowledge knowledge;
  askOver(branches, 2);
  branches.lose(ConnectionId{2}, 5, kStart, knowledge);
  CHECK(branches.everAsked(ConnectionId{2}) == nullptr);
  CHECK_FALSE(branches.areDone());
  REQUIRE(branches.deadline() == kStart + limits::kSearchGrace);
  branches.tick(kStart + limits::kSearchGrace - 1ms, knowledge);
  CHECK(knowledge.missing().empty());
  branches.tick(kStart + limits::kSearchGrace, knowledge);
  CHECK(knowledge.missing() == std::vector{wire::Missing{id(2), JoinOrder{2}, 4}});
  CHECK(branches.areDone());
  CHECK(branches.deadline() == kNever);
}

TEST_CASE("a peer that has a link again is not missing") {
  SearchBranches branches;
  SearchKnowledge knowledge;
  askOver(branches, 2);
  askOver(branches, 3);
  branches.lose(ConnectionId{2}, 1, kStart, knowledge);
  branches.lose(ConnectionId{3}, 1, kStart, knowledge);
  branches.returned(id(2));
  branches.tick(kStart + limits::kSearchGrace, knowledge);
  CHECK(knowledge.missing() == std::vector{wire::Missing{id(3), JoinOrder{3}, 0}});
}

TEST_CASE("a branch that is done or was not asked is not lost with its link") {
  SearchBranches branches;
  SearchKnowledge knowledge;
  askOver(branches, 2).done = true;
  branches.add(ConnectionId{3}, linkTo(3));
  for (const unsigned number : {2u, 3u, 4u}) {
    branches.lose(ConnectionId{number}, 5, kStart, knowledge);
  }
  CHECK(branches.areDone());
  CHECK(branches.deadline() == kNever);
}

TEST_CASE("of too many lost branches the oldest is missing at once") {
  SearchBranches branches;
  SearchKnowledge knowledge;
  for (unsigned number = 2; number < 2 + limits::kBranchesDown; ++number) {
    askOver(branches, number);
    branches.lose(ConnectionId{number}, 1, kStart, knowledge);
  }
  CHECK(knowledge.missing().empty());
  askOver(branches, 1000);
  branches.lose(ConnectionId{1000}, 1, kStart, knowledge);
  CHECK(knowledge.missing() == std::vector{wire::Missing{id(2), JoinOrder{2}, 0}});
}

TEST_CASE("peers that have answered are not missing behind a branch") {
  SearchBranches branches;
  auto& branch = askOver(branches, 2);
  Coverage coverage;
  CHECK(branch.missing(5, coverage).below == 4);
  // Two peers behind the neighbour have answered.
  branch.heard = 2;
  CHECK(branch.missing(5, coverage).below == 2);
  // The neighbour is one of the two.
  coverage.add(JoinOrder{2});
  CHECK(branch.missing(5, coverage).below == 3);
  branch.heard = 9;
  CHECK(branch.missing(5, coverage).below == 0);
  CHECK(branch.missing(0, coverage).below == 0);
}

TEST_CASE("when the time is up pending and lost branches are missing, and others are not") {
  SearchBranches branches;
  SearchKnowledge knowledge;
  SearchLinks links;
  for (const unsigned number : {2u, 3u, 4u}) {
    askOver(branches, number);
    links.emplace(ConnectionId{number}, linkTo(number, 3));
  }
  branches.everAsked(ConnectionId{3})->done = true;
  branches.lose(ConnectionId{4}, 3, kStart, knowledge);
  branches.expire(links, knowledge);
  const std::vector<wire::Missing> expected{{id(2), JoinOrder{2}, 2}, {id(4), JoinOrder{4}, 2}};
  CHECK(knowledge.missing() == expected);
  CHECK(branches.deadline() == kNever);
}

TEST_CASE("the hits of a branch are kept within its share") {
  SearchBranches branches;
  const auto link = linkTo(2);
  auto& branch = askOver(branches, 2);
  while (branches.mayKeepHit(branch, link)) {
    branches.countHit(branch);
    REQUIRE(branch.hits <= limits::kHitsPerQuery);
  }
  CHECK(branch.hits ==
        std::min<std::uint64_t>(limits::kHitsPerPeer * link.peers(), limits::kHitsPerQuery));
}
