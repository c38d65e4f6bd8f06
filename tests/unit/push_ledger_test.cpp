// Ledger: merging is a join-semilattice, and entries are returned as they were merged.
#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>

#include "common/base/limits.h"
#include "peer/core/ledger.h"
#include "tests/unit/push_entries.h"

using namespace espalier;
using namespace espalier::peer;

namespace {

Ledger merged(Ledger a, const Ledger& b) {
  for (const auto& entry : b.entries()) a.merge(entry.whole());
  return a;
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
      const bool news = ledger.merge(entry).has_value();
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

TEST_CASE("a ledger returns the same entries as one that keeps them whole, usual or not") {
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
      RC_ASSERT(ledger.merge(entry).has_value() == news);
    }
    RC_ASSERT(ledger.size() == model.size());
    RC_ASSERT(ledger.entries().size() == model.size());
    for (const auto& [peer, entry] : model) RC_ASSERT(ledger.find(peer)->whole() == entry);
    for (const auto& entry : ledger.entries()) {
      RC_ASSERT(entry.whole() == model.at(entry.id()));
      RC_ASSERT(entry.via().has_value() == !model.at(entry.id()).via.empty());
      RC_ASSERT(ledger.at(entry.index())->idText() == entry.idText());
    }
    for (std::uint64_t i = 1; i < 50; ++i) {
      RC_ASSERT(ledger.find(id(i)).has_value() == model.contains(id(i)));
    }
  }));
}

TEST_CASE("some places of a ledger come out in order, each once") {
  CHECK(rc::check([] {
    LedgerIndexSet places;
    std::set<Ledger::Index> model;
    for (const auto place :
         *rc::gen::container<std::vector<Ledger::Index>>(rc::gen::inRange<Ledger::Index>(0, 300))) {
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

TEST_CASE("entries that name ever new peers as `via` do not fill the memory") {
  Ledger ledger;
  REQUIRE(ledger.merge(entryOf(1, PushState::accepted, 1)));
  std::uint32_t version = 1;
  for (std::uint64_t i = 0; i < 4 * limits::kLedgerEntries; ++i) {
    ledger.merge(entryOf(2, PushState::accepted, 10 + i, ++version));
  }
  CHECK(ledger.size() == 2);
  CHECK(ledger.indices() <= 2 * limits::kLedgerEntries);
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
