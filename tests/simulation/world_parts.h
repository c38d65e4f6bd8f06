// What a World is made of: its processes, and the connections between them.
#pragma once

#include <deque>

#include "tests/simulation/desk.h"
#include "tests/simulation/world.h"

namespace espalier::simulation {

struct World::Pipe {
  struct End {
    NodeId node = 0;
    ConnectionId connection{};
    std::uint64_t life = 0;  // of the process that holds it
    TimePoint lastArrival{};
    bool open = true;
    // What is on its way here, in order; nothing: the end. Each arrival takes the first, so order
    // is kept whatever a partition does to the arrivals.
    std::deque<std::optional<Payload>> coming;
  };
  End ends[2];        // the dialler's, the listener's
  bool push = false;  // for the bytes of one
  bool connected = false;
  bool comesBack = false;      // its Join says that this peer was in the network before
  std::vector<Payload> early;  // sent before it was open
};

struct World::Node {
  NodeId number = 0;
  std::string id;
  InstanceKey key;
  std::uint64_t life = 0;  // counts the starts
  bool alive = false;
  bool stopped = false;
  std::unique_ptr<Random> random;
  std::unique_ptr<peer::Peer> peer;
  std::unique_ptr<Desk> desk;
  Conduct conduct;
  Disk disk;
  std::uint16_t port = 0;
  TimePoint tick = kNever;
  std::deque<std::function<void()>> inbox;  // what came while it stood still
  std::map<QueryId, std::function<void(const peer::SearchResult&)>> searches;
};

template <typename Happening>
void World::stepPeer(NodeId number, const Happening& event) {
  Node& one = node(number);
  step(one, [&](peer::Effects& fx) { event(*one.peer, now_, fx); });
}

}  // namespace espalier::simulation
