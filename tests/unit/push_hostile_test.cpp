// Pushes among neighbours that lie and flood: what they say counts only for themselves.
#include <doctest/doctest.h>

#include "peer/core/push_id.h"
#include "tests/unit/push_fixture.h"

using namespace espalier;
using namespace espalier::peer;
using namespace espalier::peer::test;

namespace {

// s1 is the sender; s2 declines; s3 and the liar s4 are linked to s1, too.
Network star() {
  Network network(4);
  network.restart(2, PushPolicy{});
  for (const unsigned number : {2u, 3u, 4u}) {
    network.link(1, number);
    network.setBehind(1, number, 1);
  }
  return network;
}

}  // namespace

// --- ledgers ---

TEST_CASE(
    "no message and no number of messages makes another peer's claim about a neighbour count") {
  auto network = star();
  const auto push = network.push(1);
  network.run(2s);
  std::uint32_t version = 1;
  for (int i = 0; i < 2000; ++i) {
    auto lie = entryOf(2, PushState::verified, version += 4096);
    network.receive(1, 4, ledgerOf(push, {lie, lie}));
    CHECK(network.stateOf(2, push, 1) == PushState::declined);
    network.run(20ms);
  }
  network.run(2s);
  for (const unsigned as : {1u, 2u, 3u}) CHECK(network.stateOf(2, push, as) == PushState::declined);
}

TEST_CASE("one message raises the version of a peer's entry once") {
  auto network = line(3);
  const auto push = network.push(1);
  network.run(2s);
  std::vector<PushEntry> lies;
  for (std::uint32_t i = 1; i <= 1000; ++i) {
    lies.push_back(entryOf(3, PushState::verified, 1 + i * 8192));
  }
  network.receive(1, 2, ledgerOf(push, lies));
  CHECK(network.at(1).pushes->view(push)->ledger.find(id(3))->version() == 1 + 8192);
  CHECK(network.at(1).notices.size() == 1);
}

TEST_CASE("a peer has the last word about itself, however often a neighbour's neighbour lies") {
  // s5 is behind s2; the liar is s4.
  Network network(5);
  for (const unsigned number : {2u, 3u, 4u}) network.link(1, number);
  network.link(2, 5);
  const auto push = network.push(1);
  network.run(2s);
  std::uint32_t version = 1;
  for (int i = 0; i < 500; ++i) {
    network.receive(1, 4, ledgerOf(push, {entryOf(5, PushState::verified, version)}));
    network.run(10ms);
    version = network.at(1).pushes->view(push)->ledger.find(id(5))->version() + 1000;
  }
  network.run(2min);
  CHECK(version < limits::kLedgerVersion / 1000);
  for (const unsigned as : {1u, 2u, 3u, 5u}) {
    CHECK(network.stateOf(5, push, as) == PushState::accepted);
  }
}

TEST_CASE("versions grow with time, so a liar cannot use them up, and small ones need not wait") {
  auto network = line(4);
  const auto push = network.push(1);
  network.run(2s);
  const auto versionOf = [&](unsigned number) {
    return network.at(1).pushes->view(push)->ledger.find(id(number))->version();
  };
  constexpr std::uint32_t kLarge =
      limits::kLedgerVersionsAtOnce + 60 * limits::kLedgerVersionsPerSecond;
  network.receive(1, 2,
                  ledgerOf(push, {entryOf(4, PushState::accepted, 1u << 31),
                                  entryOf(3, PushState::accepted, kLarge)}));
  network.run(1s);
  for (const unsigned number : {3u, 4u}) CHECK(versionOf(number) == 1);
  network.receive(1, 2, ledgerOf(push, {entryOf(4, PushState::accepted, 20)}));
  network.run(10s);
  CHECK(versionOf(4) == 20);
  network.run(2min);
  CHECK(versionOf(3) == kLarge);  // s2 did not mean it, so s3 has not heard it
  CHECK(versionOf(4) < 100);
}

TEST_CASE("the sender keeps what each link says about a peer of which two tell differently") {
  Network network(5);
  for (const unsigned number : {2u, 3u, 4u}) network.link(1, number);
  network.link(2, 5);
  const auto push = network.push(1);
  network.run(2s);
  network.receive(1, 4, ledgerOf(push, {entryOf(5, PushState::verified)}));
  const auto view = network.at(1).pushes->view(push);
  const auto entry = view->ledger.find(id(5));
  REQUIRE(entry);
  REQUIRE(*view->tellers.teller(entry->index()) == id(4));
  const auto* claims = view->tellers.claims(entry->index());
  REQUIRE(claims != nullptr);
  CHECK(claims->at(id(2)).state == PushState::accepted);
  CHECK(claims->at(id(4)).state == PushState::verified);
  // An honest peer has no other teller than its own branch.
  CHECK(view->tellers.claims(view->ledger.find(id(3))->index()) == nullptr);
}

TEST_CASE("what a lost neighbour said elsewhere meanwhile counts once its link is gone") {
  auto network = line(3);
  const auto push = network.push(1);
  network.run(2s);
  // s3 has moved, which s2 does not know yet.
  network.receive(2, 1, ledgerOf(push, {entryOf(3, PushState::verified, 2)}));
  CHECK(network.stateOf(3, push, 2) == PushState::accepted);
  network.at(3).links.clear();
  network.step(2, [&](Effects& fx) {
    auto& links = network.at(2).links;
    for (auto link = links.begin(); link != links.end(); ++link) {
      if (link->second.first != 3) continue;
      const auto connection = link->first;
      links.erase(link);
      return network.at(2).pushes->linkDown(connection, network.now, fx);
    }
  });
  CHECK(network.stateOf(3, push, 2) == PushState::verified);
}

TEST_CASE("a neighbour names as many peers as are behind it, and a newcomer finds room") {
  auto network = star();
  const auto push = network.push(1);
  network.run(2s);
  for (unsigned first = 100; first < 20'000; first += 500) {
    wire::PushLedger many{push, PushEnd::open, {}};
    for (unsigned i = first; i < first + 500; ++i) {
      many.entries.push_back(entryOf(i, PushState::accepted));
    }
    network.receive(1, 4, many);
    network.run(100ms);
  }
  // Some may have left or moved.
  constexpr std::size_t kMoved = 16 + 2;  // the burst of Rate::pushNames, and its rate for 4 s
  constexpr std::size_t kBehind = 4 + limits::kPeersBehindSlack + 1;
  CHECK(network.at(1).pushes->view(push)->ledger.size() <= kBehind + kMoved);
  CHECK(network.at(1).notices.size() == 1);
  network.run(1h);
  CHECK(network.at(1).pushes->view(push)->ledger.size() <= kBehind + limits::kLedgerMoved);
  // More peers are behind the link now: they are let in.
  network.setBehind(1, 4, 100);
  network.run(1s);
  CHECK(network.at(1).pushes->view(push)->ledger.size() > 100);
}

TEST_CASE("a full ledger keeps room for neighbours") {
  Network network(3);
  network.link(1, 2);
  const auto push = network.push(1);
  network.run(1s);
  for (unsigned first = 100; first < 20'000; first += 500) {
    wire::PushLedger many{push, PushEnd::open, {}};
    for (unsigned i = first; i < first + 500; ++i) {
      many.entries.push_back(entryOf(i, PushState::accepted));
      many.entries.back().via = id(100'000 + i);
    }
    network.receive(1, 2, many);
    network.run(100ms);
  }
  network.link(1, 3);
  network.run(2s);
  CHECK(network.stateOf(3, push, 1) == PushState::accepted);
}

// --- ends ---

TEST_CASE("only the sender can end its push, and its proof counts whoever passes it on") {
  auto network = line(4);
  const auto push = network.push(1);
  network.run(2s);
  Random random(1);
  const auto endedAt = [&](unsigned as) { return network.at(as).pushes->view(push)->offer.end; };
  for (const unsigned from : {2u, 4u}) {
    network.receive(3, from, wire::PushLedger{push, PushEnd::cancelled, {}});
    network.receive(
        3, from, wire::PushLedger{push, PushEnd::cancelled, {}, randomFrom<PushEndProof>(random)});
  }
  network.run(2 * limits::kPushEndDoubted);
  for (const unsigned as : {1u, 2u, 3u, 4u}) {
    CHECK(endedAt(as) == PushEnd::open);
    CHECK(network.stateOf(3, push, as) == PushState::accepted);
  }
  network.step(1, [&](Effects& fx) {
    network.at(1).pushes->finish(push, PushEnd::closed, network.now, fx);
  });
  network.run(1s);
  for (const unsigned as : {1u, 2u, 3u, 4u}) CHECK(endedAt(as) == PushEnd::closed);
  // Nobody makes more of it.
  const auto closed = network.at(3).pushes->view(push)->offer.endProof;
  network.receive(3, 2, wire::PushLedger{push, PushEnd::cancelled, {}, closed});
  CHECK(endedAt(3) == PushEnd::closed);
  InstanceKey key;
  key.bytes.fill(1);
  const auto offer = network.at(3).pushes->view(push)->offer;
  const auto cancelled = endProofOf(offer, key, PushEnd::cancelled);
  network.receive(3, 4, wire::PushLedger{push, PushEnd::cancelled, {}, cancelled});
  CHECK(endedAt(3) == PushEnd::cancelled);
}

TEST_CASE("of an older program's push, only the sender's direction says the end at once") {
  for (const bool isSealed : {true, false}) {
    auto network = line(3);
    auto offer = offerOf(1, 7);
    InstanceKey key;
    key.bytes.fill(1);
    if (isSealed) {  // and a peer between removed what it did not know
      sealOffer(offer, key);
      offer.endHash = {};
    }
    network.receive(2, 1, offer);
    network.run(2s);
    network.receive(2, 3, wire::PushLedger{offer.id, PushEnd::closed, {}});
    CHECK(network.at(2).pushes->view(offer.id)->offer.end == PushEnd::open);
    network.run(2 * limits::kPushEndDoubted);
    CHECK(network.at(2).pushes->view(offer.id)->offer.end == PushEnd::closed);
    network.receive(2, 1, wire::PushLedger{offer.id, PushEnd::cancelled, {}});
    CHECK(network.at(2).pushes->view(offer.id)->offer.end == PushEnd::cancelled);
  }
}

TEST_CASE("a sender that is told that its push has ended contradicts, for older programs") {
  auto network = line(2);
  const auto push = network.push(1);
  network.run(2s);
  network.receive(1, 2, wire::PushLedger{push, PushEnd::cancelled, {}});
  network.run(2s);
  CHECK(network.at(2).pushes->view(push)->ledger.find(id(1))->version() == 2);
}

TEST_CASE("a push in a peer's name that it did not make is taken neither by it nor by neighbours") {
  auto network = line(4);
  const auto inName = offerOf(2, 5);
  network.receive(3, 4, inName);
  network.run(1s);
  for (const unsigned as : {1u, 2u, 3u}) CHECK_FALSE(network.at(as).pushes->view(inName.id));
  CHECK(network.at(2).notices.empty());  // s3 may only have passed it on
  for (std::uint64_t i = 0; i < 100; ++i) network.receive(3, 4, offerOf(2, 100 + i));
  CHECK(network.at(3).offersSent == limits::kPushes);  // a flood is not passed on
  // After a restart the sender knows its own again.
  const auto own = network.push(2);
  network.run(1s);
  network.restart(2);
  network.link(1, 2);
  network.link(2, 3);
  network.run(1s);
  CHECK(network.at(2).pushes->view(own));
  CHECK(network.stateOf(2, own, 3) == PushState::verified);
}

TEST_CASE("who is linked under another peer's id keeps neither its pushes nor its entries back") {
  // s1 is the sender, far away; s2 and the liar, under the id of s1, are linked to s3.
  Network network(4);
  network.link(1, 2);
  network.link(2, 3);
  network.link(3, 4);
  network.setConfirmed(3, 4, false);
  const auto push = network.push(1);
  network.run(1s);
  REQUIRE(network.at(3).pushes->view(push));
  network.receive(3, 2, ledgerOf(push, {entryOf(4, PushState::accepted, 7)}));
  network.run(1s);
  CHECK(network.stateOf(4, push, 3) == PushState::accepted);
  const auto inName = offerOf(4, 5);
  network.receive(3, 2, inName);
  CHECK(network.at(3).pushes->view(inName.id));
}

TEST_CASE("a newcomer takes the versions that the others take, and answers") {
  auto network = line(2);
  auto offer = offerOf(9, 1);
  offer.ageSeconds = 600;
  network.receive(2, 1, offer);
  const std::uint32_t version =
      limits::kLedgerVersionsAtOnce + 500 * limits::kLedgerVersionsPerSecond;
  network.receive(2, 1, ledgerOf(offer.id, {entryOf(2, PushState::verified, version)}));
  CHECK(network.at(2).pushes->view(offer.id)->ledger.find(id(2))->version() == version + 1);
  // It tells the age to others.
  network.run(1min);
  network.restart(1);
  network.link(1, 2);
  network.run(1s);
  network.receive(1, 2, ledgerOf(offer.id, {entryOf(1, PushState::verified, version)}));
  CHECK(network.at(1).pushes->view(offer.id)->ledger.find(id(1))->version() == version + 1);
}

TEST_CASE("an end hash that an older program removed is added, and the push goes on") {
  auto network = line(3);
  auto offer = offerOf(9, 7);
  InstanceKey key;
  key.bytes.fill(9);
  sealOffer(offer, key);
  auto stripped = offer;
  stripped.endHash = {};
  network.receive(2, 1, stripped);
  network.run(1s);
  network.receive(2, 1, offer);
  CHECK(network.at(2).pushes->view(offer.id)->offer.endHash == offer.endHash);
  CHECK(network.jobs<PushDrop>(2) == 0);
  network.receive(2, 1, wire::PushLedger{offer.id, PushEnd::closed, {}});
  CHECK(network.at(2).pushes->view(offer.id)->offer.end == PushEnd::open);
}

TEST_CASE("an offer that is refused displaces none under its id") {
  auto network = line(3);
  const auto offer = offerOf(9, 7);
  network.receive(2, 3, offer);
  auto bad = offer;
  bad.sender = contact(1);
  bad.end = PushEnd::closed;
  network.receive(2, 1, bad);
  bad.end = PushEnd::open;
  network.receive(2, 1, bad);
  CHECK(network.at(2).pushes->view(offer.id)->offer.sender == offer.sender);
}

// --- offers ---

TEST_CASE("large offers have a rate, and the neighbour's further ones are ignored") {
  Network network(3, PushPolicy{});
  network.link(1, 2);
  network.link(1, 3);
  std::vector<wire::PushFile> files(500, oneFile()[0]);
  for (auto& file : files) file.name = std::string(60, 'n');
  for (std::uint64_t i = 0; i < 3000; ++i) network.receive(1, 2, offerOf(9, i, files));
  CHECK(network.at(1).offersSent < 100);
  CHECK(network.at(1).notices.size() <= 2);
}

TEST_CASE(
    "pushes of which no chunk arrives give their places to others, those that arrive do not") {
  Network network(3);
  network.link(1, 2);
  network.link(1, 3);
  for (std::uint64_t i = 0; i < 2 * limits::kPushes; ++i) network.receive(1, 2, offerOf(9, i));
  CHECK(network.at(1).pushes->size() == limits::kPushes);
  const auto arriving = network.at(1).pushes->ids().front();
  for (int i = 0; i < 10; ++i) {
    network.run(limits::kPushIdle / 4);
    network.at(1).pushes->progressed(arriving, network.now);
  }
  const auto honest = network.push(3);
  network.run(1s);
  CHECK(network.at(1).pushes->view(honest));
  CHECK(network.at(1).pushes->view(arriving));
  CHECK(network.jobs<PushDrop>(1) >= 1);
}

TEST_CASE("another offer under a known id is ignored, but for the sender's own") {
  Network network(3);
  network.link(2, 3);
  const auto real = offerOf(1, 7);
  auto forged = real;
  forged.files[0].name = "forged.bin";
  network.receive(2, 3, forged);
  REQUIRE(network.at(2).pushes->view(real.id)->offer.files == forged.files);
  network.link(1, 2);
  network.receive(2, 1, real);
  CHECK(network.at(2).pushes->view(real.id)->offer.files == real.files);
  CHECK(network.jobs<PushDrop>(2) == 1);
  network.receive(2, 3, forged);
  CHECK(network.at(2).pushes->view(real.id)->offer.files == real.files);
  CHECK(network.at(2).notices ==
        std::vector<std::string>{"s3 sent another offer under the id of a push"});
}

TEST_CASE("the offer that an id commits to replaces a forged one, and is replaced by none") {
  auto network = line(3);
  auto real = offerOf(5, 7);
  real.id = committedId(real);
  auto forged = real;
  forged.files[0].name = "forged.bin";
  network.receive(2, 3, forged);
  network.run(1s);
  REQUIRE(network.at(1).pushes->view(real.id)->offer.files == forged.files);
  network.receive(2, 1, real);
  network.run(1s);
  for (const unsigned as : {2u, 3u}) {
    CHECK(network.at(as).pushes->view(real.id)->offer.files == real.files);
  }
  auto renamed = real;  // by a neighbour, as if it were its own
  renamed.sender = contact(3);
  network.receive(2, 3, forged);
  network.receive(2, 3, renamed);
  const auto kept = network.at(2).pushes->view(real.id)->offer;
  CHECK(kept.files == real.files);
  CHECK(kept.sender == real.sender);
}

TEST_CASE("a push of more files than a neighbour may bring now is taken later, not declined") {
  Network network(2);
  network.link(1, 2);
  const std::vector<wire::PushFile> files(600, oneFile(1000)[0]);
  std::uint64_t number = 0;
  std::optional<PushId> waiting;
  while (!waiting) {
    REQUIRE(number < 50);
    const auto offer = offerOf(2, ++number, files);
    network.receive(1, 2, offer);
    if (network.stateOf(1, offer.id, 1) == PushState::offered) {
      waiting = offer.id;
      continue;
    }
    network.at(1).pushes->progressed(offer.id, network.now);
    network.receive(1, 2, wire::PushLedger{offer.id, PushEnd::cancelled, {}});
  }
  CHECK(number > 20);
  const auto small = offerOf(2, 1000);
  network.receive(1, 2, small);
  const auto ended = offerOf(2, 1001, files);
  network.receive(1, 2, ended);
  network.run(1s);
  CHECK(network.stateOf(1, small.id, 1) == PushState::accepted);
  CHECK(network.stateOf(1, *waiting, 1) == PushState::offered);
  network.receive(1, 2, wire::PushLedger{ended.id, PushEnd::closed, {}});
  network.run(10min);
  CHECK(network.stateOf(1, *waiting, 1) == PushState::accepted);
  CHECK(network.stateOf(1, ended.id, 1) == PushState::declined);
}

TEST_CASE(
    "pushes of which nothing arrives use up no files of their neighbour, but for empty ones") {
  for (const bool areEmpty : {false, true}) {
    Network network(2);
    network.link(1, 2);
    auto file = oneFile(1000)[0];
    if (areEmpty) file = {"empty", 0, FileRoot{}};
    const std::vector<wire::PushFile> files(600, file);
    std::size_t accepted = 0;
    for (std::uint64_t i = 0; i < 60; ++i) {
      const auto offer = offerOf(2, i, files);
      network.receive(1, 2, offer);
      accepted += network.stateOf(1, offer.id, 1) == PushState::accepted ? 1 : 0;
      network.receive(1, 2, wire::PushLedger{offer.id, PushEnd::cancelled, {}});
    }
    CHECK((accepted == 60) == !areEmpty);
  }
}

TEST_CASE("sources that others name are dialled within the budget of their host and endpoint") {
  auto network = Network(2);
  network.link(1, 2);
  const auto push = network.push(1);
  network.run(2s);
  wire::PushLedger many{push, PushEnd::open, {}};
  for (unsigned i = 0; i < 500; ++i) {
    auto entry = entryOf(100 + i, PushState::verified);
    entry.peer.endpoint = {"192.0.2.7", 22};
    many.entries.push_back(entry);
  }
  network.receive(2, 1, many);
  std::size_t dials = 0;
  const TimePoint begun = network.now;
  while (network.now < begun + 60s) {
    std::optional<PeerId> source;
    for (const auto& job : network.at(2).jobs) {
      const auto* from = std::get_if<PushTakeFrom>(&job);
      if (from == nullptr) continue;
      source = from->source.id;
      dials += from->source.endpoint.host == "192.0.2.7" ? 1 : 0;
    }
    network.at(2).jobs.clear();
    if (source) {
      network.step(2, [&](Effects& fx) {
        network.at(2).pushes->sourceFailed(push, 0, *source, PushTrouble::unreachable, network.now,
                                           fx);
      });
    }
    network.run(10ms);
  }
  CHECK(dials < 300);
}
