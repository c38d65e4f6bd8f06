// The rooms of a metaserver as one core: the log (room_log.h), the order of the master
// (room_master.h) or the copy of it (room_copy.h), and the peers of this metaserver (room_home.h).
//
//   leaderless --decide()--> deciding --follow(), leaderless()--> ...
//        ^      --follow()--> following --decide(), leaderless()--> ...
//
// What is promised, as long as at most one disk that has an entry is lost at a time:
//
//   - What a peer was told to be stored is in the log of every later master that reaches a disk
//     with it, or is appended there once it does. Nothing is shown before.
//   - All see the entries of a room in the order of the log, each once; what was said on another
//     side of a cut comes at its end, under new numbers.
//   - A closed room is shown to nobody, and what was opened anywhere is never closed again.
//
// The caller (the coordinator) says who decides, and passes what goes between a home and the master
// in the streams of sessions, in order and complete; masterBegan() begins such a stream anew. Other
// messages may be lost, repeated, and overtake each other. The shell carries effects out in their
// order (rooms_effects.h), and tells what is on the disk (persisted()).
//
// History: limits::kRoomMessages entries a room, and those of limits::kRoomKeptLeast;
// limits::kRoomKept; limits::kRoomsBytes in all. Each metaserver removes what is beyond by itself,
// in steps. An id is recognised as long as its entry is there.
//
// Does no I/O. Not thread-safe. Costs: as its parts.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "metaserver/core/rooms/room_copy.h"
#include "metaserver/core/rooms/room_home.h"
#include "metaserver/core/rooms/room_master.h"

namespace espalier::metaserver::rooms {

class Rooms {
 public:
  struct Options {
    ServerNumber self{};
    std::uint32_t lobbyOpensAt = 0;  // of the network: 0 or 1 opens at once
    RoomRate rate;
    std::size_t messagesMost = limits::kRoomMessages;  // of a room
    std::uint64_t bytesMost = limits::kRoomsBytes;
    std::chrono::milliseconds keptLeast = limits::kRoomKeptLeast;
    std::uint64_t wallMs = 0;  // since 1970, at the start
  };

  Rooms(const Options& options, const Stored& stored)
      : options_(options),
        disk_(stored),
        master_(disk_, members_, gate()),
        copy_(disk_, gate()),
        home_(disk_, members_, gate(), options.rate) {
    master_.setWall(options.wallMs);
  }
  Rooms(const Rooms&) = delete;
  Rooms& operator=(const Rooms&) = delete;

  // --- who decides
  // This metaserver, in an epoch of its own; `others`: all metaservers that it reaches. With an
  // epoch below that of the log it decides nothing, and asks for another one (needsEpoch).
  void decide(Epoch epoch, std::set<ServerNumber> others, TimePoint now, RoomsEffects& fx);
  // One that has begun another run of its process is left out first, and then named again: what it
  // had told may be gone with its disk. When this metaserver freezes for an heir: leaderless().
  void setOthers(std::set<ServerNumber> others, TimePoint now, RoomsEffects& fx);
  void follow(ServerNumber master, Epoch epoch, TimePoint now, RoomsEffects& fx);
  // `refuses`: what is said is refused with the code `timeout`; otherwise it waits.
  void leaderless(bool refuses, TimePoint now, RoomsEffects& fx);
  // The stream to the master that it follows is open. What was passed on before may be lost.
  void masterBegan(TimePoint now, RoomsEffects& fx);

  // This metaserver has another number; while no other one is reached.
  void renumber(ServerNumber self) { options_.self = self; }

  // --- from metaservers
  void received(ServerNumber from, const wire::RoomServerMessage& message, TimePoint now,
                RoomsEffects& fx);
  // In the stream of that home; only while this metaserver decides.
  void passed(ServerNumber home, wire::RoomPassed message, TimePoint now, RoomsEffects& fx);
  // In the stream of the master.
  void answered(const wire::RoomAnswer& answer, TimePoint now, RoomsEffects& fx);

  // --- from the disk
  void persisted(std::uint64_t number, TimePoint now, RoomsEffects& fx);
  // The first entries that are apart, in their order, as many as fit a frame (BatchFiller).
  void apartRead(const std::vector<wire::RoomEntry>& entries, TimePoint now, RoomsEffects& fx);
  // It takes nothing any more, or does again. While it fails this metaserver should not decide.
  void setFailing(bool isFailing, TimePoint now, RoomsEffects& fx);

  // --- from the directory, at every metaserver
  // `hasTold`: they are its own list; it may have none. Returns its id, which stays where it is
  // until memberGone().
  const PeerId& memberRooms(const PeerId& member, const std::vector<RoomName>& rooms, bool hasTold,
                            TimePoint now, RoomsEffects& fx);
  void memberGone(const PeerId& member, TimePoint now, RoomsEffects& fx);

  // --- from peers of this metaserver that are members
  void peerOpened(ConnectionId connection, const PeerId& peer, TimePoint now);
  void peerClosed(ConnectionId connection);
  void peerReceived(ConnectionId connection, const wire::RoomRequest& request, std::uint64_t wallMs,
                    TimePoint now, RoomsEffects& fx);

  void tick(std::uint64_t wallMs, TimePoint now, RoomsEffects& fx);
  TimePoint deadline() const;

  // --- queries
  struct Row {
    RoomName room;
    std::uint64_t members = 0;
    std::uint32_t opensAt = 0;
    bool isOpen = true;
    std::uint64_t last = 0;  // number of the last entry that may be shown
  };
  // Behind that name, in their order, with the lobby; at most so many.
  std::vector<Row> rows(const RoomName& after = {}, std::size_t most = 2 * limits::kRooms) const;
  const RoomMembers& members() const { return members_; }
  const RoomLog& log() const { return disk_.log(); }
  std::uint64_t committed() const { return disk_.committed(); }
  bool isClosed(const RoomName& room) const { return home_.isClosed(room); }
  bool isDeciding() const { return master_.isServing(); }
  // Its log is the master's, or was a moment ago.
  bool isLevel() const { return isDeciding() || (copy_.isFollowing() && copy_.isLevel()); }
  // The latest one in which somebody has decided.
  Epoch epoch() const { return std::max(disk_.log().last().epoch, copy_.epoch()); }

 private:
  std::uint32_t gate() const { return options_.lobbyOpensAt > 1 ? options_.lobbyOpensAt : 0; }
  void answerPull(ServerNumber from, const wire::RoomPull& pull, TimePoint now, RoomsEffects& fx);
  void lapse(std::uint64_t wallMs, RoomsEffects& fx);
  void lapseTo(const RoomName& room, std::uint64_t number, RoomsEffects& fx);
  void finish(TimePoint now, RoomsEffects& fx);

  Options options_;
  LogOnDisk disk_;
  RoomMembers members_;
  RoomMaster master_;
  RoomCopy copy_;
  RoomHome home_;
  bool wasServing_ = false;
  bool isStreamOpen_ = false;
  TimePoint apartAt_ = TimePoint::min();  // of its own, while it decides
  TimePoint lapseAt_ = TimePoint::min();
};

}  // namespace espalier::metaserver::rooms
