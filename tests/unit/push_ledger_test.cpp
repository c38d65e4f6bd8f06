// The ledger as a join-semilattice, and the order in which peers take from each other.
#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <array>
#include <bit>
#include <map>
#include <optional>
#include <set>

#include "common/base/limits.h"
#include "peer/core/ledger.h"
#include "peer/core/push_chain.h"

using namespace espalier;
using namespace espalier::peer;
using wire::PushEntry;
using wire::PushState;

namespace {

PeerId id(std::uint64_t number) {
  return *PeerId::parse("s" + std::to_string(number));
}

PushEntry entryOf(std::uint64_t number, PushState state, std::uint64_t via = 1,
                  std::uint32_t version = 1) {
  PushEntry entry;
  entry.version = version;
  entry.state = state;
  entry.peer = {id(number), JoinOrder{number}, {"127.0.0.1", 5001}};
  if (number != via) entry.via = id(via);
  return entry;
}

// Few peers, versions and reasons, so that entries meet.
PushEntry someEntry() {
  auto entry = entryOf(
      *rc::gen::inRange<std::uint64_t>(1, 6), static_cast<PushState>(*rc::gen::inRange(0, 6)),
      *rc::gen::inRange<std::uint64_t>(1, 6), *rc::gen::inRange<std::uint32_t>(0, 3));
  entry.late = *rc::gen::arbitrary<bool>();
  entry.reason = *rc::gen::element<std::string>("", "a", "b");
  entry.peer.endpoint.port = *rc::gen::element<std::uint16_t>(1, 2);
  return entry;
}

std::vector<PushEntry> someEntries() {
  std::vector<PushEntry> entries(*rc::gen::inRange<std::size_t>(0, 20));
  for (auto& entry : entries) entry = someEntry();
  return entries;
}

Ledger ledgerOf(const std::vector<PushEntry>& entries) {
  Ledger ledger;
  for (const auto& entry : entries) ledger.merge(entry);
  return ledger;
}

Ledger merged(Ledger a, const Ledger& b) {
  for (const auto& entry : b.entries()) a.merge(entry.whole());
  return a;
}

std::vector<std::string> names(const std::vector<Ledger::Entry>& entries) {
  std::vector<std::string> result;
  for (const auto& entry : entries) result.emplace_back(entry.idText());
  return result;
}

}  // namespace

TEST_CASE("merging ledgers is commutative, associative and idempotent") {
  CHECK(rc::check("commutative", [] {
    const auto a = ledgerOf(someEntries());
    const auto b = ledgerOf(someEntries());
    RC_ASSERT(merged(a, b) == merged(b, a));
  }));
  CHECK(rc::check("associative", [] {
    const auto a = ledgerOf(someEntries());
    const auto b = ledgerOf(someEntries());
    const auto c = ledgerOf(someEntries());
    RC_ASSERT(merged(merged(a, b), c) == merged(a, merged(b, c)));
  }));
  CHECK(rc::check("idempotent", [] {
    const auto a = ledgerOf(someEntries());
    RC_ASSERT(merged(a, a) == a);
  }));
}

TEST_CASE("in whatever order and however often entries come, the ledger is the same") {
  CHECK(rc::check([] {
    const auto entries = someEntries();
    auto others = *rc::gen::container<std::vector<std::size_t>>(
        rc::gen::inRange<std::size_t>(0, std::max<std::size_t>(entries.size(), 1)));
    Ledger shuffled;
    for (const auto i : others) {
      if (i < entries.size()) shuffled.merge(entries[i]);
    }
    for (auto entry = entries.rbegin(); entry != entries.rend(); ++entry) shuffled.merge(*entry);
    RC_ASSERT(shuffled == ledgerOf(entries));
  }));
}

TEST_CASE("an entry never becomes smaller, and the counts are those of the entries") {
  CHECK(rc::check([] {
    Ledger ledger;
    for (const auto& entry : someEntries()) {
      const auto before = ledger.find(entry.peer.id);
      const auto old = before ? std::optional(before->whole()) : std::nullopt;
      const bool news = ledger.merge(entry);
      const auto now = ledger.find(entry.peer.id)->whole();
      RC_ASSERT(now >= entry);
      RC_ASSERT(!old || now >= *old);
      RC_ASSERT(news == (!old || now != *old));
    }
    for (int state = 0; state < 6; ++state) {
      const auto entries = ledger.entries();
      const auto counted = std::count_if(entries.begin(), entries.end(), [&](const auto& each) {
        return each.state() == static_cast<PushState>(state);
      });
      RC_ASSERT(ledger.count(static_cast<PushState>(state)) == static_cast<std::size_t>(counted));
    }
  }));
}

TEST_CASE("a ledger gives back what it took, usual or not, as one that keeps whole entries would") {
  CHECK(rc::check([] {
    Ledger ledger;
    std::map<PeerId, PushEntry> model;
    const auto entries = *rc::gen::container<std::vector<PushEntry>>(rc::gen::exec([] {
      auto entry = someEntry();
      entry.peer.order = JoinOrder{*rc::gen::arbitrary<std::uint64_t>()};
      entry.peer.endpoint.host = *rc::gen::element<std::string>(
          "127.0.0.1", "0.0.0.0", "255.255.255.255", "10.20.30.40", "", "::1", "host.example",
          "127.0.0.01", "256.1.1.1", "1.2.3", "1.2.3.4.5", "1.2.3.4 ", "+1.2.3.4", "1.2.3.");
      if (*rc::gen::arbitrary<bool>()) {
        entry.peer.id = *PeerId::parse(std::string(limits::kPeerIdBytes, 'x'));
      }
      if (*rc::gen::arbitrary<bool>()) entry.via = id(*rc::gen::inRange<std::uint64_t>(1, 50));
      return entry;
    }));
    for (const auto& entry : entries) {
      const auto known = model.find(entry.peer.id);
      const bool news = known == model.end() || entry > known->second;
      if (news) model[entry.peer.id] = entry;
      RC_ASSERT(ledger.merge(entry) == news);
    }
    RC_ASSERT(ledger.size() == model.size());
    RC_ASSERT(ledger.entries().size() == model.size());
    for (const auto& [peer, entry] : model) RC_ASSERT(ledger.find(peer)->whole() == entry);
    for (const auto& entry : ledger.entries()) {
      RC_ASSERT(entry.whole() == model.at(entry.id()));
      RC_ASSERT(entry.via().has_value() == !model.at(entry.id()).via.empty());
      RC_ASSERT(ledger.at(entry.place())->idText() == entry.idText());
    }
    for (std::uint64_t i = 1; i < 50; ++i) {
      RC_ASSERT(ledger.find(id(i)).has_value() == model.contains(id(i)));
    }
  }));
}

TEST_CASE("some places of a ledger come out in order, each once") {
  CHECK(rc::check([] {
    LedgerPlaces places;
    std::set<Ledger::Place> model;
    for (const auto place :
         *rc::gen::container<std::vector<Ledger::Place>>(rc::gen::inRange<Ledger::Place>(0, 300))) {
      if (place % 4 == 0 && !model.empty()) {
        places.eraseFirst();
        model.erase(model.begin());
      } else {
        places.insert(place);
        model.insert(place);
      }
      RC_ASSERT(places.empty() == model.empty());
      RC_ASSERT(model.empty() || places.first() == *model.begin());
    }
  }));
}

TEST_CASE("whoever names ever new peers as those that others came via does not fill memory") {
  Ledger ledger;
  REQUIRE(ledger.merge(entryOf(1, PushState::accepted, 1)));
  std::uint32_t version = 1;
  for (std::uint64_t i = 0; i < 4 * limits::kLedgerEntries; ++i) {
    ledger.merge(entryOf(2, PushState::accepted, 10 + i, ++version));
  }
  CHECK(ledger.size() == 2);
  CHECK(ledger.places() <= 2 * limits::kLedgerEntries);
  CHECK(ledger.merge(entryOf(1, PushState::verified, 1)));
  CHECK(ledger.merge(entryOf(2, PushState::verified, 1, ++version)));
}

TEST_CASE("a ledger takes so many peers and no more") {
  Ledger ledger;
  for (std::uint64_t i = 1; i <= limits::kLedgerEntries; ++i) {
    REQUIRE(ledger.merge(entryOf(i, PushState::offered)));
  }
  CHECK_FALSE(ledger.merge(entryOf(limits::kLedgerEntries + 1, PushState::verified)));
  CHECK(ledger.size() == limits::kLedgerEntries);
  CHECK(ledger.merge(entryOf(1, PushState::verified)));
}

TEST_CASE("the order is depth first from the sender, children by age, those who came late behind") {
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

TEST_CASE("whatever `via` claims, everybody is in the order once") {
  CHECK(rc::check([] {
    const auto ledger = ledgerOf(someEntries());
    const auto order = names(pushOrder(ledger, id(1)));
    RC_ASSERT(order.size() == ledger.size());
    RC_ASSERT(std::set<std::string>(order.begin(), order.end()).size() == ledger.size());
  }));
}

TEST_CASE("in a chain each takes from the one before, past those who do not take part") {
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

TEST_CASE("somebody undecided before this peer is waited for, behind it not") {
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

// Whom each place 1 … takers takes each stripe from.
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

TEST_CASE("along stripes everybody gives to two at the most, and is a few levels from the sender") {
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

TEST_CASE("where one along stripes dies its takers find others, and still nobody gives to three") {
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

TEST_CASE("who comes late stands behind all others along both stripes") {
  const StripeTrees before(40, 0);
  const StripeTrees after(43, 3);
  for (std::size_t stripe = 0; stripe < kPushStripes; ++stripe) {
    for (Place place = 1; place <= 40; ++place) {
      CHECK(after.source(stripe, place) == before.source(stripe, place));
    }
    for (Place place = 41; place <= 43; ++place) CHECK(after.source(stripe, place) <= 40);
  }
}

TEST_CASE("many take each stripe from somebody else, and everybody has a way to the sender") {
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
