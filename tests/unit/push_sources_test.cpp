// pushOrder(), pushSources() and StripeTrees: the places of peers, and their sources.
#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <array>
#include <bit>
#include <map>
#include <optional>
#include <set>

#include "common/base/limits.h"
#include "peer/core/push_sources.h"
#include "tests/unit/push_entries.h"

using namespace espalier;
using namespace espalier::peer;

namespace {

std::vector<std::string> names(const std::vector<Ledger::Entry>& entries) {
  std::vector<std::string> result;
  for (const auto& entry : entries) result.emplace_back(entry.idText());
  return result;
}

}  // namespace

TEST_CASE("the order is depth first from the sender, children by join order, late peers last") {
  // 3 sends; 1 and 4 hang below it, 2 and 6 below 1, 5 below 4; 7 came late below 2.
  Ledger ledger = ledgerOf({entryOf(3, PushState::verified, 3), entryOf(1, PushState::accepted, 3),
                            entryOf(4, PushState::accepted, 3), entryOf(6, PushState::accepted, 1),
                            entryOf(2, PushState::accepted, 1), entryOf(5, PushState::accepted, 4),
                            entryOf(8, PushState::accepted, 9)});
  auto late = entryOf(7, PushState::accepted, 2);
  late.late = true;
  ledger.merge(late);
  CHECK(names(pushOrder(ledger, id(3))) ==
        std::vector<std::string>{"s3", "s1", "s2", "s6", "s4", "s5", "s7", "s8"});
}

TEST_CASE("whatever `via` claims, every peer is in the order once") {
  CHECK(rc::check([] {
    const auto ledger = ledgerOf(someEntries());
    const auto order = names(pushOrder(ledger, id(1)));
    RC_ASSERT(order.size() == ledger.size());
    RC_ASSERT(std::set<std::string>(order.begin(), order.end()).size() == ledger.size());
  }));
}

TEST_CASE(
    "in a chain each peer takes from the one before it, skipping peers that do not take part") {
  Ledger ledger = ledgerOf({entryOf(1, PushState::verified, 1), entryOf(2, PushState::accepted, 1),
                            entryOf(3, PushState::declined, 2), entryOf(4, PushState::accepted, 3),
                            entryOf(5, PushState::lost, 4), entryOf(6, PushState::accepted, 5),
                            entryOf(7, PushState::verified, 6)});
  const auto sources = pushSources(ledger, id(1), id(6), 1000);
  REQUIRE(sources.ways.size() == 1);
  CHECK(names(sources.ways[0].candidates) == std::vector<std::string>{"s4", "s2", "s1", "s7"});
  CHECK_FALSE(sources.forming);
  CHECK(names(pushSources(ledger, id(1), id(2), 1000).ways[0].candidates).front() == "s1");
}

TEST_CASE("an undecided peer is waited for if it comes before this peer, otherwise not") {
  const Ledger ledger =
      ledgerOf({entryOf(1, PushState::verified, 1), entryOf(2, PushState::accepted, 1),
                entryOf(3, PushState::offered, 2), entryOf(4, PushState::accepted, 1)});
  CHECK(pushSources(ledger, id(1), id(4), 1000).forming);
  CHECK_FALSE(pushSources(ledger, id(1), id(2), 1000).forming);
}

TEST_CASE("many chunks for a few go along a chain, few chunks or many peers along stripes") {
  CHECK(pushShape(1, 1) == PushShape::chain);
  CHECK(pushShape(16, 1600) == PushShape::chain);
  CHECK(pushShape(limits::kPushChainTakers, 100'000) == PushShape::chain);
  CHECK(pushShape(limits::kPushChainTakers + 1, 100'000) == PushShape::stripes);
  CHECK(pushShape(3, 1) == PushShape::stripes);
  CHECK(stripesOf(PushShape::chain) == 1);
  for (const std::uint64_t chunk : {0u, 1u, 2u, 3u}) {
    CHECK(stripeOf(FileRoot{}, chunk, 1) == 0);
    CHECK(stripeOf(FileRoot{}, chunk, kPushStripes) == chunk % kPushStripes);
  }
}

namespace {

using Place = std::size_t;

// The source of each stripe for each place 1 … takers.
using Sources = std::array<std::vector<Place>, kPushStripes>;

Sources sourcesOf(const StripeTrees& trees, Place takers) {
  Sources sources;
  for (std::size_t stripe = 0; stripe < kPushStripes; ++stripe) {
    sources[stripe].push_back(0);
    for (Place place = 1; place <= takers; ++place) {
      sources[stripe].push_back(trees.source(stripe, place));
    }
  }
  return sources;
}

std::vector<std::size_t> given(const Sources& sources, Place gone) {
  std::vector<std::size_t> takers(sources[0].size());
  for (const auto& stripe : sources) {
    for (Place place = 1; place < stripe.size(); ++place) {
      if (place != gone) ++takers[stripe[place]];
    }
  }
  return takers;
}

// Steps to the sender; nothing when there is no way.
std::optional<std::size_t> steps(const std::vector<Place>& stripe, Place from) {
  std::size_t count = 0;
  for (Place at = from; at != 0; at = stripe[at]) {
    if (++count > stripe.size()) return std::nullopt;
  }
  return count;
}

}  // namespace

TEST_CASE("along stripes every peer serves two at most, and is a few levels from the sender") {
  CHECK(rc::check([] {
    const auto takers = *rc::gen::inRange<Place>(1, 3000);
    const StripeTrees trees(takers, 0);
    const auto sources = sourcesOf(trees, takers);
    for (const auto count : given(sources, 0)) RC_ASSERT(count <= 2u);
    for (std::size_t stripe = 0; stripe < kPushStripes; ++stripe) {
      for (Place place = 1; place <= takers; ++place) {
        const auto depth = trees.depth(stripe, place);
        RC_ASSERT(steps(sources[stripe], place) == depth);
        RC_ASSERT(depth <= static_cast<std::size_t>(std::bit_width(takers)));
        RC_ASSERT(trees.rank(stripe, trees.rank(stripe, place)) == place);
      }
    }
  }));
}

TEST_CASE(
    "when a peer along stripes dies its takers find other sources, and still none serves three") {
  CHECK(rc::check([] {
    const auto takers = *rc::gen::inRange<Place>(2, 300);
    const StripeTrees trees(takers, 0);
    const auto gone = *rc::gen::inRange<Place>(1, takers + 1);
    auto sources = sourcesOf(trees, takers);
    for (std::size_t stripe = 0; stripe < kPushStripes; ++stripe) {
      for (Place place = 1; place <= takers; ++place) {
        if (sources[stripe][place] == gone)
          sources[stripe][place] = trees.substitute(stripe, place);
      }
    }
    for (const auto count : given(sources, gone)) RC_ASSERT(count <= 2u);
    for (const auto& stripe : sources) {
      for (Place place = 1; place <= takers; ++place) {
        if (place == gone) continue;
        RC_ASSERT(stripe[place] != gone);
        RC_ASSERT(steps(stripe, place));
      }
    }
  }));
}

TEST_CASE("late peers come after all others along both stripes") {
  const StripeTrees before(40, 0);
  const StripeTrees after(43, 3);
  for (std::size_t stripe = 0; stripe < kPushStripes; ++stripe) {
    for (Place place = 1; place <= 40; ++place) {
      CHECK(after.source(stripe, place) == before.source(stripe, place));
    }
    for (Place place = 41; place <= 43; ++place) CHECK(after.source(stripe, place) <= 40);
  }
}

TEST_CASE(
    "many peers take the two stripes from different sources, and all have a path to the sender") {
  constexpr unsigned kTakers = 100;
  std::vector<wire::PushEntry> entries = {entryOf(1, PushState::verified, 1)};
  for (unsigned i = 2; i <= kTakers + 1; ++i) {
    entries.push_back(entryOf(i, PushState::accepted, i / 2));
  }
  const auto ledger = ledgerOf(entries);
  std::map<std::string, unsigned> takersOf;
  for (unsigned i = 2; i <= kTakers + 1; ++i) {
    const auto sources = pushSources(ledger, id(1), id(i), 1600);
    CHECK(sources.shape == PushShape::stripes);
    REQUIRE(sources.ways.size() == kPushStripes);
    for (const auto& way : sources.ways) {
      const auto candidates = names(way.candidates);
      CHECK(std::set(candidates.begin(), candidates.end()).size() == candidates.size());
      CHECK(std::count(candidates.begin(), candidates.end(), id(i).text()) == 0);
      CHECK(std::count(candidates.begin(), candidates.end(), "s1") == 1);
      ++takersOf[candidates.front()];
    }
  }
  for (const auto& [peer, count] : takersOf) CHECK(count <= 2);
  CHECK(takersOf["s1"] == 2);
}
