// The ledger as a join-semilattice, and the order in which peers take from each other.
#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <map>
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
  for (const auto& [peer, entry] : b.entries()) a.merge(entry);
  return a;
}

std::vector<std::string> names(const std::vector<const PushEntry*>& entries) {
  std::vector<std::string> result;
  for (const auto* entry : entries) result.push_back(entry->peer.id.text());
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
      const auto* before = ledger.find(entry.peer.id);
      const auto old = before != nullptr ? std::optional(*before) : std::nullopt;
      const bool news = ledger.merge(entry);
      const auto& now = *ledger.find(entry.peer.id);
      RC_ASSERT(now >= entry);
      RC_ASSERT(!old || now >= *old);
      RC_ASSERT(news == (!old || now != *old));
    }
    for (int state = 0; state < 6; ++state) {
      const auto counted = std::count_if(
          ledger.entries().begin(), ledger.entries().end(),
          [&](const auto& each) { return each.second.state == static_cast<PushState>(state); });
      RC_ASSERT(ledger.count(static_cast<PushState>(state)) == static_cast<std::size_t>(counted));
    }
  }));
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
  CHECK(names(sources.candidates) == std::vector<std::string>{"s4", "s2", "s1", "s7"});
  CHECK_FALSE(sources.forming);
  CHECK(names(pushSources(ledger, id(1), id(2), 1000).candidates).front() == "s1");
}

TEST_CASE("somebody undecided before this peer is waited for, behind it not") {
  const Ledger ledger =
      ledgerOf({entryOf(1, PushState::verified, 1), entryOf(2, PushState::accepted, 1),
                entryOf(3, PushState::offered, 2), entryOf(4, PushState::accepted, 1)});
  CHECK(pushSources(ledger, id(1), id(4), 1000).forming);
  CHECK_FALSE(pushSources(ledger, id(1), id(2), 1000).forming);
}

TEST_CASE("few chunks for many peers go along a binary tree, many chunks along a chain") {
  CHECK(pushShape(16, 800) == PushShape::chain);
  CHECK(pushShape(800, 800) == PushShape::chain);
  CHECK(pushShape(1000, 800) == PushShape::binary);
  CHECK(pushShape(16, 1) == PushShape::binary);
  CHECK(pushShape(3, 1) == PushShape::chain);
  CHECK(pushShape(1, 1) == PushShape::chain);
  CHECK(rc::check("the shape is the faster one", [] {
    const auto peers = *rc::gen::inRange<std::size_t>(2, 5000);
    const auto chunks = *rc::gen::inRange<std::uint64_t>(1, 5000);
    // What the last peer waits for, in times of a chunk.
    std::uint64_t levels = 0;
    for (std::size_t at = peers; at != 0; at = placeBefore(PushShape::binary, at)) ++levels;
    const std::uint64_t chain = chunks + peers - 1;
    const std::uint64_t binary = 2 * chunks + 2 * (levels - 1);
    RC_ASSERT(pushShape(peers, chunks) == (chain <= binary ? PushShape::chain : PushShape::binary));
  }));
}

TEST_CASE("in a binary tree of 1,023 everybody is nine steps from the sender, and gives to two") {
  std::map<std::size_t, std::size_t> given;
  for (std::size_t place = 1; place < 1023; ++place) {
    std::size_t steps = 0;
    for (std::size_t at = place; at != 0; at = placeBefore(PushShape::binary, at)) ++steps;
    CHECK(steps <= 9);
    ++given[placeBefore(PushShape::binary, place)];
  }
  for (const auto& [place, count] : given) CHECK(count <= 2);
}
