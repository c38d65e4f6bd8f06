// Entries that may not enter the ledger at once enter it later, so ledgers become equal.
#include <doctest/doctest.h>

#include "tests/unit/push_fixture.h"

using namespace espalier;
using namespace espalier::peer;
using namespace espalier::peer::test;

TEST_CASE("peers that have left or moved since are named by a link that has few behind it") {
  Network network(3);
  for (const unsigned number : {2u, 3u}) {
    network.link(1, number);
    network.setBehind(1, number, 1);
  }
  const auto push = network.push(1);
  network.run(2s);
  constexpr unsigned kLeft = 100;
  wire::PushLedger many{push, PushEnd::open, {}};
  for (unsigned i = 0; i < kLeft; ++i) many.entries.push_back(entryOf(100 + i, PushState::lost));
  network.receive(1, 3, many);
  network.run(2s);
  CHECK(network.at(1).pushes->view(push)->ledger.size() < kLeft);
  network.run(10min);
  for (const unsigned as : {1u, 2u}) {
    CHECK(network.at(as).pushes->view(push)->ledger.size() == 3 + kLeft);
  }
}

TEST_CASE("a neighbour answers what was said about it before it knew the push") {
  Network network(4);
  for (const unsigned number : {2u, 3u, 4u}) network.link(1, number);
  // The offer of the last push waits, because s3 has sent so many.
  const auto first = network.push(3);
  for (std::size_t i = 1; i < limits::kPushesRelayed; ++i) network.push(3);
  network.run(1s);
  const auto last = network.push(3);
  network.run(1s);
  REQUIRE(network.at(1).pushes->view(last));
  REQUIRE(!network.at(4).pushes->view(last));
  // s4 was a neighbour of s2 before it was restarted.
  network.receive(1, 2, ledgerOf(last, {entryOf(4, PushState::verified, 3)}));
  network.run(1s);
  network.step(3, [&](Effects& fx) {
    network.at(3).pushes->finish(first, PushEnd::closed, network.now, fx);
  });
  network.run(2s);
  for (const unsigned as : {1u, 3u, 4u}) {
    CHECK(network.stateOf(4, last, as) == PushState::accepted);
    CHECK(network.at(as).pushes->view(last)->ledger.find(id(4))->version() == 4);
  }
}

TEST_CASE("a neighbour that offers a push which it was not offered yet hears its ledger") {
  Network network(3, PushPolicy{});
  network.link(1, 2);
  network.link(1, 3);
  for (std::size_t i = 0; i < limits::kPushesRelayed; ++i) network.push(3);
  const auto last = network.push(3);
  network.run(1s);
  const auto view = network.at(1).pushes->view(last);
  REQUIRE(view);
  REQUIRE_FALSE(network.at(2).pushes->view(last));  // it waits
  // s2 got it over another link.
  network.receive(2, 1, view->offer);
  network.receive(1, 2, view->offer);
  network.run(1s);
  for (const unsigned of : {1u, 2u}) {
    for (const unsigned as : {1u, 2u}) CHECK(network.stateOf(of, last, as) == PushState::declined);
  }
}

TEST_CASE("a neighbour that knows nothing of a push is lost to it if another peer says so") {
  Network network(3);
  network.link(1, 2);
  network.link(1, 3);
  const auto push = network.push(1);
  network.run(1s);
  // It contradicts as long as it knows the push.
  network.receive(1, 2, ledgerOf(push, {entryOf(3, PushState::lost)}));
  network.run(2 * limits::kPushEndDoubted);
  for (const unsigned as : {1u, 2u, 3u}) {
    CHECK(network.stateOf(3, push, as) == PushState::accepted);
  }
  network.step(1, [&](Effects& fx) {
    network.at(1).pushes->finish(push, PushEnd::closed, network.now, fx);
  });
  network.restart(3);  // the offer of an ended push is ignored
  network.link(1, 3);
  network.receive(1, 2, ledgerOf(push, {entryOf(3, PushState::lost, 2)}));
  network.run(limits::kPushEndDoubted / 2);
  CHECK(network.stateOf(3, push, 1) == PushState::accepted);
  network.run(limits::kPushEndDoubted);
  CHECK(network.stateOf(3, push, 1) == PushState::lost);
}
