// The messages of rooms: between a peer and its home, a home and the master, and the master and the
// other metaservers. Plain values without protobuf, so that cores can use them.
//
//   peer                       home                        master                  others
//    -- RoomsWanted -->         |  -- MemberRooms -->        |
//    -- RoomSay -->             |  -- RoomSaid -->           |  -- RoomEntries -->   |
//                               |                            |  <-- RoomHave --      |
//    <-- RoomSaidReply --       |  <-- RoomAnswer --         |
//    <-- RoomMessages --        |                            |  -- RoomEntries -->   |  (committed)
//    -- RoomAsk -->             |                            |  <-- RoomPull --      |
//    <-- RoomMessages --        |                            |  -- RoomEntries -->   |
//    <-- RoomState, RoomMoved --|                            |  <-- RoomApart --     |
//
// There is one log for all rooms of a network. An entry has a position in the log, which only
// programs see, and a number in its room, which people see.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"

namespace espalier::wire {

// --- the log

// Of an entry, in the log of one master: each epoch goes on behind the last sequence of the one
// before. Two logs that both have a position are equal up to it. Zero: before the first entry.
struct LogPosition {
  Epoch epoch;
  std::uint64_t sequence = 0;  // below limits::kSequenceNumbers

  auto operator<=>(const LogPosition&) const = default;
  bool isZero() const { return sequence == 0; }
};

// What was said once has one id, whoever repeats it. Unique in a room.
struct RoomEntryId {
  SpeakerId speaker;  // zero: the master itself
  std::uint64_t counter = 0;

  auto operator<=>(const RoomEntryId&) const = default;
};

struct RoomEntry {
  enum class Kind : std::uint8_t {
    message = 1,
    made = 2,    // the room opens when `opensAt` members are there
    opened = 3,  // they were
    ended = 4,   // nobody is in it, and nothing of it is kept: the next entry is number 1 again
  };
  RoomName room;
  LogPosition position;
  std::uint64_t number = 0;  // in the room, from 1
  RoomEntryId id;
  std::uint64_t atMs = 0;  // since 1970, by the author's home; below 2^53
  PeerId author;           // empty unless it is a message
  Kind kind = Kind::message;
  std::uint32_t opensAt = 0;  // of `made`: 2 to limits::kMembers
  bool isApart = false;       // it was said on another side of a cut, or at a master that was lost
  std::string text;           // of a message: UTF-8, 1 to limits::kRoomTextBytes

  bool operator==(const RoomEntry&) const = default;
};

// What is known of a room whose first entries are not kept any more.
struct RoomRest {
  RoomName room;
  LogPosition before;      // of the last entry that is not kept; zero: all are
  std::uint64_t last = 0;  // its number
  std::uint32_t opensAt = 0;
  bool isOpened = false;

  bool operator==(const RoomRest&) const = default;
};

// --- peer, home

struct RoomWanted {
  RoomName room;
  std::uint32_t opensAt = 0;  // if it is made; 0: at once

  bool operator==(const RoomWanted&) const = default;
};

// All rooms that the peer is in, beside the lobby: after each change, and at each home.
struct RoomsWanted {
  std::uint64_t revision = 0;     // of this list; a lower one is out of date
  std::vector<RoomWanted> rooms;  // by name, each once; at most limits::kRoomsOfPeer

  bool operator==(const RoomsWanted&) const = default;
};

struct RoomSay {
  RoomName room;
  RoomEntryId id;
  std::string text;

  bool operator==(const RoomSay&) const = default;
};

// Of a peer in a room: it has seen all entries up to that one, or need not see them. That stays
// true whichever log it sees later.
struct RoomPlace {
  LogPosition position;
  std::uint64_t number = 0;

  bool operator==(const RoomPlace&) const = default;
};

// Asks for what the room has behind those of these places that the home's log has.
struct RoomAsk {
  enum class From : std::uint8_t {
    places = 1,  // if the log has none of them: from the first entry that is kept
    now = 2,     // the answer says where that is
    last = 3,    // the last `most` entries, for `history`
  };
  RoomName room;
  std::uint64_t number = 0;  // of this peer's questions, not 0
  From from = From::places;
  std::vector<RoomPlace> places;  // at most limits::kRoomPlaces
  std::uint32_t most = 0;         // of `last`: 1 to limits::kRoomMessages

  bool operator==(const RoomAsk&) const = default;
};

using RoomRequest = std::variant<RoomsWanted, RoomSay, RoomAsk>;

struct RoomSaidReply {
  RoomName room;
  RoomEntryId id;
  std::uint64_t number = 0;  // in the room; 0: refused
  Epoch epoch;
  std::uint32_t stored = 0;  // metaservers that have it on disk
  // Of a refusal:
  ErrorCode code = ErrorCode::refused;
  std::uint32_t waitMs = 0;  // until it may be said; 0: it may not
  std::string why;           // at most limits::kMessageBytes; printable

  bool operator==(const RoomSaidReply&) const = default;
};

// Entries of one room in their order, without gaps, and what is before them.
struct RoomMessages {
  RoomName room;
  std::uint64_t answers = 0;  // the number of the question; 0: of none
  RoomPlace after;            // of the entry before the first one; zero: there is none
  // Of an answer to `now`: where the room was when earlier epochs ended, falling; at most
  // limits::kRoomPlaces. With them the peer finds its place in the log of another side.
  std::vector<RoomPlace> earlier;
  std::vector<RoomEntry> entries;
  // Behind `after` there were entries which are not kept any more: their numbers end before that of
  // the first entry here. 0: nothing is missing.
  std::uint64_t missingFrom = 0;
  std::uint64_t missingTo = 0;
  bool isMore = false;    // the home has more of the room
  bool isClosed = false;  // nothing of it is shown yet

  bool operator==(const RoomMessages&) const = default;
};

// Of a room that the peer is in.
struct RoomState {
  RoomName room;
  std::uint64_t members = 0;
  std::uint32_t opensAt = 0;
  bool isOpen = true;
  std::string refused;  // why the peer is not in it; empty: it is

  bool operator==(const RoomState&) const = default;
};

struct RoomMoved {
  RoomName room;
  PeerId who;
  bool isIn = false;  // it has joined; else it has left

  bool operator==(const RoomMoved&) const = default;
};

using RoomReply = std::variant<RoomSaidReply, RoomMessages, RoomState, RoomMoved>;

// --- home, master: in the streams of sessions, so in order and complete

struct RoomSaid {
  RoomSay say;
  PeerId author;
  std::uint64_t atMs = 0;
  std::uint32_t opensAt = 0;  // with which the author has joined the room, should it be new

  bool operator==(const RoomSaid&) const = default;
};

struct MemberRooms {
  PeerId member;
  RoomsWanted wanted;

  bool operator==(const MemberRooms&) const = default;
};

using RoomPassed = std::variant<RoomSaid, MemberRooms>;

// To a RoomSaid, or why a member is not in a room that it wants.
struct RoomRefused {
  PeerId member;
  RoomName room;
  std::string why;

  bool operator==(const RoomRefused&) const = default;
};

using RoomAnswer = std::variant<RoomSaidReply, RoomRefused>;

// --- the master, other metaservers

struct RoomKnown {
  RoomName room;
  RoomEntryId id;

  bool operator==(const RoomKnown&) const = default;
};

// The entries of a log between two positions that are kept. Also of any metaserver to a new master
// that gathers.
struct RoomEntries {
  Epoch epoch;                // of the master
  std::uint64_t answers = 0;  // the number of the pull; 0: of none
  LogPosition after;
  LogPosition upTo;             // no entry between them is left out that is kept
  LogPosition last;             // of the sender's log
  std::uint64_t committed = 0;  // sequence up to which everything may be shown
  // Of an answer: rooms of which entries between the two positions are not kept, and the last
  // positions of the epochs that ended between them, rising; at most limits::kRoomEpochs.
  std::vector<RoomRest> rests;
  std::vector<LogPosition> ended;
  // Of a RoomApart: what the log has already, committed. At most limits::kRoomBatch.
  std::vector<RoomKnown> known;
  std::vector<RoomEntry> entries;

  bool operator==(const RoomEntries&) const = default;
};

// The last positions that a log has of its latest epochs: what is behind the latest of them that
// the other log has is asked for.
struct RoomPull {
  Epoch epoch;  // of the master, which is one of the two
  std::uint64_t number = 0;
  std::vector<LogPosition> marks;  // falling; at most limits::kRoomMarks

  bool operator==(const RoomPull&) const = default;
};

// What is on the sender's disk of the master's log.
struct RoomHave {
  Epoch epoch;
  std::uint64_t sequence = 0;
  bool isFailing = false;  // its disk takes nothing any more: nobody waits for it

  bool operator==(const RoomHave&) const = default;
};

// Entries that the sender has and the master's log lacks, with the position that they had.
struct RoomApart {
  Epoch epoch;
  std::vector<RoomEntry> entries;

  bool operator==(const RoomApart&) const = default;
};

using RoomServerMessage = std::variant<RoomEntries, RoomPull, RoomHave, RoomApart>;

}  // namespace espalier::wire
