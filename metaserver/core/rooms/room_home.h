// The peers of this metaserver, in rooms.
//
//   what a peer says:   taken --> pending --the master's answer--> told to the peer
//                         |          +-- another master: it is passed on again, in its order
//                         +-- refused: too fast, not in the room, no master where etcd decides
//
// A peer is told what is committed, in the order of the log, with the place before it (wire
// RoomMessages). One that lacks something, or comes from another home, asks (RoomAsk). So the home
// remembers of a peer only which rooms it is in.
//
// Of a room that was closed when the peer came into it, or not known here, the first answer is
// `closed`: it may have opened by this peer, which is to be shown what was kept.
//
// Of a room that is closed nothing is told, and of no room while the lobby is closed. A peer that
// has not told its rooms is in none, and is told nothing: its program may know nothing of rooms.
//
// Bounds: limits::kRoomSays pending a peer, limits::kRoomSaysHeld in all. Does no I/O. Not
// thread-safe. Telling an entry costs O(peers here that are in the room). Some 7 bytes for a peer
// in a room.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "metaserver/core/rooms/log_on_disk.h"
#include "metaserver/core/rooms/room_members.h"
#include "metaserver/core/rooms/room_numbers.h"
#include "metaserver/core/rooms/rooms_effects.h"

namespace espalier::metaserver::rooms {

struct RoomRate {
  double perSecond = limits::kRoomRate;
  double burst = limits::kRoomBurst;
};

class RoomHome {
 public:
  // Both are borrowed.
  RoomHome(LogOnDisk& disk, const RoomMembers& members, std::uint32_t lobbyOpensAt, RoomRate rate)
      : disk_(disk), members_(members), lobbyOpensAt_(lobbyOpensAt), rate_(rate) {
    rooms_.resize(*numbers_.take(lobby()) + 1u);  // there is always a number for it
  }

  // --- events of peers
  // A session of a member begins. Until closed() its id does not change.
  void opened(ConnectionId connection, const PeerId& peer, TimePoint now);
  void closed(ConnectionId connection);
  void received(ConnectionId connection, const wire::RoomRequest& request, std::uint64_t wallMs,
                TimePoint now, RoomsEffects& fx);

  // --- events of the master
  // Everything is passed on (again).
  void masterBegan();
  // `refuses`: what is said meanwhile is refused.
  void masterLost(bool refuses, RoomsEffects& fx);
  void answered(const wire::RoomAnswer& answer, RoomsEffects& fx);
  // What is to be passed on, in this order.
  std::vector<wire::RoomPassed> takePassed() { return std::exchange(passed_, {}); }

  // --- events of the log and of the directory
  // The log is what a master has, for the first time: questions have waited for that.
  void levelled(RoomsEffects& fx);
  void tellCommitted(RoomsEffects& fx);
  void tellMoved(const PeerId& who, const std::vector<RoomMembers::Change>& changes,
                 RoomsEffects& fx);
  // Called once a second: how many there are in large rooms that are closed.
  void tellStates(RoomsEffects& fx);

  // Nothing of it may be shown.
  bool isClosed(const RoomName& room) const;
  std::size_t pendingCount() const { return pending_.size(); }

 private:
  using Slot = std::uint32_t;
  using Number = RoomNumbers::Number;
  struct Session {
    PeerId peer;
    Slot slot = 0;
    std::uint64_t opening = 0;   // rises: which of a peer's sessions is the latest one
    std::uint64_t revision = 0;  // of the list that the peer has told
    std::vector<Number> rooms;   // rising; with the lobby
    std::vector<std::pair<Number, std::uint32_t>> gates;  // that it would make
    std::vector<Number> unseen;                           // rooms that were not open when it came
    double tokens = 0;
    TimePoint tokensAt{};
    std::size_t pending = 0;
    bool hasTold = false;             // its rooms
    std::vector<wire::RoomAsk> asks;  // that wait
  };
  struct Pending {
    ConnectionId connection{};
    wire::RoomSaid said;
  };
  using Sessions = std::map<ConnectionId, Session>;
  using Key = std::pair<RoomName, wire::RoomEntryId>;

  void take(Sessions::iterator session, const wire::RoomsWanted& wanted, RoomsEffects& fx);
  void take(Sessions::iterator session, const wire::RoomSay& say, std::uint64_t wallMs,
            TimePoint now, RoomsEffects& fx);
  void answer(ConnectionId connection, Session& session, const wire::RoomAsk& ask,
              RoomsEffects& fx) const;
  bool hasOpenedSince(Session& session, const wire::RoomAsk& ask) const;
  void refuse(ConnectionId connection, const wire::RoomSay& say, ErrorCode code,
              std::uint32_t waitMs, const char* why, RoomsEffects& fx) const;
  std::uint32_t waitFor(Session& session, TimePoint now);
  void answerTo(Sessions::iterator session, Pending& pending);
  void forgetPending(std::map<std::uint64_t, Pending>::iterator pending);
  bool isIn(const Session& session, const RoomName& room) const;
  void enter(Session& session, const RoomName& room);
  void leave(Session& session, Number room);
  wire::RoomsWanted wantedOf(const Session& session) const;
  wire::RoomState stateOf(const RoomName& room) const;
  bool hasPeers(const RoomName& room) const;
  std::vector<ConnectionId> peersIn(const RoomName& room) const;
  void notify(const RoomName& room, RoomsEffects& fx) const;
  void openRooms(RoomsEffects& fx);

  LogOnDisk& disk_;
  const RoomMembers& members_;
  const std::uint32_t lobbyOpensAt_;
  const RoomRate rate_;
  Sessions sessions_;
  std::vector<ConnectionId> slots_;
  std::vector<Slot> freeSlots_;
  RoomNumbers numbers_;
  std::vector<std::vector<Slot>> rooms_;      // by number, with the lobby: the peers that are in it
  std::map<std::uint64_t, Pending> pending_;  // in the order in which they came
  std::map<Key, std::uint64_t> pendingOf_;
  std::uint64_t arrivals_ = 0;
  std::uint64_t openings_ = 0;
  std::vector<wire::RoomPassed> passed_;
  std::set<RoomName> statesDue_;
  bool hasMaster_ = false;
  bool refuses_ = false;
  bool isLevel_ = false;
};

}  // namespace espalier::metaserver::rooms
