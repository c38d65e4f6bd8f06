// The nested classes of World: its processes (Node, and Host for their effects), and the
// connections between them (Pipe). Only the world*.cpp files and desk.cpp include it.
#pragma once

#include <deque>
#include <optional>
#include <utility>

#include "common/base/budget.h"
#include "peer/core/executor.h"
#include "tests/simulation/desk.h"
#include "tests/simulation/liar.h"
#include "tests/simulation/world.h"

namespace espalier::simulation {

struct World::Pipe {
  struct End {
    NodeId node = 0;
    ConnectionId connection{};
    std::uint64_t life = 0;  // of the process that holds it
    TimePoint lastArrival{};
    bool open = true;
    // The messages on their way to this end, in order; nothing: the connection has ended. Each
    // arrival takes the first one, so the order is kept even if arrivals change theirs.
    std::deque<std::optional<Payload>> coming;
    // The process does not read this connection for a while; `waiting` arrivals wait for it.
    bool isPaused = false;
    std::size_t waiting = 0;
  };
  End ends[2];        // the dialler's, the listener's
  bool push = false;  // a push connection
  bool lie = false;   // its dialler is a Liar
  bool connected = false;
  bool comesBack = false;      // the Join on it says that the peer was a member before
  std::vector<Payload> early;  // sent before it was open

  int endOf(NodeId node, ConnectionId connection) const {
    return ends[0].node == node && ends[0].connection == connection ? 0 : 1;
  }
};

// Carries out the effects of a peer (peer/core/executor.h). Links are pipes. The queue of a link
// consists of the messages that its other end has not read yet.
struct World::Host {
  World& world;
  Node& node;

  void listen(const Endpoint& at);
  void dial(const peer::Dial& dial) { world.dial(node, dial); }
  bool send(const peer::Send& send);
  void close(ConnectionId connection);
  void flush() {}
  void match(const peer::MatchJob& job) { world.matchLocally(node, job); }
  void searched(peer::SearchUpdate& update);
  void pushJob(peer::PushJob& job);
  void pushChanged(const PushId& id);
  // There are no private messages here: tests/unit/private_simulation_test.cpp has them.
  void privateWrite(peer::PrivateWrite&) {}
  void privateAdmitted(const peer::PrivateAdmission&) {}
  void checkHost(const peer::HostCheck&) {}
  void privateUpdate(peer::PrivateUpdate&) {}
  // Nor rooms: tests/support/room_network.h has them.
  void roomsChanged(peer::RoomViewsEffects&) {}
  void notice(const peer::Notice& notice);
  void pauseLinks(ConnectionId except);
  void resumeLinks();
};

struct World::Node {
  NodeId number = 0;
  std::string id;  // that its user chose
  InstanceKey key;
  std::uint64_t life = 0;  // counts the starts
  bool alive = false;
  bool stopped = false;
  std::unique_ptr<Random> random;
  std::unique_ptr<Budget> budget;  // of this process; a new one at each start
  std::unique_ptr<peer::Peer> peer;
  std::unique_ptr<Host> host;
  std::unique_ptr<peer::Executor<Host>> executor;
  std::unique_ptr<Desk> desk;
  std::unique_ptr<Liar> liar;  // null: honest
  Conduct conduct;
  Disk disk;
  std::uint16_t port = 0;
  TimePoint tick = kNever;
  // Its life and parent when the way up from it was followed last.
  std::pair<std::uint64_t, std::optional<ConnectionId>> followed;
  std::deque<std::function<void()>> inbox;  // events while the process is stopped
  std::map<QueryId, std::function<void(const peer::SearchResult&)>> searches;
};

template <typename Happening>
void World::stepPeer(NodeId number, const Happening& event) {
  Node& one = node(number);
  step(one, [&](peer::Effects& fx) { event(*one.peer, now_, fx); });
}

}  // namespace espalier::simulation
