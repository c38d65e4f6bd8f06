// The mesh of one metaserver, for tests: the other metaservers are made up.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <utility>
#include <vector>

#include "metaserver/core/cluster/mesh.h"

namespace espalier::metaserver::cluster {

using namespace std::chrono_literals;

using Numbers = std::vector<ServerNumber>;

inline ServerNumber at(unsigned number) {
  return ServerNumber{static_cast<std::uint16_t>(number)};
}

inline wire::ServerState stateOf(unsigned number, unsigned startedMs = 1000) {
  wire::ServerState state;
  state.name = ServerName::parse("m" + std::to_string(number)).value();
  state.number = at(number);
  state.address = {"127.0.0.1", static_cast<std::uint16_t>(5000 + number)};
  state.started = std::chrono::milliseconds{startedMs};
  return state;
}

// The mesh of metaserver 5. The others are made up by the test.
struct Fixture {
  TimePoint now{};
  Mesh mesh{stateOf(5), now};
  MeshEffects fx;
  std::uint64_t sequence = 1;

  // What happened since the last call.
  MeshEffects take() { return std::exchange(fx, {}); }
  std::vector<CloseReason> closes() {
    std::vector<CloseReason> reasons;
    for (const auto& one : take().closes) reasons.push_back(one.reason);
    return reasons;
  }
  std::string notices() {
    std::string all;
    for (const auto& one : take().notices) all += one.text + "\n";
    return all;
  }

  void open(unsigned connection, wire::ServerState other, bool dialledHere = false,
            std::uint64_t dial = 1) {
    other.sequence = ++sequence;
    mesh.opened({ConnectionId{connection}, dialledHere, dial, other}, now, fx);
    check();
  }
  wire::Beat beatOf(wire::ServerState own, Numbers heard,
                    std::vector<wire::ServerState> others = {}) {
    own.sequence = ++sequence;
    own.heard = std::move(heard);
    return {own, std::move(others)};
  }
  void receive(unsigned connection, const wire::Beat& beat) {
    mesh.received(ConnectionId{connection}, beat, now, fx);
    check();
  }
  // A connection to that metaserver, and its beat that lists this one.
  void link(unsigned number, unsigned connection) {
    open(connection, stateOf(number));
    receive(connection, beatOf(stateOf(number), {at(5)}));
  }
  wire::ServerState heardState(unsigned number, Numbers heard) {
    auto state = stateOf(number);
    state.sequence = ++sequence;
    state.heard = std::move(heard);
    return state;
  }
  // Lets time pass, as a shell that is never late.
  void pass(Duration time) {
    const TimePoint end = now + time;
    while (mesh.deadline() <= end) {
      REQUIRE(mesh.deadline() >= now);
      now = mesh.deadline();
      mesh.tick(now, fx);
      check();
    }
    now = end;
  }
  unsigned hops(unsigned number) const {
    for (const auto& one : mesh.reachable()) {
      if (one.state.number == at(number)) return one.way.hops;
    }
    return 0;
  }
  void check() const {
    const auto checked = mesh.checkInvariants();
    CHECK_MESSAGE(checked.ok(), (checked.ok() ? "" : checked.error().message));
  }
};

}  // namespace espalier::metaserver::cluster
