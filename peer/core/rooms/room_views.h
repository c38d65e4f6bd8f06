// What a peer sees of rooms: those that it is in, where it is in each, what it lacks, and what it
// said and was not acknowledged yet.
//
//   a room:  joining --the home says where it is--> level --something is missing--> asking
//               |                                    ^  <----- its answer -----------+
//               +-- it is closed --> waiting --it is told something--> asking (from the first)
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
// Nothing from the home asserts. Bounds: limits::kRoomsOfPeer rooms, limits::kRoomSays says. Does
// no I/O. Not thread-safe. O(log n) an entry.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <unordered_set>
#include <vector>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/result.h"
#include "common/wire/rooms.h"

namespace espalier::peer {

// At most limits::kRoomBurst, which a new home takes at once.
inline constexpr std::size_t kSaysUnderWay = 16;  // tuning
static_assert(kSaysUnderWay <= limits::kRoomBurst);

// Of a room, over a restart.
struct SavedRoom {
  RoomName room;
  std::uint32_t opensAt = 0;            // with which it was joined
  bool isJoined = true;                 // false: it has been left
  bool fromFirst = false;               // it was closed: it is shown from its first entry on
  wire::LogPosition at;                 // of the last entry of the room in the home's log
  std::vector<wire::RoomPlace> places;  // of each epoch one, the latest first
  std::uint64_t lastMs = 0;             // when the last entry was sent
};

struct RoomViewsEffects {
  struct Missing {
    RoomName room;
    std::uint64_t from = 0;  // numbers
    std::uint64_t to = 0;
    std::uint64_t afterMs = 0;   // sent after that; 0: not known
    std::uint64_t beforeMs = 0;  // and before that
  };
  struct Show {
    wire::RoomEntry entry;  // a message, or `opened`
    bool isOwn = false;
    bool namesUser = false;
  };
  struct History {
    std::uint64_t number = 0;  // that history() gave
    wire::RoomMessages messages;
  };
  std::vector<wire::RoomRequest> sends;  // to the home
  std::uint64_t revision = 0;            // 0: as it was; to be saved
  std::vector<SavedRoom> saves;          // in one transaction with what is shown
  std::vector<Show> shows;
  std::vector<Missing> missing;  // before what is shown of that room
  std::vector<wire::RoomSaidReply> said;
  std::vector<wire::RoomState> states;
  std::vector<wire::RoomMoved> moved;
  std::vector<History> histories;
};

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

  // `speaker`: another one in each run.
  RoomViews(PeerId self, SpeakerId speaker, const Saved& saved);

  // --- what the user wants. Errors have the code `usage` or `refused`.
  Result<void> join(const RoomName& room, std::uint32_t opensAt, TimePoint now,
                    RoomViewsEffects& fx);
  Result<void> part(const RoomName& room, RoomViewsEffects& fx);
  // Acknowledged or refused by Effects::said.
  Result<wire::RoomEntryId> say(const RoomName& room, std::string text, RoomViewsEffects& fx);
  // The last `most` messages; answered by Effects::histories. Nothing: there is no home.
  std::optional<std::uint64_t> history(const RoomName& room, std::uint32_t most,
                                       RoomViewsEffects& fx);
  void read(const RoomName& room);

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
    std::uint64_t unread = 0;
    std::uint64_t naming = 0;
    wire::RoomState state;
  };

  Room& add(const RoomName& room);
  void ask(Room& room, TimePoint now, RoomViewsEffects& fx);
  void sendWanted(RoomViewsEffects& fx);
  void sendSays(RoomViewsEffects& fx);
  void take(const wire::RoomMessages& messages, TimePoint now, RoomViewsEffects& fx);
  void take(const wire::RoomSaidReply& reply, RoomViewsEffects& fx);
  void take(const wire::RoomState& state, RoomViewsEffects& fx);
  void note(Room& room, const wire::RoomPlace& place);
  void append(Room& room, const wire::RoomEntry& entry, RoomViewsEffects& fx);
  void remember(Room& room, const wire::RoomEntryId& id);

  const PeerId self_;
  const SpeakerId speaker_;
  std::uint64_t revision_;
  std::map<RoomName, Room> rooms_;  // with the lobby
  std::deque<wire::RoomSay> says_;
  std::size_t underWay_ = 0;  // the first ones of them were sent to this home
  std::uint64_t counter_ = 0;
  std::uint64_t asks_ = 0;
  std::map<std::uint64_t, RoomName> histories_;  // asked for
  bool hasHome_ = false;
};

}  // namespace espalier::peer
