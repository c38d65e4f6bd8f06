// The rooms of a network without sockets and files, on a virtual clock: the real cores of
// metaservers (metaserver/core/rooms/rooms.h) and of peers (peer/core/rooms/room_views.h), and
// small models of what is around them.
//
//   metaservers  They are killed, lose what was not synced, some of the latest writes or all, and
//                start again; one may come back with an empty disk. Who decides: the one of the
//                lowest number that it reaches, by each one's own view, which is late.
//   messages     Delayed, lost with the way, repeated, and overtaking each other; streams between a
//                home and the master are in order, and break.
//   cuts         From one metaserver to another one, so they may be one-way: the link is down then.
//   directory    Rows of the members' rooms, copied from the master.
//   peers        They join, say, part, move to another home, end and start again.
//
// Checked at each step:
//
//   - What is acknowledged is on as many disks as it says; on one only if the master was alone.
//   - A position that was committed anywhere has the same entry everywhere, for ever.
//   - A peer is shown an entry once, with the text that was said.
//   - Nothing of a closed room is shown before N were there, and had told so.
// At rest (checkAtRest()): every metaserver has the same log; all that was acknowledged or shown is
// in it; every member was shown everything since it joined, or was told exactly what is missing, in
// the order of the log; without cuts nothing has another number than it was acknowledged with, and
// those by whom a room has opened were shown all of it.
//
// Single-threaded; repeats exactly for a seed.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/base/random.h"
#include "metaserver/core/rooms/rooms.h"
#include "peer/core/rooms/room_views.h"
#include "tests/support/room_store.h"

namespace espalier::test {

class RoomNetwork {
 public:
  struct Settings {
    std::uint64_t seed = 1;
    std::size_t servers = 3;
    std::size_t peers = 4;
    std::vector<std::pair<std::string, std::uint32_t>> rooms;  // name, opens at
    std::uint32_t lobbyOpensAt = 0;
    std::size_t messagesMost = limits::kRoomMessages;
    metaserver::rooms::RoomRate rate{1e6, 1e6};
    bool isTraced = false;
    bool hasCuts = false;  // then numbers may change
  };

  explicit RoomNetwork(const Settings& settings);

  // --- what happens
  void kill(std::size_t server);
  void start(std::size_t server, bool withEmptyDisk = false);
  void cut(std::size_t from, std::size_t to, bool isCut);
  void join(std::size_t peer, const std::string& room, std::uint32_t opensAt);
  void part(std::size_t peer, const std::string& room);
  void say(std::size_t peer, const std::string& room);
  void endPeer(std::size_t peer);
  void startPeer(std::size_t peer);
  void move(std::size_t peer);
  void run(Duration duration);
  // Everything heals and starts, and then nothing happens.
  void rest();

  // --- queries
  bool isUp(std::size_t server) const { return servers_[server].core != nullptr; }
  bool isPeerUp(std::size_t peer) const { return peers_[peer].core != nullptr; }
  // Everybody follows one master and has everything on its disk.
  bool isCalm() const;
  void checkAtRest();
  // Empty: nothing is wrong.
  const std::string& failure() const { return failure_; }
  std::uint64_t acknowledgedCount() const { return acknowledged_.size(); }
  std::uint64_t shownCount() const { return shown_; }
  std::uint64_t apartCount() const;
  std::uint64_t missingCount() const { return missing_; }
  metaserver::rooms::Rooms& core(std::size_t server) { return *servers_[server].core; }

 private:
  using Id = wire::RoomEntryId;
  using Effects = metaserver::rooms::RoomsEffects;
  struct Row {
    std::vector<RoomName> rooms;
    std::uint64_t revision = 0;
    std::uint64_t generation = 0;
    TimePoint seenAt{};
    bool operator==(const Row&) const = default;
  };
  struct Directory {
    Epoch epoch;
    std::uint64_t version = 0;
    std::map<PeerId, Row> rows;
  };
  struct Unsynced {
    std::uint64_t number;
    std::vector<metaserver::rooms::StoreWrite> writes;
  };
  struct Server {
    ServerNumber number{};
    std::uint64_t run = 0;
    std::unique_ptr<metaserver::rooms::Rooms> core;
    RoomStore disk;     // synced
    RoomStore current;  // with what is not
    std::vector<Unsynced> unsynced;
    TimePoint syncedAt{};
    Epoch epoch;  // durable
    Epoch known;
    bool isDeciding = false;
    bool isTaking = false;  // an epoch
    bool hasView = false;   // it knows who is there
    std::optional<std::size_t> master;
    std::set<std::size_t> view;
    std::set<ServerNumber> others;  // that its core was told
    std::uint64_t stream = 0;       // to its master; 0: none
    TimePoint streamAt{};
    std::map<std::size_t, std::uint64_t> streams;  // of homes, at the master
    std::map<std::size_t, TimePoint> answersAt;
    Directory directory;
    std::uint64_t checked = 0;  // sequence
    std::map<ConnectionId, std::size_t> peers;
  };
  struct Track {                 // of one membership
    std::uint64_t revision = 0;  // of the peer's list, with which it began
    bool hasBase = false;
    std::set<Id> base;  // what was in the room when it joined
    std::uint64_t baseNumber = 0;
    std::vector<std::pair<Id, std::uint64_t>> shown;
    std::set<Id> shownIds;
    std::vector<std::pair<std::uint64_t, std::uint64_t>> missing;
  };
  struct Peer {
    PeerId id;
    std::unique_ptr<peer::RoomViews> core;
    peer::RoomViews::Saved saved;
    std::uint64_t run = 0;
    std::optional<std::size_t> home;
    ConnectionId connection{};
    std::uint64_t generation = 0;
    TimePoint sentAt{};
    TimePoint receivedAt{};
    std::map<RoomName, Track> tracks;
  };

  // room_network.cpp: time, peers
  void at(TimePoint when, std::function<void()> action);
  Duration some(int leastMs, int mostMs);
  bool oneIn(unsigned n) { return random_() % n == 0; }
  void fail(const std::string& what);
  void trace(const std::string& what);
  void connect(std::size_t peer);
  void disconnect(std::size_t peer, Duration noticed);
  void toHome(std::size_t peer, wire::RoomRequest request);
  void toPeer(std::size_t server, ConnectionId connection, const wire::RoomReply& reply);
  void greet(std::size_t peer);
  void deliver(std::size_t peer, const wire::RoomReply& reply, const std::set<Id>& base);
  void carryOut(std::size_t peer, peer::RoomViewsEffects& fx);
  void tickPeers();
  void track(std::size_t peer, peer::RoomViewsEffects& fx);

  // room_network_servers.cpp: metaservers
  bool isLinked(std::size_t a, std::size_t b) const;
  bool reaches(std::size_t a, std::size_t b) const;
  void changed();
  void updateView(std::size_t server);
  void reconsider(std::size_t server);
  void takeEpoch(std::size_t server, Epoch above);
  void decide(std::size_t server, Epoch above);
  void announce(std::size_t server);
  void hear(std::size_t server, std::size_t master, Epoch epoch);
  void beginStream(std::size_t server);
  void breakStream(std::size_t server);
  void beat(std::size_t server, std::uint64_t run);
  void send(std::size_t from, std::size_t to, const wire::RoomServerMessage& message);
  void toMaster(std::size_t server, std::function<void(std::size_t master)> deliver);
  void toHomeServer(std::size_t master, std::size_t home, const wire::RoomAnswer& answer);
  void noteOpened(std::size_t master, const RoomName& room);
  void noteSession(std::size_t master, const PeerId& id, std::uint64_t generation);
  void noteRooms(std::size_t master, const Effects::RoomsOfMember& rooms);
  void publish(std::size_t master);
  void applyRow(std::size_t server, const PeerId& id, const Row* row);
  template <typename Event>
  void step(std::size_t server, Event event);
  void carryOut(std::size_t server, Effects& fx);
  void traceWrite(std::size_t server, const metaserver::rooms::StoreWrite& write);
  void sync(std::size_t server, std::uint64_t run, std::uint64_t number);
  void checkServer(std::size_t server);
  void checkCommitted(const RoomName& room, std::uint64_t number,
                      const metaserver::rooms::IndexedEntry& entry);
  void checkReply(std::size_t server, const wire::RoomAnswer& answer);
  std::size_t indexOf(ServerNumber number) const;

  // room_network_checks.cpp
  void checkMember(const Peer& peer, const RoomName& room, const Track& track,
                   const std::vector<wire::RoomEntry>& log);

  Settings settings_;
  Random random_;
  TimePoint now_{};
  std::map<std::pair<TimePoint, std::uint64_t>, std::function<void()>> events_;
  std::uint64_t eventNumber_ = 0;
  std::vector<Server> servers_;
  std::vector<Peer> peers_;
  std::set<std::pair<std::size_t, std::size_t>> cuts_;
  std::uint64_t streams_ = 0;
  std::uint64_t connections_ = 0;
  std::string failure_;

  std::map<std::pair<RoomName, Id>, std::string> said_;
  std::map<std::pair<RoomName, Id>, std::uint64_t> acknowledged_;  // with its number
  std::set<std::pair<RoomName, Id>> seen_;                         // shown to anybody
  std::map<wire::LogPosition, std::pair<RoomName, Id>> committed_;
  std::map<std::pair<RoomName, Id>, wire::LogPosition> placeOf_;  // where it was committed first
  std::set<std::pair<RoomName, Id>> moved_;                       // committed elsewhere later
  std::map<RoomName, std::map<std::uint64_t, Id>> history_;       // messages that were committed
  std::set<RoomName> ended_;                   // rooms that were forgotten anywhere
  std::map<RoomName, std::uint64_t> most_;     // members at the same time, at any metaserver
  std::map<RoomName, std::uint32_t> opensAt_;  // the least with which it was joined
  // Who was there when the room opened first, with the revision of its list.
  std::map<RoomName, std::map<PeerId, std::uint64_t>> openedWith_;
  TimePoint diskLostAt_{};
  std::uint64_t texts_ = 0;
  std::uint64_t shown_ = 0;
  std::uint64_t missing_ = 0;
};

template <typename Event>
void RoomNetwork::step(std::size_t index, Event event) {
  auto& server = servers_[index];
  if (!server.core || !failure_.empty()) return;
  Effects fx;
  event(*server.core, fx);
  carryOut(index, fx);
  checkServer(index);
}

}  // namespace espalier::test
