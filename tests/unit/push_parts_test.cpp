// The classes that Pushes is made of, each alone: PushPolicy, OpenPush, PushLink, PushTaking.
#include <doctest/doctest.h>

#include "common/base/limits.h"
#include "peer/core/open_push.h"
#include "peer/core/push_chunks.h"
#include "peer/core/push_link.h"
#include "peer/core/push_policy.h"
#include "peer/core/push_taking.h"
#include "tests/unit/push_fixture.h"

using namespace espalier;
using namespace espalier::peer;
using namespace espalier::peer::test;

namespace {

const TimePoint kStart{1000s};

PushId pushId() {
  return *PushId::fromRaw(std::string(16, 'p'));
}

wire::PushOffer offerTo(std::vector<PeerId> to = {}) {
  return {pushId(), contact(1), id(1), false, PushEnd::open, oneFile(), std::move(to)};
}

// The ledger of a push from s1 to s2 … s`count`, each behind the one before it.
Ledger chainOf(unsigned count, PushState state = PushState::accepted) {
  Ledger ledger;
  for (unsigned number = 1; number <= count; ++number) {
    auto entry = entryOf(number, number == 1 ? PushState::verified : state);
    entry.via = number == 1 ? PeerId() : id(number - 1);
    ledger.merge(entry);
  }
  return ledger;
}

PushTaking takingOf(unsigned self, bool late = false) {
  return {{pushId(), id(1), id(self), pushChunks(oneFile()), late}, kStart};
}

// The sources that these effects name, in order.
std::vector<PeerId> sources(const Effects& fx) {
  std::vector<PeerId> sources;
  for (const auto& job : fx.pushJobs) {
    if (const auto* from = std::get_if<PushTakeFrom>(&job)) sources.push_back(from->source.id);
  }
  return sources;
}

std::vector<wire::PushLedger> ledgers(const Effects& fx) {
  std::vector<wire::PushLedger> ledgers;
  for (const auto& send : fx.sends) {
    const auto& message = std::get<wire::LinkMessage>(send.message);
    ledgers.push_back(std::get<wire::PushLedger>(message));
  }
  return ledgers;
}

}  // namespace

// --- PushPolicy ---

TEST_CASE("a policy refuses a push with the reason that its entry will say") {
  PushPolicy policy;
  CHECK(policy.refusal(offerTo()) == "takes no pushes");
  policy = {PushPolicy::From::some, {id(2)}, kFileOfAChain};
  CHECK(policy.refusal(offerTo()) == "takes no pushes from s1");
  policy.senders.insert(id(1));
  CHECK(policy.refusal(offerTo()) == std::nullopt);
  policy.limitBytes = 1000;
  CHECK(policy.refusal(offerTo()) == "takes at most 1.0 kB");
  policy.from = PushPolicy::From::all;
  CHECK(policy.refusal(offerTo()) == "takes at most 1.0 kB");
}

// --- OpenPush ---

TEST_CASE("a peer's first entry has version 1, and a later state of it keeps the version") {
  OpenPush push(offerTo(), id(1), kStart);
  const auto accepted = push.ownEntry(contact(2), PushState::accepted, "");
  REQUIRE(accepted);
  CHECK(accepted->version == 1);
  CHECK(accepted->via == id(1));
  CHECK(push.merge(*accepted, kStart));
  const auto verified = push.ownEntry(contact(2), PushState::verified, "");
  REQUIRE(verified);
  CHECK(verified->version == 1);
  CHECK(push.merge(*verified, kStart));
  // An earlier state needs a new version.
  CHECK(push.ownEntry(contact(2), PushState::accepted, "")->version == 2);
}

TEST_CASE("a peer whose versions are used up says nothing more about itself") {
  OpenPush push(offerTo(), id(1), kStart);
  REQUIRE(push.merge(entryOf(2, PushState::verified, limits::kLedgerVersion), kStart));
  CHECK_FALSE(push.ownEntry(contact(2), PushState::accepted, ""));
  CHECK(push.ownEntry(contact(2), PushState::verified, "")->version == limits::kLedgerVersion);
}

TEST_CASE("a claim about this peer is contradicted if it says more than this peer did") {
  OpenPush push(offerTo(), id(1), kStart);
  REQUIRE(push.merge(*push.ownEntry(contact(2), PushState::accepted, ""), kStart));
  CHECK_FALSE(push.answerTo(entryOf(2, PushState::offered), contact(2)));
  const auto answer = push.answerTo(entryOf(2, PushState::verified, 7), contact(2));
  REQUIRE(answer);
  CHECK(answer->state == PushState::accepted);
  CHECK(answer->version == 8);
}

TEST_CASE("a sender that has forgotten its push says again that it has all of it") {
  const OpenPush push(offerTo({id(2)}), id(1), kStart);
  for (const auto state : {PushState::verified, PushState::failed}) {
    const auto answer = push.answerTo(entryOf(1, state, 3), contact(1));
    REQUIRE(answer);
    CHECK(answer->state == PushState::verified);
    CHECK(answer->version == 4);
  }
  // A peer that is neither sender nor recipient has no entry, whatever others claim.
  CHECK_FALSE(push.answerTo(entryOf(5, PushState::verified, 3), contact(5)));
}

TEST_CASE("only peers that a push is meant for, and its sender, have an entry") {
  OpenPush push(offerTo({id(2)}), id(1), kStart);
  CHECK_FALSE(push.problemWith(entryOf(1, PushState::verified)));
  CHECK_FALSE(push.problemWith(entryOf(2, PushState::accepted)));
  CHECK(push.problemWith(entryOf(3, PushState::accepted)));
}

TEST_CASE("a peer whose link is gone is lost only if it has not finished") {
  OpenPush push(offerTo(), PeerId(), kStart);
  CHECK_FALSE(push.entryOfLost(id(2)));
  REQUIRE(push.merge(entryOf(2, PushState::accepted, 4), kStart));
  const auto lost = push.entryOfLost(id(2));
  REQUIRE(lost);
  CHECK(lost->state == PushState::lost);
  CHECK(lost->version == 4);
  REQUIRE(push.merge(entryOf(2, PushState::verified, 4), kStart));
  CHECK_FALSE(push.entryOfLost(id(2)));
}

TEST_CASE("an offer makes an entry for a recipient that has none, while the push is open") {
  OpenPush push(offerTo({id(2), id(3)}), PeerId(), kStart);
  const auto entry = push.entryOfOffered(contact(2), push.offer());
  REQUIRE(entry);
  CHECK(entry->version == 0);
  CHECK(entry->state == PushState::offered);
  CHECK_FALSE(push.entryOfOffered(contact(4), push.offer()));
  REQUIRE(push.merge(*entry, kStart));
  CHECK_FALSE(push.entryOfOffered(contact(2), push.offer()));
  CHECK(push.setEnd(PushEnd::closed, kStart));
  CHECK_FALSE(push.entryOfOffered(contact(3), push.offer()));
}

TEST_CASE("an end only grows") {
  OpenPush push(offerTo(), PeerId(), kStart);
  CHECK_FALSE(push.isOver());
  CHECK(push.setEnd(PushEnd::closed, kStart));
  CHECK(push.isOver());
  CHECK_FALSE(push.setEnd(PushEnd::closed, kStart + 1s));
  CHECK_FALSE(push.setEnd(PushEnd::open, kStart + 1s));
  CHECK(push.changedAt() == kStart);
  CHECK(push.setEnd(PushEnd::cancelled, kStart + 1s));
  CHECK(push.changedAt() == kStart + 1s);
}

TEST_CASE("a push is kept while it is taken, and longer while others take it") {
  OpenPush push(offerTo(), id(1), kStart);
  CHECK(push.forgetAt() == kStart + limits::kPushKept);
  REQUIRE(push.merge(entryOf(3, PushState::accepted), kStart + 1s));
  CHECK(push.forgetAt() == kStart + 1s + limits::kPushAwaited);
  push.beginTaking(id(2), {}, kStart);
  CHECK(push.forgetAt() == kNever);
  push.endTaking();
  REQUIRE(push.merge(entryOf(3, PushState::verified), kStart + 2s));
  CHECK(push.forgetAt() == kStart + 2s + limits::kPushKept);
}

// --- PushLink ---

TEST_CASE("a link collects news and sends each entry once") {
  OpenPushes pushes;
  OpenPush& push = pushes.try_emplace(pushId(), offerTo(), PeerId(), kStart).first->second;
  PushLink link(contact(9));
  CHECK(link.deadline() == kNever);
  link.addNews(pushId(), *push.merge(entryOf(2, PushState::accepted), kStart), kStart);
  link.addNews(pushId(), *push.merge(entryOf(3, PushState::accepted), kStart), kStart + 1ms);
  link.addNews(pushId(), *push.merge(entryOf(2, PushState::verified), kStart), kStart + 2ms);
  REQUIRE(link.deadline() == kStart + limits::kLedgerDelay);

  Effects fx;
  link.flush(ConnectionId{7}, pushes, link.deadline(), fx);
  REQUIRE(fx.sends.size() == 1);
  CHECK(fx.sends[0].to == ConnectionId{7});
  CHECK(ledgers(fx)[0].entries.size() == 2);
  CHECK(ledgers(fx)[0].entries[0].state == PushState::verified);
  CHECK(link.deadline() == kNever);
}

TEST_CASE("the end of a push is news without an entry") {
  OpenPushes pushes;
  OpenPush& push = pushes.try_emplace(pushId(), offerTo(), PeerId(), kStart).first->second;
  PushLink link(contact(9));
  push.setEnd(PushEnd::cancelled, kStart);
  link.addEnd(pushId(), kStart);
  Effects fx;
  link.flush(ConnectionId{7}, pushes, link.deadline(), fx);
  REQUIRE(fx.sends.size() == 1);
  CHECK(ledgers(fx)[0] == wire::PushLedger{pushId(), PushEnd::cancelled, {}});
}

TEST_CASE("after a burst a link sends news no more often than its rate") {
  OpenPushes pushes;
  OpenPush& push = pushes.try_emplace(pushId(), offerTo(), PeerId(), kStart).first->second;
  PushLink link(contact(9));
  std::vector<TimePoint> sent;
  for (std::uint32_t version = 1; version <= 3 * limits::kLedgerFlushes; ++version) {
    const TimePoint now = sent.empty() ? kStart : sent.back();
    const auto index = push.merge(entryOf(2, PushState::accepted, version), now);
    link.addNews(pushId(), *index, now);
    sent.push_back(link.deadline());
    Effects fx;
    link.flush(ConnectionId{7}, pushes, sent.back(), fx);
  }
  CHECK(sent[limits::kLedgerFlushes - 1] - kStart == limits::kLedgerFlushes * limits::kLedgerDelay);
  for (std::size_t i = limits::kLedgerFlushes; i < sent.size(); ++i) {
    CHECK(sent[i] - sent[i - limits::kLedgerFlushes] >= limits::kLedgerWindow);
  }
}

TEST_CASE("a flush sends a bounded number of bytes, and the rest with the next ones") {
  OpenPushes pushes;
  OpenPush& push = pushes.try_emplace(pushId(), offerTo(), PeerId(), kStart).first->second;
  for (unsigned number = 2; number < 12000; ++number) {
    push.merge(entryOf(number, PushState::accepted), kStart);
  }
  PushLink link(contact(9));
  link.addNews(pushId(), push.ledger(), kStart);
  std::set<PeerId> heard;
  std::size_t flushes = 0;
  while (link.deadline() != kNever) {
    Effects fx;
    link.flush(ConnectionId{7}, pushes, link.deadline(), fx);
    ++flushes;
    std::size_t entries = 0;
    for (const auto& ledger : ledgers(fx)) {
      entries += ledger.entries.size();
      for (const auto& entry : ledger.entries) CHECK(heard.insert(entry.peer.id).second);
    }
    CHECK(entries * 64 <= limits::kLedgerFlushBytes + limits::kPushMessageBytes);
  }
  CHECK(flushes > 1);
  CHECK(heard.size() == push.ledger().size());
}

TEST_CASE("a forgotten push leaves no news, and may become known again") {
  OpenPushes pushes;
  OpenPush& push = pushes.try_emplace(pushId(), offerTo(), PeerId(), kStart).first->second;
  PushLink link(contact(9));
  link.offerSent(pushId(), false, kStart);
  CHECK(link.wasTold(pushId()));
  CHECK_FALSE(link.hasAnswered(pushId()));
  link.setAnswered(pushId());
  CHECK(link.wasTold(pushId()));
  CHECK(link.hasAnswered(pushId()));
  link.addNews(pushId(), *push.merge(entryOf(2, PushState::accepted), kStart), kStart);
  link.forget(pushId());
  CHECK_FALSE(link.knows(pushId()));
  Effects fx;
  link.flush(ConnectionId{7}, pushes, kStart + 1s, fx);
  CHECK(fx.sends.empty());
  link.setAnswered(pushId());
  CHECK(link.knows(pushId()));
  CHECK_FALSE(link.wasTold(pushId()));
}

TEST_CASE("an offer is due again a few times, each time later") {
  PushLink link(contact(9));
  TimePoint now = kStart;
  link.offerSent(pushId(), true, now);
  for (unsigned i = 0; i < limits::kPushOffersAgain; ++i) {
    const Duration wait = limits::kPushOfferAgain * (1u << i);
    CHECK(link.deadline() == now + wait);
    CHECK(link.takePostponed(now + wait - 1ms).empty());
    now += wait;
    CHECK(link.takePostponed(now) == std::vector{std::pair(pushId(), true)});
    link.offerSent(pushId(), true, now);
  }
  CHECK(link.deadline() == kNever);
}

TEST_CASE("each misbehaviour on a link is told once") {
  PushLink link(contact(9));
  Effects fx;
  for (int i = 0; i < 3; ++i) {
    link.blame("nonsense", fx);
    link.blame("too much", fx);
  }
  REQUIRE(fx.notices.size() == 2);
  CHECK(fx.notices[0].text == "s9 sent nonsense");
  CHECK(fx.notices[1].text == "s9 sent too much");
}

// --- PushTaking ---

TEST_CASE("a source is chosen at once if all peers before this one have decided") {
  auto taking = takingOf(3);
  CHECK(taking.deadline() == kStart);
  Effects fx;
  CHECK(taking.choose(chainOf(4), kStart, kStart, fx));
  CHECK(sources(fx) == std::vector{id(2)});
}

TEST_CASE("a peer before this one that has not decided is awaited for a bounded time") {
  auto taking = takingOf(4);
  auto ledger = chainOf(2);
  ledger.merge(entryOf(3, PushState::offered));
  ledger.merge(entryOf(4, PushState::accepted));
  Effects fx;
  REQUIRE(taking.choose(ledger, kStart, kStart, fx));
  CHECK(fx.pushJobs.empty());
  while (taking.deadline() < kStart + limits::kPushForming) {
    REQUIRE(taking.choose(ledger, kStart, taking.deadline(), fx));
  }
  CHECK(fx.pushJobs.empty());
  REQUIRE(taking.choose(ledger, kStart, kStart + limits::kPushForming, fx));
  CHECK(sources(fx) == std::vector{id(2)});
}

TEST_CASE("a better source replaces the chosen one only while the push settles") {
  for (const auto& elapsed : {Duration(2s), Duration(limits::kPushSettling) + 1s}) {
    auto taking = takingOf(4);
    auto ledger = chainOf(2);
    auto own = entryOf(4, PushState::accepted);
    own.via = id(3);
    ledger.merge(own);
    Effects fx;
    const TimePoint now = kStart + elapsed;
    while (taking.deadline() < now) {
      REQUIRE(taking.choose(ledger, kStart - 1s, taking.deadline(), fx));
    }
    REQUIRE(sources(fx) == std::vector{id(2)});
    auto nearer = entryOf(3, PushState::accepted);
    nearer.via = id(2);
    ledger.merge(nearer);
    taking.ledgerChanged(now);
    if (taking.deadline() < now + 1s) REQUIRE(taking.choose(ledger, now, taking.deadline(), fx));
    CHECK(sources(fx).back() == (elapsed < limits::kPushSettling ? id(3) : id(2)));
  }
}

TEST_CASE("a source that failed is replaced, rests, and is chosen behind all others") {
  auto taking = takingOf(3);
  const auto ledger = chainOf(3);
  Effects fx;
  REQUIRE(taking.choose(ledger, kStart, kStart, fx));
  CHECK(taking.sourceFailed(0, id(2), PushTrouble::useless, kStart));
  REQUIRE(taking.choose(ledger, kStart, kStart, fx));
  CHECK(taking.sourceFailed(0, id(1), PushTrouble::useless, kStart + 1s));
  REQUIRE(taking.choose(ledger, kStart, kStart + 1s, fx));
  CHECK(sources(fx) == std::vector{id(2), id(1)});
  // Both rest; the first one that rests no longer is chosen.
  REQUIRE(taking.choose(ledger, kStart, kStart + limits::kPushSourceRest, fx));
  CHECK(sources(fx) == std::vector{id(2), id(1), id(2)});
}

TEST_CASE("sources on a host whose dials are spent do not keep others from being chosen") {
  Budget budget;
  auto host = budget.account(Payer::machine("192.0.2.7"));
  while (host.spend(limits::Rate::dials, kStart)) {
  }
  auto ledger = chainOf(2);
  for (unsigned number = 3; number < 30; ++number) {
    auto entry = entryOf(number, PushState::accepted);
    entry.via = id(number - 1);
    entry.peer.endpoint.host = "192.0.2.7";
    ledger.merge(entry);
  }
  auto own = entryOf(30, PushState::accepted);
  own.via = id(29);
  ledger.merge(own);
  // Enough chunks for a chain, in which all of that host come before s2.
  PushTaking taking({pushId(), id(1), id(30), 1u << 20, true, &budget}, kStart);
  Effects fx;
  REQUIRE(taking.choose(ledger, kStart, kStart, fx));
  REQUIRE(!sources(fx).empty());
  for (const auto& source : sources(fx)) CHECK((source == id(1) || source == id(2)));
}

TEST_CASE("a report about another source or stripe changes nothing") {
  auto taking = takingOf(3);
  Effects fx;
  CHECK_FALSE(taking.sourceFailed(0, id(2), PushTrouble::useless, kStart));
  REQUIRE(taking.choose(chainOf(3), kStart, kStart, fx));
  CHECK_FALSE(taking.sourceFailed(0, id(1), PushTrouble::useless, kStart));
  CHECK_FALSE(taking.sourceFailed(1, id(2), PushTrouble::useless, kStart));
  CHECK(taking.sourceFailed(0, id(2), PushTrouble::useless, kStart));
  CHECK_FALSE(taking.sourceFailed(0, id(2), PushTrouble::useless, kStart));
}

TEST_CASE("a source that lied is not chosen again, and taking fails when no other gives anything") {
  auto taking = takingOf(2, true);
  const auto ledger = chainOf(2);
  Effects fx;
  REQUIRE(taking.choose(ledger, kStart, kStart, fx));
  REQUIRE(taking.sourceFailed(0, id(1), PushTrouble::lied, kStart));
  REQUIRE(taking.choose(ledger, kStart, kStart, fx));
  CHECK(taking.deadline() == kStart + limits::kPushKept);
  CHECK(taking.choose(ledger, kStart, kStart + limits::kPushKept - 1s, fx));
  CHECK_FALSE(taking.choose(ledger, kStart, kStart + limits::kPushKept, fx));
  CHECK(sources(fx) == std::vector{id(1)});
}
