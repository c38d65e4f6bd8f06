// The rooms of a metaserver (metaserver/core/rooms/rooms.h) with what Coordinator has to keep
// beside them: their effects until it carries them out, whom they know as members, and the time of
// day.
//
// Members come from the directory: each delta is taken in, and where a directory is replaced, what
// has changed is found out. A single metaserver has no directory: its registry tells who comes and
// goes (metaserver::MemberMoved).
//
// Does no I/O. Not thread-safe. A change of a member O(log n); a directory that is replaced O(n).
#pragma once

#include <chrono>
#include <cstdint>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/wire/cluster_directory.h"
#include "metaserver/core/cluster/directory.h"
#include "metaserver/core/cluster/order_ids.h"
#include "metaserver/core/effects.h"
#include "metaserver/core/rooms/rooms.h"

namespace espalier::metaserver::cluster {

class ClusterRooms {
 public:
  ClusterRooms(const rooms::Rooms::Options& options, const rooms::Stored& stored, TimePoint now)
      : wall_(options.wallMs), wallAt_(now), core_(options, stored) {}

  // An event of the core.
  template <typename Event>
  void step(Event&& event) {
    event(core_, effects_);
    isDirty_ = true;
  }
  bool isDirty() const { return isDirty_; }
  rooms::RoomsEffects takeEffects() {
    isDirty_ = false;
    return std::exchange(effects_, {});
  }

  // --- time of day
  void setWall(std::chrono::milliseconds since1970, TimePoint now);
  std::uint64_t wallMs(TimePoint now) const;
  void tick(TimePoint now);
  TimePoint deadline() const { return core_.deadline(); }

  // --- members
  void take(const wire::Delta& delta, TimePoint now);
  void replace(const Directory& directory, TimePoint now);
  void take(const std::vector<MemberMoved>& moved, TimePoint now);

  const rooms::Rooms& core() const { return core_; }

 private:
  void put(const MemberRow& row, TimePoint now);
  void remove(JoinOrder order, TimePoint now);

  std::uint64_t wall_;
  TimePoint wallAt_;
  rooms::Rooms core_;
  rooms::RoomsEffects effects_;
  bool isDirty_ = false;
  OrderIds ids_;  // of the directory's members; they are those of core_.members()
};

}  // namespace espalier::metaserver::cluster
