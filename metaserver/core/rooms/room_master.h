// The order of what is said in rooms, at the metaserver that decides.
//
//   idle --begin()--> gathering --nobody has more, or limits::kRoomGather--> serving
//     ^                   |                                                     |
//     +------ end() ------+-----------------------------------------------------+
//
//   gathering  It asks all that it reaches for their logs. A log that goes on where its own ends
//              extends its own, the one with the latest end first, until none does. What others
//              have beside that comes later, as apart. What is passed on to it waits.
//   serving    It appends what homes pass on, sends each entry once to every metaserver, and
//              commits what is on its own disk and on another one: the author gets its number.
//              While nobody else can be seen its own disk is enough.
//
// An id has one number, whoever repeats it: here, at the next master, after a restart. What was
// said on another side (RoomApart) is appended behind what is there.
//
// Its log has no epoch above its own. Before it appends anything it has all that was acknowledged
// before and is on a disk that it reaches.
//
// Bounds: limits::kRoomWaiting entries that are not committed, limits::kRoomUnsyncedBytes that are
// not on its disk, limits::kRoomSaysHeld messages while it gathers; more is refused. Does no I/O.
// Not thread-safe. O(log n) an entry, and O(metaservers) a flush.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "metaserver/core/rooms/log_on_disk.h"
#include "metaserver/core/rooms/room_members.h"
#include "metaserver/core/rooms/rooms_effects.h"

namespace espalier::metaserver::rooms {

class RoomMaster {
 public:
  using Servers = std::set<ServerNumber>;

  // Both are borrowed. `lobbyOpensAt`: 0 opens at once.
  RoomMaster(LogOnDisk& disk, const RoomMembers& members, std::uint32_t lobbyOpensAt)
      : disk_(disk), members_(members), lobbyOpensAt_(lobbyOpensAt) {}

  // --- events
  // `others`: all that it reaches. `epoch` is not below that of the log.
  void begin(Epoch epoch, Servers others, TimePoint now, RoomsEffects& fx);
  void end();
  void setOthers(Servers others, TimePoint now, RoomsEffects& fx);
  void passed(ServerNumber home, wire::RoomPassed message, RoomsEffects& fx);
  void received(ServerNumber from, const wire::RoomEntries& answer, TimePoint now,
                RoomsEffects& fx);
  void received(ServerNumber from, const wire::RoomHave& have);
  // `from`: also this metaserver.
  void received(ServerNumber from, const wire::RoomApart& apart, RoomsEffects& fx);
  // Somebody has come into that room, or it is closed for another reason.
  void openGate(const RoomName& room, RoomsEffects& fx);
  void tick(TimePoint now, RoomsEffects& fx);
  // The end of a step: commits, answers, and sends.
  void flush(RoomsEffects& fx);
  TimePoint deadline() const;

  // Its own disk takes nothing: what is said is refused.
  void setFailing(bool isFailing) { isFailing_ = isFailing; }

  // Nobody is in it, and no message is kept. While the directory may lack members nothing ends.
  void endRoom(const RoomName& room, RoomsEffects& fx);
  // The time of what it says itself.
  void setWall(std::uint64_t wallMs) { wallMs_ = wallMs; }

  // --- queries
  bool isServing() const { return state_ == State::serving; }
  bool isGathering() const { return state_ == State::gathering; }
  bool isIdle() const { return state_ == State::idle; }
  Epoch epoch() const { return epoch_; }

 private:
  enum class State { idle, gathering, serving };
  struct Gathered {
    std::uint64_t asked = 0;  // the number of the pull that is under way; 0: none
    std::optional<wire::RoomEntries> answer;
  };
  struct Waiting {
    ServerNumber home{};
    RoomName room;
    wire::RoomEntryId id;
    std::uint64_t number = 0;
    Epoch epoch;  // of the entry
  };
  struct Other {
    std::uint64_t sequence = 0;  // on its disk
    bool isFailing = false;
  };

  void ask(ServerNumber other, RoomsEffects& fx);
  void gather(TimePoint now, RoomsEffects& fx);
  void serve(TimePoint now, RoomsEffects& fx);
  void take(ServerNumber home, const wire::RoomSaid& said, RoomsEffects& fx);
  void take(ServerNumber home, const wire::MemberRooms& rooms, RoomsEffects& fx);
  bool isFull() const;
  bool isNew(const RoomName& room) const;
  void make(const RoomName& room, std::uint32_t opensAt, RoomsEffects& fx);
  void append(wire::RoomEntry entry, RoomsEffects& fx);
  void commit(RoomsEffects& fx);
  std::uint32_t storedAt(std::uint64_t sequence) const;
  void sendPosition(RoomsEffects& fx) const;
  wire::RoomEntries message(const wire::LogPosition& after) const;

  LogOnDisk& disk_;
  const RoomMembers& members_;
  const std::uint32_t lobbyOpensAt_;
  State state_ = State::idle;
  Epoch epoch_;
  Servers others_;

  std::map<ServerNumber, Gathered> gathered_;
  std::optional<ServerNumber> source_;  // whose log is pulled
  bool hasGrown_ = false;               // since all were asked
  TimePoint gatherUntil_{};
  std::uint64_t asks_ = 0;
  std::deque<std::pair<ServerNumber, wire::RoomPassed>> held_;

  std::map<ServerNumber, Other> have_;
  std::multimap<std::uint64_t, Waiting> waiting_;  // by sequence
  std::vector<wire::RoomEntry> unsent_;
  std::set<RoomName> made_;  // in this step: their members may be there already
  wire::LogPosition sentUpTo_;
  std::uint64_t committedSent_ = 0;
  TimePoint beatAt_ = kNever;
  std::uint64_t wallMs_ = 0;
  bool isFailing_ = false;
  TimePoint endsFrom_ = kNever;
  TimePoint now_{};  // of the latest tick
};

}  // namespace espalier::metaserver::rooms
