// pushReport(): what the sender of a push says of each peer, when links tell different things.
#include "peer/shell/push_report.h"

#include <doctest/doctest.h>

#include <set>
#include <string>

#include "peer/shell/push_outcome.h"

using namespace espalier;
using namespace espalier::peer;
using namespace espalier::peer::shell;
using wire::PushState;

namespace {

PeerId peerId(const std::string& text) {
  return *PeerId::parse(text);
}

wire::PushEntry entryAbout(const std::string& text, PushState state) {
  wire::PushEntry entry;
  entry.version = 1;
  entry.state = state;
  entry.peer = {peerId(text), JoinOrder{2}, {"127.0.0.1", 5002}};
  entry.via = peerId("s1");
  return entry;
}

// s1 - s2 - s5, s1 - liar.
const std::vector<wire::TopologyEntry> kTopology = [] {
  const auto entry = [](const std::string& text, std::vector<PeerId> neighbours) {
    return wire::TopologyEntry{
        {peerId(text), JoinOrder{1}, {"127.0.0.1", 5001}}, {}, std::move(neighbours)};
  };
  return std::vector{entry("s1", {peerId("s2"), peerId("liar")}),
                     entry("s2", {peerId("s1"), peerId("s5")}), entry("s5", {peerId("s2")}),
                     entry("liar", {peerId("s1")})};
}();

struct Said {
  std::string by;
  PushState state;
};

// The view of s1, to which neighbours said so about s5, one after the other.
Pushes::View viewAfter(const std::vector<Said>& said) {
  wire::PushOffer offer;
  offer.sender = {peerId("s1"), JoinOrder{1}, {"127.0.0.1", 5001}};
  offer.to = {peerId("s5")};
  Pushes::View view{offer, {}, true, {}};
  std::uint32_t version = 0;
  for (const auto& each : said) {
    auto entry = entryAbout("s5", each.state);
    entry.version = ++version;
    const auto known = view.ledger.find(entry.peer.id);
    const auto before = known ? std::optional(known->whole()) : std::nullopt;
    const auto index = view.ledger.merge(entry);
    REQUIRE(index);
    view.tellers.told(*index, peerId(each.by), entry, before);
  }
  return view;
}

PushReport reportOf(const std::vector<Said>& said, bool withTopology,
                    const std::set<PeerId>& believed = {}) {
  const std::vector members{peerId("s1"), peerId("s2"), peerId("s5"), peerId("liar")};
  return pushReport(viewAfter(said), members,
                    withTopology ? pushWays(kTopology, peerId("s1")) : PushWays(), believed);
}

}  // namespace

TEST_CASE("the ways lead to each peer over the neighbour in whose branch it is") {
  const auto ways = pushWays(kTopology, peerId("s1"));
  CHECK(ways == PushWays{{peerId("s2"), peerId("s2")},
                         {peerId("s5"), peerId("s2")},
                         {peerId("liar"), peerId("liar")}});
}

TEST_CASE("a peer's state is the one that came over the link that leads to it") {
  for (const auto& said :
       {std::vector<Said>{{"s2", PushState::declined}, {"liar", PushState::verified}},
        std::vector<Said>{{"liar", PushState::verified},
                          {"s2", PushState::declined},
                          {"liar", PushState::verified}}}) {
    const auto report = reportOf(said, true);
    CHECK(report.peers.front().state == PushedPeer::State::declined);
    CHECK(verifiedCount(report) == 0);
  }
  const auto report = reportOf({{"s2", PushState::verified}, {"liar", PushState::declined}}, true);
  CHECK(report.peers.front().state == PushedPeer::State::verified);
}

TEST_CASE("without the tree a peer of which links tell different things is not verified") {
  const std::vector<Said> said{{"s2", PushState::declined}, {"liar", PushState::verified}};
  const auto doubted = reportOf(said, false);
  CHECK(doubted.doubted == std::vector{peerId("s5")});
  CHECK(doubted.peers.front().state == PushedPeer::State::receiving);
  const auto report = reportOf(said, false, {peerId("s5")});
  CHECK(report.doubted.empty());
  CHECK(report.peers.front().state == PushedPeer::State::failed);
  CHECK(report.peers.front().reason == "its neighbours tell different things about it");
}

TEST_CASE(
    "a peer that has moved to a link that tells nothing of it still receives, until believed") {
  for (const auto state : {PushState::verified, PushState::declined}) {
    const std::vector<Said> said{{"s3", PushState::accepted}, {"liar", state}};
    const auto doubted = reportOf(said, true);
    CHECK(doubted.doubted == std::vector{peerId("s5")});
    CHECK(doubted.peers.front().state == PushedPeer::State::receiving);
    const auto believed = reportOf(said, true, {peerId("s5")});
    CHECK(believed.doubted.empty());
    CHECK(
        believed.peers.front().state ==
        (state == PushState::verified ? PushedPeer::State::verified : PushedPeer::State::declined));
  }
}

TEST_CASE("a peer of which links tell different things is out of reach while it is no member") {
  const auto view = viewAfter({{"s2", PushState::accepted}, {"s3", PushState::verified}});
  const std::vector members{peerId("s1"), peerId("s2")};
  for (const auto& believed : {std::set<PeerId>(), std::set{peerId("s5")}}) {
    const auto report = pushReport(view, members, {{peerId("s2"), peerId("s2")}}, believed);
    CHECK(report.peers.front().state == PushedPeer::State::outOfReach);
    CHECK_FALSE(isComplete(report, true));
  }
}

TEST_CASE("a peer of which only another link tells still receives, until it is believed") {
  for (const auto state : {PushState::verified, PushState::declined, PushState::failed}) {
    const auto doubted = reportOf({{"liar", state}}, true);
    CHECK(doubted.doubted == std::vector{peerId("s5")});
    CHECK(doubted.peers.front().state == PushedPeer::State::receiving);
    CHECK_FALSE(isComplete(doubted, false));
    const auto believed = reportOf({{"liar", state}}, true, {peerId("s5")});
    CHECK(believed.doubted.empty());
    CHECK(isComplete(believed, false));
  }
  for (const bool withTopology : {true, false}) {
    const auto report = reportOf({{"s2", PushState::verified}}, withTopology);
    CHECK(report.doubted.empty());
    CHECK(report.peers.front().state == PushedPeer::State::verified);
  }
}
