// The sources from which peers in a network take a push, and when taking ends.
#include <doctest/doctest.h>

#include "tests/unit/push_fixture.h"

using namespace espalier;
using namespace espalier::peer;
using namespace espalier::peer::test;

TEST_CASE(
    "a chain through two branches of the tree forms at once, and no peer changes its source") {
  // s1 with s2, s4, … s16 behind it, and s3, s5, … s17: as `shallowest` places them.
  Network network(17, {PushPolicy::From::all, {}, 1u << 30});
  for (unsigned i = 2; i <= 17; ++i) network.link(i == 2 ? 1 : i - 2, i);
  network.step(1, [&](Effects& fx) {
    (void)network.at(1).pushes->start(oneFile(100u << 20), {}, network.now, fx);
  });
  network.run(250ms);
  CHECK(network.sourceOf(3) == id(16));
  for (unsigned i = 4; i <= 17; ++i) CHECK(network.sourceOf(i) == id(i - 2));
  network.run(limits::kPushSettling);
  for (unsigned i = 2; i <= 17; ++i) CHECK(network.jobs<PushTakeFrom>(i) == 1);
}

TEST_CASE("a source that breaks off is replaced by the one before it, a liar never asked again") {
  auto network = line(4);
  const auto push = network.push(1);
  network.run(6s);
  REQUIRE(network.sourceOf(4) == id(3));
  network.step(4, [&](Effects& fx) {
    network.at(4).pushes->sourceFailed(push, 0, id(3), PushTrouble::lied, network.now, fx);
  });
  CHECK(network.sourceOf(4) == id(2));
  for (const unsigned failing : {2u, 1u, 2u, 1u, 2u}) {
    network.step(4, [&](Effects& fx) {
      network.at(4).pushes->sourceFailed(push, 0, id(failing), PushTrouble::unreachable,
                                         network.now, fx);
    });
    network.run(limits::kPushSourceRest);
    CHECK(network.sourceOf(4) != id(3));
  }
}

TEST_CASE(
    "when no source gives anything any more, taking fails, and the push makes room for others") {
  auto network = line(2);
  const auto push = network.push(1);
  network.run(1s);
  network.cut(1, 2);
  const TimePoint begun = network.now;
  while (network.jobs<PushDrop>(2) == 0 && network.now < begun + 2 * limits::kPushKept) {
    if (network.sourceOf(2)) {
      network.step(2, [&](Effects& fx) {
        network.at(2).pushes->sourceFailed(push, 0, id(1), PushTrouble::unreachable, network.now,
                                           fx);
      });
    }
    network.run(limits::kPushSourceRest);
  }
  CHECK(network.now - begun >= limits::kPushKept - 1s);
  CHECK(network.now - begun < limits::kPushKept + 2 * limits::kPushSourceRest);
  CHECK(network.stateOf(2, push, 2) == PushState::failed);
  network.run(limits::kPushKept + 10s);
  CHECK(network.at(2).pushes->size() == 0);
}

TEST_CASE("a source that lasted has given something, so taking goes on when it fails") {
  auto network = line(2);
  const auto push = network.push(1);
  for (int i = 0; i < 30; ++i) {
    network.run(limits::kPushPatience + 20s);
    network.step(2, [&](Effects& fx) {
      network.at(2).pushes->sourceFailed(push, 0, id(1), PushTrouble::unreachable, network.now, fx);
    });
  }
  CHECK(network.stateOf(2, push, 2) == PushState::accepted);
}

TEST_CASE("sources that failed are asked again after all others") {
  auto network = line(5);
  const auto push = network.push(1);
  network.run(6s);
  std::vector<std::string> asked;
  for (int i = 0; i < 8; ++i) {
    const auto source = network.sourceOf(5);
    asked.push_back(source->text());
    network.step(5, [&](Effects& fx) {
      network.at(5).pushes->sourceFailed(push, 0, *source, PushTrouble::useless, network.now, fx);
    });
    network.run(limits::kPushPatience);  // longer than a source rests
  }
  CHECK(asked == std::vector<std::string>{"s4", "s3", "s2", "s1", "s4", "s3", "s2", "s1"});
}

TEST_CASE("a peer to which only the offer comes takes the push from the sender") {
  Network network(2);
  network.link(1, 2);
  Random random(77);
  const auto id = randomFrom<PushId>(random);
  network.receive(
      1, 2, wire::PushOffer{id, contact(9), test::id(9), false, PushEnd::open, oneFile(), {}});
  network.run(2 * limits::kPushSettling);
  CHECK(network.sourceOf(1) == test::id(9));
}

TEST_CASE("a report about a former source does not affect the current one") {
  auto network = line(3);
  const auto push = network.push(1);
  network.run(6s);
  network.step(3, [&](Effects& fx) {
    network.at(3).pushes->sourceFailed(push, 0, id(2), PushTrouble::unreachable, network.now, fx);
  });
  REQUIRE(network.sourceOf(3) == id(1));
  const auto before = network.at(3).jobs.size();
  network.step(3, [&](Effects& fx) {
    network.at(3).pushes->sourceFailed(push, 0, id(2), PushTrouble::unreachable, network.now, fx);
  });
  CHECK(network.at(3).jobs.size() == before);
}
