// What rooms ask of the disk (the shell's rooms.db). Plain values.
//
// Writes are carried out in their order, and reads behind the writes before them. What is written
// may be synced in batches: Rooms::persisted() tells how far it is. A store has
//
//   log     the entries by sequence, and its end: of the last StoreAppend or StoreEnd
//   apart   entries that were in the log and are not in the master's, in the order in which they
//           were moved
//   rests   a row a room: RoomRest
//   ended   rows of rooms that have ended, by `before.sequence`, their end; the latest
//           limits::kRooms are enough. A room may have several, and one in `rests` again
//   epochs  the last positions of epochs that ended; the latest limits::kRoomEpochs are enough
#pragma once

#include <cstdint>
#include <utility>
#include <variant>
#include <vector>

#include "common/base/limits.h"
#include "common/wire/rooms.h"

namespace espalier::metaserver::rooms {

struct StoreAppend {
  wire::RoomEntry entry;
};
// The log ends there: all entries behind it become apart, in their order. Rows of rooms that ended
// behind it are removed.
struct StoreEnd {
  wire::LogPosition last;
};
// An epoch has ended in the log with that position: replaces the row of that epoch. StoreEnd
// removes those that end behind it.
struct StoreEpoch {
  wire::LogPosition last;
};
struct StoreDropApart {
  RoomName room;
  wire::RoomEntryId id;
};
// Replaces the row. The room's entries up to `rest.before` are removed from the log.
struct StoreRest {
  wire::RoomRest rest;
};
// The room has ended: nothing of it is left but its row, if it had a gate: that moves from `rests`
// to `ended`.
struct StoreForget {
  RoomName room;
  bool hadGate = false;
};
using StoreWrite =
    std::variant<StoreAppend, StoreEnd, StoreEpoch, StoreDropApart, StoreRest, StoreForget>;

// An entry of the log as it is read at a start: without its text, whose bytes count.
struct StoredEntry {
  wire::RoomEntry entry;
  std::uint32_t bytes = 0;
};

// What a store has, at a start. Texts are not used.
struct Stored {
  wire::LogPosition last;
  std::vector<StoredEntry> log;        // by sequence
  std::vector<wire::RoomEntry> apart;  // in their order
  std::vector<wire::RoomRest> rests;
  std::vector<wire::RoomRest> ended;      // by the sequence of their end
  std::vector<wire::LogPosition> epochs;  // by sequence
};

// Which entries of a message come from the disk: of the log, or of one room.
struct StoreRange {
  RoomName room;            // empty: of all rooms
  std::uint64_t after = 0;  // sequences: those behind it
  std::uint64_t upTo = 0;   // up to that one
};

// Takes entries for one message in their order, as many as fit a frame.
class BatchFiller {
 public:
  static std::size_t bytesOf(const wire::RoomEntry& entry) { return bytesOf(entry.text.size()); }
  static std::size_t bytesOf(std::size_t textBytes) {
    return 128 + 2 * limits::kPeerIdBytes + textBytes;
  }
  // False: the message is full, and lacks this entry.
  bool add(wire::RoomEntry entry) {
    bytes_ += bytesOf(entry);
    isCut_ = !entries_.empty() &&
             (bytes_ > limits::kRoomBatchBytes || entries_.size() >= limits::kRoomBatch);
    if (isCut_) return false;
    entries_.push_back(std::move(entry));
    return true;
  }
  // For Rooms::apartRead().
  std::vector<wire::RoomEntry> take() { return std::exchange(entries_, {}); }
  void finish(wire::RoomEntries& message) {
    if (isCut_) message.upTo = entries_.back().position;
    message.entries = std::move(entries_);
  }
  void finish(wire::RoomMessages& message) {
    message.isMore |= isCut_;
    message.entries = std::move(entries_);
  }

 private:
  std::vector<wire::RoomEntry> entries_;
  std::size_t bytes_ = 0;
  bool isCut_ = false;
};

}  // namespace espalier::metaserver::rooms
