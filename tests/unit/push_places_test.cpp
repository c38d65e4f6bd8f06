// Who keeps a place when there are more pushes than limits::kPushes, and what is passed on.
#include <doctest/doctest.h>

#include "tests/unit/push_fixture.h"

using namespace espalier;
using namespace espalier::peer;
using namespace espalier::peer::test;

TEST_CASE("a flood of offers does not displace what this peer sends or other neighbours offer") {
  Network network(5, PushPolicy{});
  for (const unsigned number : {2u, 3u, 4u, 5u}) network.link(1, number);
  const auto mine = network.push(1);
  const auto theirs = network.push(2);
  network.run(1s);
  // An ended one of this peer, too.
  const auto ended = network.push(1);
  network.step(1, [&](Effects& fx) {
    network.at(1).pushes->finish(ended, PushEnd::closed, network.now, fx);
  });
  for (std::uint64_t i = 0; i < 2000; ++i) {
    network.receive(1, 4, offerOf(900 + static_cast<unsigned>(i), i));
    if (i % 10 == 0) network.run(100ms);
    REQUIRE(network.at(1).pushes->size() <= limits::kPushes);
  }
  network.run(20s);
  for (const unsigned as : {1u, 2u, 3u}) {
    CHECK(network.at(as).pushes->view(mine));
    CHECK(network.at(as).pushes->view(theirs));
    CHECK(network.at(as).pushes->view(ended));
    CHECK(network.at(as).notices.size() <= 3);
  }
  // Others find a place, too.
  const auto another = network.push(5);
  network.run(2s);
  const auto mineAgain = network.push(1);
  network.run(2s);
  for (const unsigned as : {1u, 2u, 3u}) {
    for (const auto& push : {another, mineAgain, mine, theirs, ended}) {
      CHECK(network.at(as).pushes->view(push));
    }
  }
}

TEST_CASE("offers that are ended at once do not flood the network, and displace only their like") {
  Network network(3, PushPolicy{});
  network.link(1, 2);
  network.link(1, 3);
  const auto mine = network.push(1);
  network.run(1s);
  for (std::uint64_t i = 0; i < 5000; ++i) {
    const auto offer = offerOf(9, i);
    network.receive(1, 2, offer);
    network.receive(1, 2, wire::PushLedger{offer.id, PushEnd::closed, {}});
    if (i % 100 == 0) network.run(10ms);
  }
  network.run(10s);
  CHECK(network.at(3).pushes->view(mine));
  CHECK(network.at(1).offersSent < 2500);
}

TEST_CASE("a push that this peer has received gives its place last") {
  Network network(3);
  network.link(1, 2);
  network.link(1, 3);
  const auto real = offerOf(2, 0);
  network.receive(1, 2, real);
  network.complete(1, real.id);
  for (std::uint64_t i = 1; i < limits::kPushes; ++i) network.receive(1, 2, offerOf(900, i));
  network.run(2 * limits::kPushSilence);
  for (int i = 0; i < 5; ++i) network.push(3);
  network.run(1s);
  CHECK(network.at(1).pushes->view(real.id));
  CHECK(network.at(1).pushes->size() == limits::kPushes);
}

TEST_CASE("pushes forged in a sender's name do not displace the one that was received from it") {
  Network network(3);
  network.link(1, 2);
  const auto real = offerOf(2, 0);
  network.receive(1, 2, real);
  network.complete(1, real.id);
  for (std::uint64_t i = 1; i <= 4; ++i) network.receive(1, 2, offerOf(2, i));
  for (unsigned i = 0; i < 40; ++i) network.receive(1, 2, offerOf(900 + i, 100 + i));
  CHECK(network.at(1).pushes->view(real.id));
  CHECK(network.at(1).pushes->size() == limits::kPushes);
}

TEST_CASE(
    "an honest push that finds no place beside those of liars is offered until there is one") {
  Network network(3, PushPolicy{});
  network.link(1, 2);
  network.link(2, 3);
  network.setBehind(2, 1, 1);
  network.setBehind(3, 2, 2);
  // s3 knows of s2's neighbourhood only what s2 passes on, and cannot tell who made it up.
  for (std::uint64_t i = 0; i < limits::kPushes; ++i)
    network.receive(3, 2, offerOf(900 + static_cast<unsigned>(i), i));
  const auto honest = network.push(1);
  network.run(1s);
  CHECK(network.at(2).pushes->view(honest));
  CHECK_FALSE(network.at(3).pushes->view(honest));
  network.run(limits::kPushIdle + 4 * limits::kPushOfferAgain);
  CHECK(network.stateOf(3, honest, 1) == PushState::declined);
  // Who has answered gets no further offers.
  const auto offers = network.at(2).offersSent;
  network.run(1h);
  CHECK(network.at(2).offersSent == offers);
}

TEST_CASE("a neighbour's own push takes the place of one that it only passes on") {
  Network network(2, PushPolicy{});
  network.link(1, 2);
  for (std::uint64_t i = 0; i < limits::kPushes; ++i)
    network.receive(1, 2, offerOf(900 + static_cast<unsigned>(i), i));
  const auto own = network.push(2);
  network.run(1s);
  CHECK(network.at(1).pushes->view(own));
  for (std::uint64_t i = 100; i < 150; ++i)
    network.receive(1, 2, offerOf(800 + static_cast<unsigned>(i), i));
  CHECK(network.at(1).pushes->view(own));
}

TEST_CASE("an age that a neighbour tells makes its push no older than one that came before") {
  Network network(3, PushPolicy{});
  network.link(1, 2);
  network.link(1, 3);
  const auto first = offerOf(900, 0);
  network.receive(1, 2, first);
  network.run(1s);
  for (unsigned i = 1; i < limits::kPushes; ++i) {
    auto aged = offerOf(900 + i, i);
    aged.ageSeconds = 80'000;
    network.receive(1, 2, aged);
  }
  const auto wanted = network.push(3);
  network.run(1s);
  CHECK(network.at(1).pushes->view(wanted));
  CHECK(network.at(1).pushes->view(first.id));
}

TEST_CASE("liars that come and go share the places that they left behind") {
  constexpr unsigned kLiars = 12;
  Network network(2 + kLiars, PushPolicy{});
  network.link(1, 2);
  std::vector<PushId> honest;
  for (int i = 0; i < 5; ++i) honest.push_back(network.push(2));
  network.run(1s);
  for (unsigned liar = 3; liar <= 2 + kLiars; ++liar) {
    network.link(1, liar);
    for (std::uint64_t i = 0; i < 20; ++i) network.receive(1, liar, offerOf(900, 100 * liar + i));
    network.cut(1, liar);
    network.run(100ms);
  }
  for (const auto& push : honest) CHECK(network.at(1).pushes->view(push));
  CHECK(network.at(1).pushes->size() == limits::kPushes);
}

TEST_CASE("a push of which nothing arrives gives way to another one with the same file") {
  Network network(3);
  network.link(1, 2);
  network.link(1, 3);
  const auto bogus = offerOf(9, 1);
  network.receive(1, 2, bogus);
  network.run(2 * limits::kPushIdle);
  CHECK(network.stateOf(1, bogus.id, 1) == PushState::accepted);
  const auto honest = network.push(3);  // the same root
  network.run(1s);
  CHECK(network.stateOf(1, bogus.id, 1) == PushState::failed);
  CHECK(network.stateOf(1, honest, 1) == PushState::accepted);
}

TEST_CASE("pushes that one peer never ends keep back none of others behind the same link") {
  // The liar s4 and the honest s5 are linked to s1.
  Network network(5, PushPolicy{});
  for (const auto& ends :
       {std::pair(1u, 2u), std::pair(2u, 3u), std::pair(1u, 4u), std::pair(1u, 5u)}) {
    network.link(ends.first, ends.second);
  }
  network.setBehind(1, 4, 1);
  network.setBehind(1, 5, 1);
  network.setBehind(2, 1, 3);
  for (unsigned i = 0; i < 100; ++i) {
    network.receive(1, 4, offerOf(900 + static_cast<unsigned>(i), i));
    network.run(100ms);
  }
  CHECK(network.at(3).pushes->size() <= limits::kPushesRelayed + 1);
  const auto honest = network.push(5);
  network.run(1s);
  CHECK(network.at(3).pushes->view(honest));
  // Its own pushes that it never ended do not keep a later one back, either.
  for (int i = 0; i < 5; ++i) network.push(5);
  network.restart(5, PushPolicy{});
  network.link(1, 5);
  network.setBehind(1, 5, 1);
  network.run(limits::kPushIdle + 1s);
  const auto later = network.push(5);
  network.run(1s);
  CHECK(network.at(2).pushes->view(later));
  CHECK(network.at(3).pushes->view(later));
}

TEST_CASE("a push of which chunks come slowly keeps its place") {
  Network network(3);
  network.link(1, 2);
  network.link(1, 3);
  for (std::uint64_t i = 0; i < limits::kPushes; ++i) {
    const auto offer = offerOf(2, i);
    network.receive(1, 2, offer);
    network.at(1).pushes->progressed(offer.id, network.now);
  }
  const auto all = network.at(1).pushes->ids();
  network.run(2 * limits::kPushSilence);
  network.push(3);
  network.run(1s);
  CHECK(network.at(1).pushes->ids() == all);
}
