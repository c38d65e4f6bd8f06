// The mesh of one metaserver: what it makes of connections, beats and silence.
#include "metaserver/core/cluster/mesh.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "tests/unit/mesh_fixture.h"

using namespace espalier;
using namespace espalier::metaserver;
using namespace espalier::metaserver::cluster;
using namespace std::chrono_literals;

TEST_CASE("a link is up once both ends say that they hear each other") {
  Fixture f;
  f.open(2, stateOf(7));
  CHECK(f.mesh.self().heard == Numbers{at(7)});
  CHECK(f.mesh.links().empty());
  CHECK(f.notices() == "");
  f.receive(2, f.beatOf(stateOf(7), {at(5)}));
  CHECK(f.mesh.links() == Numbers{at(7)});
  CHECK(f.mesh.next(at(7)) == at(7));
  CHECK(f.notices() == "m7 is linked\n");
  f.receive(2, f.beatOf(stateOf(7), {}));
  CHECK(f.mesh.links().empty());
  CHECK(f.notices() == "m7 is dead (no link to it is up)\n");
}

TEST_CASE("beats go to all connections twice a second, with all that is known, each one later") {
  Fixture f;
  f.link(7, 2);
  f.link(8, 4);
  f.pass(100ms);
  f.take();
  f.pass(1s);
  const auto fx = f.take();
  REQUIRE(fx.beats.size() == 2);
  for (const auto& send : fx.beats) {
    CHECK(send.to == std::vector{ConnectionId{2}, ConnectionId{4}});
    CHECK(send.beat.own.heard == Numbers{at(7), at(8)});
    REQUIRE(send.beat.others.size() == 2);
    CHECK(send.beat.others[0].name.text() == "m7");
  }
  CHECK(fx.beats[0].beat.own.sequence < fx.beats[1].beat.own.sequence);
}

TEST_CASE("a change is told at once, but not more often than allowed") {
  Fixture f;
  f.link(7, 2);
  f.pass(200ms);
  f.take();
  Mesh::Own own;
  own.peers = 3;
  f.mesh.setOwn(own, f.now, f.fx);
  CHECK(f.take().beats.empty());
  own.drains = true;
  f.mesh.setOwn(own, f.now, f.fx);
  CHECK(f.take().beats.size() == 1);
  own.drains = false;
  f.mesh.setOwn(own, f.now, f.fx);
  CHECK(f.take().beats.empty());
  CHECK(f.mesh.deadline() == f.now + limits::kMeshBeatLeast);
  f.pass(limits::kMeshBeatLeast);
  CHECK(f.take().beats.size() == 1);
}

TEST_CASE("one that is silent is dead after two seconds, exactly") {
  Fixture f;
  f.link(7, 2);
  f.take();
  f.pass(limits::kMeshSilence - 1ms);
  CHECK(f.mesh.links() == Numbers{at(7)});
  f.pass(1ms);
  CHECK(f.mesh.links().empty());
  CHECK(f.notices() == "m7 is dead (no sign of life for 2 s)\n");
}

TEST_CASE("a link is down the moment its connection closes, and that is told at once") {
  Fixture f;
  f.link(7, 2);
  f.link(8, 4);
  f.pass(100ms);
  f.take();
  f.mesh.closed(ConnectionId{2}, f.now, f.fx);
  CHECK(f.mesh.links() == Numbers{at(8)});
  const auto fx = f.take();
  REQUIRE(fx.beats.size() == 1);
  CHECK(fx.beats[0].beat.own.heard == Numbers{at(8)});
  REQUIRE(fx.notices.size() == 1);
  CHECK(fx.notices[0].text == "m7 is dead (its connection ended)");
  REQUIRE(f.mesh.unconnected().size() == 1);
  CHECK(f.mesh.unconnected()[0].name.text() == "m7");
}

TEST_CASE("one without a link is reached by way of a third") {
  Fixture f;
  f.link(7, 2);
  f.link(8, 4);
  f.receive(4, f.beatOf(stateOf(8), {at(5), at(7)}, {f.heardState(7, {at(5), at(8)})}));
  f.take();
  f.receive(2, f.beatOf(stateOf(7), {at(5), at(8)}));
  f.mesh.closed(ConnectionId{2}, f.now, f.fx);
  CHECK(f.hops(7) == 2);
  CHECK(f.mesh.next(at(7)) == at(8));
  CHECK(f.notices() == "m7 is not linked any more, but reached by way of m8\n");
  f.receive(4, f.beatOf(stateOf(8), {at(5)}));
  CHECK(f.hops(7) == 0);
}

TEST_CASE("one whose link fails by silence is never called dead if a third passes its news on") {
  Fixture f;
  f.link(7, 2);
  f.link(8, 4);
  f.receive(2, f.beatOf(stateOf(7), {at(5), at(8)}));
  f.take();
  for (int i = 0; i < 7; ++i) {
    f.pass(650ms);
    auto seven = f.heardState(7, {at(5), at(8)});
    if (i > 3) seven.heard = {at(8)};
    f.receive(4, f.beatOf(stateOf(8), {at(5), at(7)}, {seven}));
  }
  CHECK(f.hops(7) == 2);
  CHECK(f.notices() == "m7 is not linked any more, but reached by way of m8\n");
}

TEST_CASE("this process's own stall does not count against others") {
  Fixture f;
  f.link(7, 2);
  f.take();
  f.pass(400ms);
  f.now += 20s;
  f.mesh.tick(f.now, f.fx);
  CHECK(f.mesh.links() == Numbers{at(7)});
  f.pass(600ms);
  CHECK(f.mesh.links() == Numbers{at(7)});
  f.receive(2, f.beatOf(stateOf(7), {at(5)}));
  CHECK(f.notices() == "");
  f.pass(limits::kMeshSilence);
  CHECK(f.notices() == "m7 is dead (no sign of life for 2 s)\n");
}

TEST_CASE("a state whose sequence goes back is ignored, but is a sign of life") {
  Fixture f;
  f.open(2, stateOf(7));
  const auto old = f.beatOf(stateOf(7), {});
  f.receive(2, f.beatOf(stateOf(7), {at(5)}));
  f.pass(1500ms);
  f.receive(2, old);
  CHECK(f.mesh.links() == Numbers{at(7)});
  CHECK(f.mesh.self().heard == Numbers{at(7)});
  f.pass(600ms);
  CHECK(f.mesh.self().heard == Numbers{at(7)});
  CHECK_MESSAGE(f.mesh.links().empty(), "its state has had no news for two seconds");
}

TEST_CASE("of one that is heard nobody else's word is taken") {
  Fixture f;
  f.link(7, 2);
  f.link(8, 4);
  f.take();
  auto lie = f.heardState(7, {});
  lie.sequence = 1'000'000;
  auto otherRun = lie;
  otherRun.started = 9999s;
  f.receive(4, f.beatOf(stateOf(8), {at(5)}, {lie, otherRun}));
  CHECK(f.mesh.links() == Numbers{at(7), at(8)});
  CHECK(f.notices() == "");
}

TEST_CASE("a false sequence is corrected when its owner introduces itself") {
  Fixture f;
  f.link(8, 4);
  auto lie = f.heardState(7, {at(8)});
  lie.sequence = 1'000'000;
  f.receive(4, f.beatOf(stateOf(8), {at(5), at(7)}, {lie}));
  CHECK(f.hops(7) == 2);
  f.link(7, 2);
  CHECK(f.hops(7) == 1);
}

TEST_CASE("one that was started again replaces its old run, also if its clock was set back") {
  for (const unsigned started : {2000u, 500u}) {
    CAPTURE(started);
    Fixture f;
    f.link(7, 2);
    f.take();
    f.mesh.closed(ConnectionId{2}, f.now, f.fx);
    f.sequence = 0;
    f.open(6, stateOf(7, started));
    f.receive(6, f.beatOf(stateOf(7, started), {at(5)}));
    CHECK(f.mesh.links() == Numbers{at(7)});
    CHECK(f.mesh.reachable()[0].state.started == std::chrono::milliseconds{started});
    CHECK(f.notices() == "m7 is dead (its connection ended)\nm7 was started again\nm7 is linked\n");
  }
}

TEST_CASE("a connection of the old run is closed when the new run comes") {
  Fixture f;
  f.link(7, 2);
  f.open(4, stateOf(7, 2000));
  CHECK(f.closes() == std::vector{CloseReason::oldRun});
  CHECK(f.mesh.connectionTo(at(7)) == ConnectionId{4});
  f.open(6, stateOf(7, 1000));
  CHECK(f.closes() == std::vector{CloseReason::second});
  CHECK(f.mesh.connectionTo(at(7)) == ConnectionId{4});
}

TEST_CASE("of two connections that both ends dialled the lower number's is kept") {
  Fixture f;
  f.open(1, stateOf(7), true);
  f.open(2, stateOf(7), false);
  CHECK(f.closes() == std::vector{CloseReason::second});
  CHECK(f.mesh.connectionTo(at(7)) == ConnectionId{1});
  f.open(4, stateOf(3), false);
  f.open(3, stateOf(3), true);
  CHECK_MESSAGE(f.closes().empty(), "metaserver 3 dialled the kept one: it closes the other");
  CHECK(f.mesh.connectionTo(at(3)) == ConnectionId{4});
}

TEST_CASE("a connection that is silent here gives way to a new one, whoever dialled it") {
  Fixture f;
  f.open(1, stateOf(7), true);
  f.pass(limits::kMeshSilence);
  f.take();
  f.open(2, stateOf(7), false);
  CHECK(f.closes() == std::vector{CloseReason::second});
  CHECK(f.mesh.connectionTo(at(7)) == ConnectionId{2});
}

TEST_CASE("a connection without beats is closed, so that it is dialled again") {
  Fixture f;
  f.link(7, 2);
  f.pass(limits::kMeshDeaf - 1ms);
  CHECK(f.closes().empty());
  f.pass(1ms);
  CHECK(f.closes() == std::vector{CloseReason::silent});
  CHECK_FALSE(f.mesh.connectionTo(at(7)));
}

TEST_CASE("itself, a taken name and a taken number are refused") {
  Fixture f;
  f.link(7, 2);
  f.open(1, stateOf(5), true);
  CHECK(f.closes() == std::vector{CloseReason::itself});
  auto other = stateOf(8);
  other.number = at(5);
  f.open(3, other);
  CHECK(f.closes() == std::vector{CloseReason::numberTaken});
  other = stateOf(8);
  other.name = stateOf(5).name;
  f.open(3, other);
  CHECK(f.closes() == std::vector{CloseReason::nameTaken});
  other = stateOf(8);
  other.number = at(7);
  f.open(3, other);
  REQUIRE(f.fx.closes.size() == 1);
  CHECK(f.fx.closes[0].text == "the number 7 is taken by m7 on 127.0.0.1:5007");
  CHECK(f.closes() == std::vector{CloseReason::numberTaken});
  other = stateOf(8);
  other.name = stateOf(7).name;
  f.open(3, other);
  CHECK(f.closes() == std::vector{CloseReason::nameTaken});
}

TEST_CASE("the name and the number of a dead one are free again") {
  Fixture f;
  f.link(7, 2);
  f.mesh.closed(ConnectionId{2}, f.now, f.fx);
  f.take();
  auto other = stateOf(8);
  other.name = stateOf(7).name;
  f.open(4, other);
  CHECK(f.closes().empty());
  f.receive(4, f.beatOf(other, {at(5)}));
  CHECK(f.mesh.links() == Numbers{at(8)});
}

TEST_CASE("no more than the largest number of metaservers is linked") {
  Fixture f;
  for (unsigned i = 0; i < limits::kMetaservers - 1; ++i) {
    f.link(10 + i, 100 + i);
  }
  CHECK(f.closes().empty());
  CHECK(f.mesh.links().size() == limits::kMetaservers - 1);
  f.open(200, stateOf(50));
  CHECK(f.closes() == std::vector{CloseReason::full});
  f.mesh.closed(ConnectionId{100}, f.now, f.fx);
  f.open(200, stateOf(50));
  CHECK(f.closes().empty());
}

TEST_CASE("one metaserver cannot open connections without a bound") {
  Fixture f;
  for (unsigned i = 0; i < limits::kMeshConnections; ++i) f.open(10 + i, stateOf(3), false, i);
  CHECK(f.closes().empty());
  f.open(99, stateOf(3), false, 99);
  CHECK(f.closes() == std::vector{CloseReason::second});
}

TEST_CASE("made-up strangers are bounded, and keep no real metaserver out") {
  Fixture f;
  f.link(7, 2);
  f.link(8, 4);
  for (unsigned round = 0; round < 10; ++round) {
    std::vector<wire::ServerState> others;
    for (unsigned i = 0; i < 40; ++i) others.push_back(f.heardState(100 + 40 * round + i, {}));
    f.receive(2, f.beatOf(stateOf(7), {at(5)}, others));
  }
  CHECK(f.mesh.unconnected().size() <= limits::kMeshStrangers);
  f.take();
  f.link(9, 6);
  f.link(101, 8);
  CHECK(f.mesh.links() == Numbers{at(7), at(8), at(9), at(101)});
  f.pass(500ms);
  const auto fx = f.take();
  REQUIRE_FALSE(fx.beats.empty());
  const auto& others = fx.beats.back().beat.others;
  CHECK(others.size() == limits::kMetaservers - 1);
  CHECK(others[1].name.text() == "m8");
  CHECK(others[2].name.text() == "m9");
}

TEST_CASE("when all that may be known are known, the stranger without news goes for a new one") {
  Fixture f;
  std::vector<wire::ServerState> behind;
  Numbers heard{at(5)};
  for (unsigned number = 20; number < 34; ++number) {
    behind.push_back(f.heardState(number, {at(8)}));
    heard.push_back(at(number));
  }
  f.open(4, stateOf(8));
  f.receive(4, f.beatOf(stateOf(8), heard, behind));
  CHECK(f.mesh.reachable().size() == limits::kMetaservers - 1);
  for (unsigned number = 100; number < 120; ++number) {
    f.receive(4, f.beatOf(stateOf(8), heard, {f.heardState(number, {})}));
  }
  CHECK(f.mesh.unconnected().size() == 14 + limits::kMeshStrangers);
  f.pass(100ms);
  for (unsigned number = 101; number < 120; ++number) {
    f.receive(4, f.beatOf(stateOf(8), heard, {f.heardState(number, {})}));
  }
  f.open(6, stateOf(9));
  CHECK(f.closes().empty());
  CHECK(f.mesh.connectionTo(at(9)) == ConnectionId{6});
  const auto unconnected = f.mesh.unconnected();
  CHECK(unconnected.size() == 14 + limits::kMeshStrangers - 1);
  CHECK_MESSAGE(unconnected[14].name.text() == "m101", "m100 was the one without news");
}

TEST_CASE("a fresh stranger keeps its name and number from other strangers, not from who comes") {
  Fixture f;
  f.link(7, 2);
  f.receive(2, f.beatOf(stateOf(7), {at(5)}, {f.heardState(20, {})}));
  auto sameNumber = f.heardState(21, {});
  sameNumber.number = at(20);
  auto sameName = f.heardState(22, {});
  sameName.name = stateOf(20).name;
  const auto known = [&] {
    std::string all;
    for (const auto& one : f.mesh.unconnected()) {
      all += one.name.text() + "/" + std::to_string(number(one.number)) + " ";
    }
    return all;
  };
  f.receive(2, f.beatOf(stateOf(7), {at(5)}, {sameNumber, sameName}));
  CHECK(known() == "m20/20 ");
  f.pass(1s);
  f.receive(2, f.beatOf(stateOf(7), {at(5)}));
  f.pass(1s);
  f.receive(2, f.beatOf(stateOf(7), {at(5)}, {sameNumber}));
  CHECK(known() == "m21/20 ");
  f.open(4, sameName);
  f.open(6, stateOf(20));
  CHECK(f.closes() == std::vector{CloseReason::nameTaken});
  CHECK(f.mesh.connectionTo(at(22)) == ConnectionId{4});
}

TEST_CASE("a dead one's state is not passed on, and is forgotten") {
  Fixture f;
  f.link(7, 2);
  f.link(8, 4);
  for (int i = 0; i < 20; ++i) {
    f.pass(1s);
    f.receive(4, f.beatOf(stateOf(8), {at(5)}));
    if (i == 0) CHECK(f.fx.beats.back().beat.others.size() == 2);
    if (i == 4) CHECK(f.fx.beats.back().beat.others.size() == 1);
  }
  CHECK(f.fx.beats.back().beat.others.size() == 1);
  // Nothing is left that would be newer than a state of an older run.
  auto older = f.heardState(7, {at(8)});
  older.started = 1ms;
  f.receive(4, f.beatOf(stateOf(8), {at(5), at(7)}, {older}));
  CHECK(f.hops(7) == 2);
}

TEST_CASE("what no metaserver can send ends its connection, or is left out") {
  const auto bad = [](auto change) {
    auto state = stateOf(7);
    change(state);
    return state;
  };
  const std::vector<wire::ServerState> states{
      bad([](auto& s) { s.name = {}; }),
      bad([](auto& s) { s.number = kNoServer; }),
      bad([](auto& s) { s.address.port = 0; }),
      bad([](auto& s) { s.address.host = "a b"; }),
      bad([](auto& s) { s.started = -1ms; }),
      bad([](auto& s) { s.priority = limits::kServerPriority + 1; }),
      bad([](auto& s) { s.peers = limits::kMembers + 1; }),
      bad([](auto& s) { s.epoch.counter = limits::kEpochCounter + 1; }),
      bad([](auto& s) {
        s.heard = {at(8), at(7)};
      }),
      bad([](auto& s) {
        s.heard = {at(7), at(7)};
      }),
      bad([](auto& s) { s.heard = {kNoServer}; }),
      bad([](auto& s) {
        for (unsigned i = 1; i <= 16; ++i) s.heard.push_back(at(i));
      }),
  };
  for (const auto& state : states) {
    CAPTURE(&state - states.data());
    Fixture f;
    f.open(2, state);
    CHECK(f.closes() == std::vector{CloseReason::malformed});
    f.link(7, 2);
    f.link(8, 4);
    f.take();
    f.receive(4, f.beatOf(stateOf(8), {at(5)}, {state}));
    CHECK(f.closes().empty());
    CHECK(f.mesh.links() == Numbers{at(7), at(8)});
    auto own = state;
    own.sequence = ++f.sequence;
    f.receive(2, {own, {}});
    CHECK(f.closes() == std::vector{CloseReason::malformed});
    CHECK(f.mesh.links() == Numbers{at(8)});
  }
  Fixture f;
  f.link(7, 2);
  f.receive(2, f.beatOf(stateOf(8), {at(5)}));
  CHECK(f.closes() == std::vector{CloseReason::malformed});
  f.receive(99, f.beatOf(stateOf(8), {at(5)}));
  CHECK(f.closes().empty());
}

TEST_CASE("what is reached or how changes the version, beats alone do not") {
  Fixture f;
  f.link(7, 2);
  const auto before = f.mesh.version();
  f.pass(1s);
  f.receive(2, f.beatOf(stateOf(7), {at(5)}));
  CHECK(f.mesh.version() == before);
  f.mesh.closed(ConnectionId{2}, f.now, f.fx);
  CHECK(f.mesh.version() > before);
}
