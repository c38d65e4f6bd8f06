// The log of rooms of this metaserver, how far it is on its disk, and how far it may be shown.
//
//   appended --persisted()--> durable        (this disk)
//   appended --commit()-->    committed      (the master's word: enough disks have it)
//
// The texts of entries that were not delivered yet are kept in memory, up to
// limits::kRoomPendingBytes; who needs others reads the disk. While more than
// limits::kRoomUnsyncedBytes of entries are not on it, it is behind: who could append waits, or is
// refused.
//
// Invariants: durable() and committed() are sequences that the log has, or had when its end was
// there; a truncation takes both back. Does no I/O. Not thread-safe. O(log n) each.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <set>
#include <utility>

#include "common/base/limits.h"
#include "metaserver/core/rooms/room_log.h"
#include "metaserver/core/rooms/rooms_effects.h"

namespace espalier::metaserver::rooms {

class LogOnDisk {
 public:
  explicit LogOnDisk(const Stored& stored);

  const RoomLog& log() const { return log_; }
  // Its changes that concern neither texts nor what is durable.
  RoomLog& index() { return log_; }

  bool append(const wire::RoomEntry& entry, RoomsEffects& fx);
  void truncate(const wire::LogPosition& last, RoomsEffects& fx);
  void commit(std::uint64_t sequence);
  // Up to that sequence the texts are not needed any more.
  void delivered(std::uint64_t sequence);

  // The end of a step: its writes get a number.
  void endStep(RoomsEffects& fx);
  void persisted(std::uint64_t number);

  std::uint64_t durable() const { return durable_; }
  bool isBehind() const { return stepBytes_ + unsyncedBytes_ > limits::kRoomUnsyncedBytes; }
  std::uint64_t committed() const { return committed_; }
  std::uint64_t deliveredUpTo() const { return delivered_; }
  // By sequence.
  const std::map<std::uint64_t, wire::RoomEntry>& texts() const { return texts_; }
  // Rooms with entries behind deliveredUpTo() whose text is not there.
  const std::set<RoomName>& untold() const { return untold_; }

 private:
  void dropText(std::map<std::uint64_t, wire::RoomEntry>::iterator text);

  RoomLog log_;
  std::uint64_t durable_ = 0;
  std::uint64_t committed_ = 0;
  std::uint64_t delivered_ = 0;
  std::uint64_t writes_ = 0;  // how many steps had some
  struct Step {
    std::uint64_t number = 0;
    wire::LogPosition last;
    std::size_t bytes = 0;
  };
  std::deque<Step> unsynced_;
  std::size_t stepBytes_ = 0;  // of this step
  std::size_t unsyncedBytes_ = 0;
  std::map<std::uint64_t, wire::RoomEntry> texts_;
  std::size_t textBytes_ = 0;
  std::set<RoomName> untold_;
};

}  // namespace espalier::metaserver::rooms
