// The copy of the master's log of rooms at every other metaserver.
//
//   idle --follow()--> behind --a message that follows what it has--> level
//     ^                  ^  +-- pulls, one at a time                    |
//     +---- leave() -----+----------------- a gap ----------------------+
//
// A message says what the master's log has between two positions. It is taken in if this log has
// the first one. What this log has beyond that the master's has not was said on another side, or
// at a master that was lost: it becomes apart, and is sent to the master (RoomApart) until it is in
// the log again under a new number. So nothing that is on a disk is removed before it is elsewhere
// in the log.
//
// What it tells the master (RoomHave) is what is on its disk *and* in the master's log.
//
// What has an older epoch than the newest that was seen is ignored: once a new master has asked,
// the old one gets nothing acknowledged here any more.
//
// Does no I/O. Not thread-safe. O(log n) an entry.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <vector>

#include "common/base/clock.h"
#include "metaserver/core/rooms/log_on_disk.h"
#include "metaserver/core/rooms/rooms_effects.h"

namespace espalier::metaserver::rooms {

class RoomCopy {
 public:
  RoomCopy(LogOnDisk& disk, std::uint32_t lobbyOpensAt)
      : disk_(disk), lobbyOpensAt_(lobbyOpensAt) {}

  // --- events
  void follow(ServerNumber master, Epoch epoch, TimePoint now);
  void leave();
  // Somebody decides, or has decided, in that epoch: older ones are over.
  void seen(Epoch epoch);
  void received(ServerNumber from, const wire::RoomEntries& message, TimePoint now,
                RoomsEffects& fx);
  void apartRead(const std::vector<wire::RoomEntry>& entries, RoomsEffects& fx);
  void setFailing(bool isFailing) {
    isDue_ |= isFailing != isFailing_;
    isFailing_ = isFailing;
  }
  void tick(TimePoint now, RoomsEffects& fx);
  // The end of a step: tells the master what is on the disk.
  void flush(TimePoint now, RoomsEffects& fx);
  TimePoint deadline() const;

  // --- queries
  bool isLevel() const { return isLevel_; }
  bool isFollowing() const { return master_.has_value(); }
  Epoch epoch() const { return epoch_; }
  // Up to where its log is the master's, as far as it knows.
  std::uint64_t matched() const { return matched_; }

 private:
  struct Asked {
    std::uint64_t number;
    TimePoint until;
  };

  void pull(TimePoint now, RoomsEffects& fx);
  bool take(const wire::RoomEntries& message, RoomsEffects& fx);
  void offerGates(TimePoint now, RoomsEffects& fx);

  LogOnDisk& disk_;
  const std::uint32_t lobbyOpensAt_;
  std::optional<ServerNumber> master_;
  Epoch epoch_;
  std::uint64_t matched_ = 0;
  bool isLevel_ = false;    // it has been where the master was
  bool isDoubted_ = false;  // the log does not lead on: it is pulled from its beginning
  bool isFailing_ = false;
  std::optional<Asked> asked_;
  std::uint64_t asks_ = 0;
  bool isDue_ = false;  // the master is to be told, also if nothing is new
  std::uint64_t told_ = 0;
  TimePoint apartAt_ = TimePoint::min();
  TimePoint gatesAt_ = kNever;  // kNever: they were offered
  unsigned gateOffers_ = 0;
  std::set<RoomLog::ApartKey> offered_;
};

}  // namespace espalier::metaserver::rooms
