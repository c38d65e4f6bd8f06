// An index of the log of rooms that lies on this metaserver's disk: which entries there are, not
// what they say. Every change of it is also a write for the disk (room_store.h).
//
//   log:    append() at its end; truncate() moves what the master's log lacks to `apart`
//   room:   entries in their order, numbered without gaps; lapse() removes the first ones
//   apart:  ids that are to become entries of the log again; append() removes them from there
//
// **Positions.** One master appends in an epoch, to a log that it does not change any more. So two
// logs that have a position are equal up to it, and a log that has any entry of an epoch has every
// entry of that epoch's master up to its own last one of it. common() follows from that.
//
// **Gates.** A room whose first entry is `made` is closed until `opened` was committed. What says
// so outlives its entry (RoomRest): a truncation and a lapse neither open nor close a room. It also
// outlives the room: a truncation to a place before its end makes it what it was.
//
// Invariants (checkInvariants()): sequences rise in the log and in each room, epochs do not fall;
// an id is once in a room, and not in `apart` if it is in its room; apart from the first ones that
// lapsed no number is missing.
//
// Does no I/O. Not thread-safe. An entry takes some 150 bytes; append() and find() O(log rooms),
// truncate() O(rooms + entries that go).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "common/base/result.h"
#include "metaserver/core/rooms/room_store.h"

namespace espalier::metaserver::rooms {

// Of the entry by which a room opens: the same on both sides of a cut.
wire::RoomEntryId openedId();
// Of the entry by which a room is made that opens at so many members.
wire::RoomEntryId madeId(std::uint32_t opensAt);
wire::RoomEntryId endedId();

// The room in which everybody is. Whether it has a gate is an option of the network.
const RoomName& lobby();

struct EntryIdHash {
  std::size_t operator()(const wire::RoomEntryId& id) const noexcept {
    return std::hash<SpeakerId>()(id.speaker) ^ std::hash<std::uint64_t>()(id.counter * 0x9e3779b9);
  }
};

// An entry without its text and its author.
struct IndexedEntry {
  wire::LogPosition position;
  std::uint64_t atMs = 0;
  wire::RoomEntryId id;
  std::uint32_t bytes = 0;  // of the text
  std::uint32_t opensAt = 0;
  wire::RoomEntry::Kind kind = wire::RoomEntry::Kind::message;
  bool isApart = false;
};

class IndexedRoom {
 public:
  const std::deque<IndexedEntry>& entries() const { return entries_; }
  std::uint64_t lastNumber() const { return rest_.last + entries_.size(); }
  std::uint64_t firstNumber() const { return rest_.last + 1; }
  const IndexedEntry& at(std::uint64_t number) const { return entries_[number - rest_.last - 1]; }
  std::optional<std::uint64_t> numberOf(const wire::RoomEntryId& id) const;
  // The last entry up to that sequence; before the first one: of what lapsed.
  wire::RoomPlace placeAt(std::uint64_t sequence) const;
  // Entries up to that sequence; those that lapsed count.
  std::uint64_t numberAt(std::uint64_t sequence) const { return placeAt(sequence).number; }
  const wire::RoomRest& rest() const { return rest_; }
  // How many members it waits for; 0: it was made without a gate.
  std::uint32_t opensAt() const;
  bool isClosed() const { return !rest_.isOpened && opensAt() > 0; }
  // The next entry is number 1 again. That another side has ended it means nothing here.
  bool hasEnded() const {
    return !entries_.empty() && entries_.back().kind == wire::RoomEntry::Kind::ended &&
           !entries_.back().isApart;
  }

 private:
  friend class RoomLog;
  wire::RoomRest rest_;
  std::deque<IndexedEntry> entries_;
  std::unordered_map<wire::RoomEntryId, std::uint64_t, EntryIdHash> numbers_;
};

wire::RoomEntry openedEntry(const RoomName& room);
wire::RoomEntry madeEntry(const RoomName& room, std::uint32_t opensAt);
// The entry that says what is known here of the room's gate and not in its log (any more): it was
// on another side, or has lapsed. `lobbyOpensAt`: 0 opens at once.
std::optional<wire::RoomEntry> lackedGate(const IndexedRoom& room, std::uint32_t lobbyOpensAt);

class RoomLog;

// Those of the entries that are apart, as many as fit a frame, each behind the gate of its room: at
// the master that room may have ended meanwhile.
std::vector<wire::RoomEntry> withGates(const RoomLog& log,
                                       const std::vector<wire::RoomEntry>& entries);

class RoomLog {
 public:
  using Writes = std::vector<StoreWrite>;
  using ApartKey = std::pair<RoomName, wire::RoomEntryId>;

  RoomLog() = default;
  // What does not fit is left out: a database that somebody changed.
  explicit RoomLog(const Stored& stored);

  // --- changes
  // Behind the last position, with the number behind the last one of the room, or as the first one
  // of a room that has ended meanwhile. False: it does not fit (a false message): nothing changes.
  bool append(const wire::RoomEntry& entry, Writes& writes);
  // What another log says of a room whose first entries it does not keep. Before its entries.
  void takeRest(const wire::RoomRest& rest, Writes& writes);
  // Epochs that ended in another log, up to the end of this one.
  void takeEnded(const std::vector<wire::LogPosition>& ended, Writes& writes);
  // What is behind that position becomes apart.
  void truncate(const wire::LogPosition& last, Writes& writes);
  // The log goes up to that position, which is behind its last entry: what is between is not kept.
  void advance(const wire::LogPosition& last, Writes& writes);
  // The room's entries up to that number lapse.
  void lapse(const RoomName& room, std::uint64_t number, Writes& writes);
  // The master's log has them, on enough disks.
  void dropApart(const std::vector<wire::RoomKnown>& known, Writes& writes);
  // A room opens for good.
  void setOpened(const RoomName& room, Writes& writes);
  // Its last entry says that it has ended.
  void forget(const RoomName& room, Writes& writes);

  // --- queries
  const wire::LogPosition& last() const { return last_; }
  bool has(const wire::LogPosition& position) const;
  // The latest position of this log that is not behind one of the marks in its log. A mark: what is
  // up to there in its log is known.
  wire::LogPosition common(std::span<const wire::LogPosition> marks) const;
  // The last position of the latest epochs, falling.
  std::vector<wire::LogPosition> marks() const;
  // Of the epochs that ended between two sequences, rising.
  std::vector<wire::LogPosition> endedBetween(std::uint64_t after, std::uint64_t upTo) const;
  const IndexedRoom* find(const RoomName& room) const;
  // How many members the room waits for, or waited for when it ended; 0: for none (any more).
  std::uint32_t gateOf(const RoomName& room) const;
  const std::map<RoomName, IndexedRoom>& rooms() const { return rooms_; }
  const std::set<ApartKey>& apart() const { return apart_; }
  // Of the texts in the log.
  std::uint64_t bytes() const { return bytes_; }

  // For tests. The message says what is wrong.
  Result<void> checkInvariants() const;

 private:
  IndexedRoom& roomOf(const RoomName& name);
  const wire::RoomRest* endOf(const RoomName& room) const;  // its last one; null: none is noted
  void revive(std::uint64_t sequence, Writes& writes);
  void noteEpoch(const wire::LogPosition& position, Writes& writes);
  bool index(const wire::RoomEntry& entry, std::uint32_t bytes, Writes& writes);
  void popFront(IndexedRoom& room);

  std::map<RoomName, IndexedRoom> rooms_;
  std::vector<wire::LogPosition> epochs_;  // the last position of each, rising
  wire::LogPosition last_;
  std::set<ApartKey> apart_;
  std::map<std::uint64_t, wire::RoomRest> ended_;  // of rooms with a gate, by their end
  std::uint64_t bytes_ = 0;
};

}  // namespace espalier::metaserver::rooms
