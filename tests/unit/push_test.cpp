// Pushes at one peer and in small networks: offers, the spread of the ledger over links, and
// hostile neighbours.
#include <doctest/doctest.h>

#include <set>

#include "tests/unit/push_fixture.h"

using namespace espalier;
using namespace espalier::peer;
using namespace espalier::peer::test;

TEST_CASE(
    "an offer reaches all peers, each takes from the one before, and all ledgers become equal") {
  auto network = line(5);
  const auto push = network.push(3);
  network.run(3s);
  CHECK(network.sourceOf(2) == id(3));
  CHECK(network.sourceOf(1) == id(2));
  // Depth first from s3: s2, s1, then s4, s5.
  CHECK(network.sourceOf(4) == id(1));
  CHECK(network.sourceOf(5) == id(4));
  for (const unsigned taker : {1u, 2u, 4u, 5u}) {
    CHECK(network.jobs<PushReceive>(taker) == 1);
    network.complete(taker, push);
  }
  network.run(3s);
  for (unsigned as = 1; as <= 5; ++as) {
    CHECK(network.at(as).pushes->view(push)->ledger == network.at(3).pushes->view(push)->ledger);
    CHECK(network.at(as).pushes->view(push)->ledger.count(PushState::verified) == 5);
  }
}

TEST_CASE("a peer that takes no pushes declines with a reason, and passes the offer on") {
  auto network = line(3);
  network.restart(2, PushPolicy{});
  network.link(1, 2);
  network.link(2, 3);
  const auto push = network.push(1);
  network.run(3s);
  CHECK(network.stateOf(2, push, 1) == PushState::declined);
  CHECK(network.jobs<PushReceive>(2) == 0);
  CHECK(network.at(1).pushes->view(push)->ledger.find(id(2))->reason() == "takes no pushes");
  CHECK(network.sourceOf(3) == id(1));
}

TEST_CASE("a push larger than the limit is declined, one of exactly the limit is taken") {
  for (const std::uint64_t limit : {kFileOfAChain - 1, kFileOfAChain}) {
    Network network(2, {PushPolicy::From::some, {id(1)}, limit});
    network.link(1, 2);
    const auto push = network.push(1);
    network.run(1s);
    CHECK(network.stateOf(2, push, 1) ==
          (limit < kFileOfAChain ? PushState::declined : PushState::accepted));
  }
}

TEST_CASE("a peer that a push is not meant for passes the offer on and has no entry") {
  auto network = line(4);
  const auto push = network.push(1, {id(3)});
  network.run(3s);
  CHECK(network.jobs<PushReceive>(2) == 0);
  CHECK(network.sourceOf(3) == id(1));
  CHECK(network.at(1).pushes->view(push)->ledger.size() == 2);
}

TEST_CASE("changes go over a link four times a second at most, but for a burst, whatever happens") {
  auto network = line(3);
  const auto push = network.push(1);
  network.run(2s);
  network.at(2).ledgersSent.clear();
  for (std::uint32_t i = 1; i <= 2000; ++i) {
    network.receive(2, 1, ledgerOf(push, {entryOf(9, PushState::verified, i)}));
    network.run(10ms);
  }
  const auto& sent = network.at(2).ledgersSent;
  REQUIRE(sent.size() > limits::kLedgerFlushes);
  for (std::size_t i = limits::kLedgerFlushes; i < sent.size(); ++i) {
    CHECK(sent[i] - sent[i - limits::kLedgerFlushes] >= limits::kLedgerWindow);
  }
}

TEST_CASE("a push is kept as long as a peer takes it") {
  auto network = line(3);
  const auto push = network.push(1);
  network.run(1s);
  network.complete(2, push);
  network.run(10 * limits::kPushKept);
  CHECK(network.at(1).pushes->view(push));
  CHECK(network.at(2).pushes->view(push));
  network.complete(3, push);
  network.run(1s);
  CHECK(network.stateOf(3, push, 1) == PushState::verified);
  network.run(limits::kPushKept);
  CHECK(network.at(1).pushes->size() == 0);
}

TEST_CASE("a peer that offers a push that is over is told so") {
  auto network = line(2);
  const auto push = network.push(1);
  network.run(2s);
  const auto offer = network.at(1).pushes->view(push)->offer;
  network.step(1, [&](Effects& fx) {
    network.at(1).pushes->finish(push, PushEnd::cancelled, network.now, fx);
  });
  network.run(2s);
  const auto before = network.at(2).ledgersSent.size();
  network.receive(2, 1, offer);
  network.run(1s);
  CHECK(network.at(2).ledgersSent.size() == before + 1);
}

TEST_CASE(
    "a peer whose link is lost is told lost, and takes that back when it is linked elsewhere") {
  auto network = line(3);
  const auto push = network.push(1);
  network.run(2s);
  network.cut(2, 3);
  network.run(limits::kPushGone + 2s);
  CHECK(network.stateOf(3, push, 1) == PushState::lost);
  network.link(1, 3);
  network.run(2s);
  CHECK(network.stateOf(3, push, 1) == PushState::accepted);
  CHECK(network.stateOf(3, push, 2) == PushState::accepted);
}

TEST_CASE("a link that heals elsewhere in time is not lost") {
  auto network = line(3);
  const auto push = network.push(1);
  network.run(2s);
  network.cut(2, 3);
  network.link(1, 3);
  network.run(limits::kPushGone / 2);
  network.link(2, 3);  // not a tree any more: the second link shows that s3 is alive
  network.run(limits::kPushGone * 2);
  CHECK(network.at(1).pushes->view(push)->ledger.find(id(3))->version() == 1);
}

TEST_CASE("a restarted peer takes the push up, as a late one") {
  auto network = line(3);
  const auto push = network.push(1);
  network.run(2s);
  network.complete(2, push);
  network.run(1s);
  network.restart(2);
  network.link(1, 2);
  network.link(2, 3);
  network.run(3s);
  CHECK(network.jobs<PushReceive>(2) == 1);
  const auto view = network.at(3).pushes->view(push);
  REQUIRE(view);
  const auto entry = view->ledger.find(id(2));
  REQUIRE(entry);
  CHECK(entry->state() == PushState::accepted);
  CHECK(entry->version() == 2);
  CHECK(entry->late());
}

TEST_CASE("a peer that joins during a push gets it, one that joins behind its end does not") {
  Network network(4);
  network.link(1, 2);
  const auto push = network.push(1);
  network.run(2s);
  network.link(2, 3);
  network.run(2s);
  CHECK(network.jobs<PushReceive>(3) == 1);
  CHECK(network.sourceOf(3) == id(2));
  network.step(1, [&](Effects& fx) {
    network.at(1).pushes->finish(push, PushEnd::closed, network.now, fx);
  });
  network.run(2s);
  network.link(3, 4);
  network.run(2s);
  CHECK(network.jobs<PushReceive>(4) == 0);
  CHECK(network.at(4).pushes->size() == 0);
}

TEST_CASE("a sender that comes back without its ledger gets it from its neighbour") {
  auto network = line(3);
  const auto push = network.push(1);
  network.run(2s);
  network.complete(2, push);
  network.run(1s);
  network.restart(1);
  network.link(1, 2);
  network.run(2s);
  CHECK(network.jobs<PushReceive>(1) == 0);
  CHECK(network.at(1).pushes->view(push)->ledger == network.at(2).pushes->view(push)->ledger);
  CHECK(network.stateOf(1, push, 1) == PushState::verified);
}

TEST_CASE("a sender that pushed to some only has its entry back after a restart, too") {
  auto network = line(3);
  const auto push = network.push(1, {id(2), id(3)});
  network.run(2s);
  network.complete(2, push);
  network.run(1s);
  network.restart(1);
  network.link(1, 2);
  network.run(2s);
  CHECK(network.jobs<PushReceive>(1) == 0);
  CHECK(network.stateOf(1, push, 1) == PushState::verified);
}

TEST_CASE("a cancelled push ends for all peers that are not complete") {
  auto network = line(3);
  const auto push = network.push(1);
  network.run(2s);
  network.complete(2, push);
  network.step(1, [&](Effects& fx) {
    network.at(1).pushes->finish(push, PushEnd::cancelled, network.now, fx);
  });
  network.run(2s);
  CHECK(network.stateOf(2, push, 1) == PushState::verified);
  CHECK(network.stateOf(3, push, 1) == PushState::failed);
  CHECK(network.jobs<PushDrop>(3) == 1);
  CHECK(network.jobs<PushDrop>(2) == 0);
}

TEST_CASE("no other peer can end a sender's push") {
  auto network = line(2);
  const auto push = network.push(1);
  network.run(1s);
  network.receive(1, 2, wire::PushLedger{push, PushEnd::cancelled, {}});
  CHECK(network.at(1).pushes->view(push)->offer.end == PushEnd::open);
}

TEST_CASE("a peer contradicts claims about itself, and entries never become smaller") {
  auto network = line(3);
  const auto push = network.push(1);
  network.run(2s);
  network.receive(3, 2, ledgerOf(push, {entryOf(3, PushState::verified, 9)}));
  network.run(2s);
  CHECK(network.stateOf(3, push, 1) == PushState::accepted);
  CHECK(network.at(1).pushes->view(push)->ledger.find(id(3))->version() == 10);
  network.complete(2, push);
  network.run(1s);
  network.receive(1, 2, ledgerOf(push, {entryOf(2, PushState::accepted)}));
  CHECK(network.stateOf(2, push, 1) == PushState::verified);
}

TEST_CASE("peers that a push is not meant for are ignored and told once") {
  auto network = line(2);
  const auto push = network.push(1, {id(2)});
  network.run(1s);
  const auto size = network.at(1).pushes->view(push)->ledger.size();
  for (int i = 0; i < 3; ++i) {
    network.receive(1, 2, ledgerOf(push, {entryOf(7, PushState::verified)}));
  }
  CHECK(network.at(1).pushes->view(push)->ledger.size() == size);
  CHECK(network.at(1).notices.size() == 1);
}

TEST_CASE("a flood of offers fills the table and no more, and the pushes that are taken stay") {
  auto network = line(2);
  const auto push = network.push(1);
  network.run(1s);
  Random random(7);
  for (std::size_t i = 0; i < 10 * limits::kPushes; ++i) {
    wire::PushOffer offer{
        randomFrom<PushId>(random), contact(9), id(9), false, PushEnd::open, oneFile(), {}};
    network.receive(2, 1, offer);
    REQUIRE(network.at(2).pushes->size() <= limits::kPushes);
  }
  CHECK(network.at(2).pushes->view(push));
  CHECK(network.at(2).notices.size() == 1);
}

TEST_CASE("an offer of a file that cannot exist is neither taken nor passed on, and told once") {
  auto network = line(3);
  Random random(7);
  // An empty file has a root of zeros, and no other has one.
  auto rootless = oneFile();
  rootless[0].root = {};
  for (const auto& files : {oneFile(0), rootless}) {
    network.receive(
        2, 1,
        wire::PushOffer{
            randomFrom<PushId>(random), contact(1), id(1), false, PushEnd::open, files, {}});
  }
  network.run(1s);
  CHECK(network.at(2).pushes->size() == 0);
  CHECK(network.at(3).pushes->size() == 0);
  CHECK(network.at(2).notices ==
        std::vector<std::string>{"s1 sent a push of a file that cannot exist"});
}

TEST_CASE(
    "offers that have ended make room for others, open ones when nothing more is heard of them") {
  Network network(2, PushPolicy{});
  network.link(1, 2);
  Random random(7);
  for (std::size_t i = 0; i < 10 * limits::kPushes; ++i) {
    wire::PushOffer offer{
        randomFrom<PushId>(random), contact(9), id(9), false, PushEnd::open, oneFile(), {}};
    network.receive(2, 1, offer);
    if (i < limits::kPushes) continue;
    CHECK(network.at(2).pushes->view(offer.id).has_value() == (i > limits::kPushes && i % 2 == 0));
    if (i % 2 == 1) {
      network.receive(2, 1, wire::PushLedger{network.at(2).pushes->ids()[0], PushEnd::closed, {}});
    }
  }
  CHECK(network.at(2).pushes->size() == limits::kPushes);
  network.run(limits::kPushIdle);
  const auto last = network.push(1);
  network.run(1s);
  CHECK(network.at(2).pushes->view(last));
}

TEST_CASE(
    "a ledger of very many peers goes in frames that fit, all of it to a link that comes up") {
  Network network(3);
  network.link(1, 2);
  const auto push = network.push(1);
  network.run(1s);
  wire::PushLedger many{push, PushEnd::open, {}};
  for (unsigned i = 10; i < 5000; ++i) many.entries.push_back(entryOf(i, PushState::accepted));
  network.receive(1, 2, many);
  network.link(1, 3);
  network.run(5s);
  CHECK(network.at(3).pushes->view(push)->ledger.size() ==
        network.at(1).pushes->view(push)->ledger.size());
}

TEST_CASE("a push is forgotten some time after its last change, and not taken up again") {
  auto network = line(2);
  const auto push = network.push(1);
  network.run(1s);
  network.complete(2, push);
  network.run(limits::kPushKept + 10s);
  CHECK(network.at(2).pushes->size() == 0);
  CHECK(network.jobs<PushDrop>(2) == 1);
  network.receive(2, 1,
                  wire::PushOffer{push, contact(1), id(1), false, PushEnd::open, oneFile(), {}});
  CHECK(network.at(2).pushes->size() == 0);
}

TEST_CASE("a push that cannot be offered is refused") {
  auto network = line(1);
  Effects fx;
  auto& pushes = *network.at(1).pushes;
  CHECK_FALSE(pushes.start({}, {}, network.now, fx).ok());
  std::vector<wire::PushFile> files(limits::kPushFiles, oneFile()[0]);
  CHECK_FALSE(pushes.start(files, {}, network.now, fx).ok());
  CHECK(fx.sends.empty());
}
