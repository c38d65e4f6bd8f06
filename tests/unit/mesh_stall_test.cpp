// What a mesh makes of its own stalls, and of a metaserver that says that it ends.
#include <doctest/doctest.h>

#include "tests/unit/mesh_fixture.h"

using namespace espalier;
using namespace espalier::metaserver;
using namespace espalier::metaserver::cluster;
using namespace std::chrono_literals;

TEST_CASE("behind a long stall it is in doubt until all have passed on what it has sent since") {
  Fixture f;
  f.link(7, 2);
  f.link(8, 4);
  f.pass(1s);
  f.receive(2, f.beatOf(stateOf(7), {at(5)}));
  f.receive(4, f.beatOf(stateOf(8), {at(5)}));
  CHECK_FALSE(f.mesh.doubtedStall(f.now + kDoubtedStall - 1ms).has_value());
  CHECK(f.mesh.doubtedStall(f.now + 13s) == 13s);  // though no event has come yet
  f.take();
  f.now += 13s;
  f.mesh.tick(f.now, f.fx);
  CHECK(f.mesh.isInDoubt());
  CHECK(f.mesh.doubtedStall(f.now) == 13s);
  const auto sent = f.take().beats;
  REQUIRE(sent.size() == 1);
  const auto after = sent[0].beat.own;
  auto before = after;
  --before.sequence;

  f.receive(2, f.beatOf(stateOf(7), {at(5)}));            // sent before the stall
  f.receive(2, f.beatOf(stateOf(7), {at(5)}, {before}));  // likewise, with a state of then
  f.receive(2, f.beatOf(stateOf(7), {at(5)}, {after}));
  CHECK(f.mesh.isInDoubt());  // because of 8
  auto otherRun = after;
  otherRun.started += 1ms;
  f.receive(4, f.beatOf(stateOf(8), {at(5)}, {otherRun}));
  CHECK(f.mesh.isInDoubt());
  f.receive(4, f.beatOf(stateOf(8), {at(5)}, {after}));
  CHECK_FALSE(f.mesh.isInDoubt());
}

TEST_CASE("the doubt ends when those that are not heard count as dead, and who is alone has none") {
  Fixture f;
  f.pass(1s);
  f.now += 13s;
  f.mesh.tick(f.now, f.fx);
  CHECK_FALSE(f.mesh.isInDoubt());
  f.link(7, 2);
  f.now += kDoubtedStall;
  f.mesh.tick(f.now, f.fx);
  f.mesh.closed(ConnectionId{2}, f.now, f.fx);  // which may have happened in the stall
  CHECK(f.mesh.isInDoubt());
  f.pass(limits::kMeshSilence - 1ms);
  CHECK(f.mesh.isInDoubt());
  f.pass(1ms);
  CHECK_FALSE(f.mesh.isInDoubt());
}

TEST_CASE("one that was drained has left, and is not dead; nobody is told of a way round") {
  Fixture f;
  f.link(7, 2);
  f.link(8, 4);
  auto drained = stateOf(7);
  drained.drains = true;
  f.receive(2, f.beatOf(drained, {at(5), at(8)}));
  f.receive(4, f.beatOf(stateOf(8), {at(5), at(7)}));
  f.take();
  f.mesh.closed(ConnectionId{2}, f.now, f.fx);
  CHECK(f.notices() == "");
  f.receive(4, f.beatOf(stateOf(8), {at(5)}));
  CHECK(f.mesh.reachable().size() == 1);
  CHECK(f.notices() == "m7 has left\n");
}

TEST_CASE("one that is only no candidate, and has room, is dead when it ends") {
  Fixture f;
  f.link(7, 2);
  auto unfit = stateOf(7);
  unfit.drains = true;
  unfit.room = 10;
  f.receive(2, f.beatOf(unfit, {at(5)}));
  f.take();
  f.mesh.closed(ConnectionId{2}, f.now, f.fx);
  CHECK(f.notices() == "m7 is dead (its connection ended)\n");
}
