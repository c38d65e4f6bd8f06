// What a peer sees of rooms: those that it is in, where it is in each, what it lacks, and what it
// said and was not acknowledged yet.
//
//   a room:  joining --the home says where it is--> level --something is missing--> asking
//               |                                    ^  <----- its answer -----------+
//               +-- it is closed --> waiting --it is told something--> asking (from the first)
//
// A home answers `closed` also if the room has opened since it knows that this peer is in it. If
// that home is lost before it answers, what the next one says may be too late: of a room with a
// gate everything is shown then.
//
// A place is a position of the log (common/wire/rooms.h). What the home tells follows the position
// where the peer is; if it does not, the peer asks. It tells its last places of several epochs: the
// log of another side of a cut has some of them. Then that side's messages follow, and those of
// this side come again, under new numbers: by its id each is shown once, and nothing that was shown
// moves.
//
// Says are sent in their order, kSaysUnderWay at once, and again at each new home, until they are
// acknowledged or refused. A repeated one is harmless: its id is the same.
//
// What was shown is to be written before it is shown (Effects::saves before shows), so that a
// restart shows nothing twice. Ids are remembered for 2 * limits::kRoomMessages of each room.
//
// What a peer says that this one ignores is not shown, and not counted as unread.
//
// Nothing from the home asserts. Bounds: limits::kRoomsOfPeer rooms, limits::kRoomSays says,
// limits::kRoomHistories questions for the history. Does no I/O. Not thread-safe. O(log n) an
// entry.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/result.h"
#include "common/wire/rooms.h"
#include "peer/core/rooms/room_effects.h"

namespace espalier::peer {

// Everybody is in it.
inline constexpr const char* kLobby = "lobby";

// At most limits::kRoomBurst, which a new home takes at once.
inline constexpr std::size_t kSaysUnderWay = 16;  // tuning
static_assert(kSaysUnderWay <= limits::kRoomBurst);

class RoomViews {
 public:
  struct Saved {
    std::uint64_t revision = 0;
    std::vector<SavedRoom> rooms;
    // Of the last entries that were shown, by room, the oldest first.
    std::map<RoomName, std::vector<wire::RoomEntryId>> shown;
  };
  struct Row {
    RoomName room;
    std::uint64_t unread = 0;
    std::uint64_t naming = 0;  // of them, those that name the user
    wire::RoomState state;
  };

  using IsIgnored = std::function<bool(const PeerId&)>;

  // `speaker`: another one in each run.
  RoomViews(PeerId self, SpeakerId speaker, const Saved& saved, IsIgnored isIgnored = {});
  // This peer has another id from now on.
  void rename(const PeerId& self) { self_ = self; }

  // --- what the user wants. Errors have the code `usage` or `refused`.
  Result<void> join(const RoomName& room, std::uint32_t opensAt, TimePoint now,
                    RoomViewsEffects& fx);
  Result<void> part(const RoomName& room, RoomViewsEffects& fx);
  // Acknowledged or refused by Effects::said.
  Result<wire::RoomEntryId> say(const RoomName& room, std::string text, RoomViewsEffects& fx);
  // Nobody waits for it any more. True: no home has got it, so it is not said. Otherwise it goes on
  // being sent until it is acknowledged, or this peer ends.
  bool withdraw(const wire::RoomEntryId& id);
  // The last `most` entries; answered by Effects::histories, by the next home if need be. Nothing:
  // too many are asked for.
  std::optional<std::uint64_t> history(const RoomName& room, std::uint32_t most,
                                       RoomViewsEffects& fx);
  void forgetHistory(std::uint64_t number) { histories_.erase(number); }
  // The user has seen what there is.
  void read(const RoomName& room, RoomViewsEffects& fx);

  // --- the home
  // This peer is a member, and the home understands rooms.
  void homeBegan(TimePoint now, RoomViewsEffects& fx);
  void homeLost();
  void received(const wire::RoomReply& reply, TimePoint now, RoomViewsEffects& fx);
  void tick(TimePoint now, RoomViewsEffects& fx);
  TimePoint deadline() const;

  // --- queries
  std::vector<Row> rows() const;
  bool isIn(const RoomName& room) const { return rooms_.contains(room); }
  bool hasHome() const { return hasHome_; }
  std::size_t unsaid() const { return says_.size(); }

 private:
  struct IdHash {
    std::size_t operator()(const wire::RoomEntryId& id) const noexcept {
      return std::hash<SpeakerId>()(id.speaker) ^
             std::hash<std::uint64_t>()(id.counter * 0x9e3779b9);
    }
  };
  struct Room {
    SavedRoom saved;
    std::unordered_set<wire::RoomEntryId, IdHash> shown;
    std::deque<wire::RoomEntryId> order;  // of `shown`
    std::uint64_t asked = 0;              // the question under way; 0: none
    wire::RoomAsk::From from = wire::RoomAsk::From::now;
    TimePoint askUntil{};
    bool isUncertain = false;  // a home was lost which has not said where the room is
    wire::RoomState state;
  };
  struct Say {
    wire::RoomSay say;
    bool wasSent = false;  // to any home
  };
  struct OpenHistory {
    RoomName room;
    std::uint32_t most = 0;
    std::vector<wire::RoomEntry> entries;  // the answers so far
  };

  Room& add(const RoomName& room);
  void ask(Room& room, TimePoint now, RoomViewsEffects& fx);
  void sendWanted(RoomViewsEffects& fx);
  void sendSays(RoomViewsEffects& fx);
  void askHistory(std::uint64_t number, OpenHistory& history, RoomViewsEffects& fx) const;
  void takeHistory(const wire::RoomMessages& messages, RoomViewsEffects& fx);
  void take(const wire::RoomMessages& messages, TimePoint now, RoomViewsEffects& fx);
  void take(const wire::RoomSaidReply& reply, RoomViewsEffects& fx);
  void take(const wire::RoomState& state, RoomViewsEffects& fx);
  void take(const wire::RoomMoved& moved, RoomViewsEffects& fx);
  void note(Room& room, const wire::RoomPlace& place);
  void append(Room& room, const wire::RoomEntry& entry, RoomViewsEffects& fx);
  void remember(Room& room, const wire::RoomEntryId& id);

  PeerId self_;
  const SpeakerId speaker_;
  const IsIgnored isIgnored_;
  std::uint64_t revision_;
  std::map<RoomName, Room> rooms_;  // with the lobby
  std::deque<Say> says_;
  std::size_t underWay_ = 0;  // the first ones of them were sent to this home
  std::uint64_t counter_ = 0;
  std::uint64_t asks_ = 0;
  std::map<std::uint64_t, OpenHistory> histories_;  // by the number of the question
  bool hasHome_ = false;
};

}  // namespace espalier::peer
