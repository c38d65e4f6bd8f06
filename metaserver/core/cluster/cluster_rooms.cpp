#include "metaserver/core/cluster/cluster_rooms.h"

#include <algorithm>
#include <set>

namespace espalier::metaserver::cluster {

void ClusterRooms::setWall(std::chrono::milliseconds since1970, TimePoint now) {
  wall_ = static_cast<std::uint64_t>(std::max<std::int64_t>(since1970.count(), 0));
  wallAt_ = now;
}

std::uint64_t ClusterRooms::wallMs(TimePoint now) const {
  const auto passed = std::chrono::duration_cast<std::chrono::milliseconds>(now - wallAt_).count();
  return wall_ + static_cast<std::uint64_t>(std::max<std::int64_t>(passed, 0));
}

void ClusterRooms::tick(TimePoint now) {
  if (now < core_.deadline()) return;
  step([&](auto& core, auto& fx) { core.tick(wallMs(now), now, fx); });
}

void ClusterRooms::put(const MemberRow& row, TimePoint now) {
  step([&](auto& core, auto& fx) {
    const auto& id = core.memberRooms(row.contact.id, row.rooms, row.roomsRevision > 0, now, fx);
    ids_.put(row.contact.order, id);
  });
}

void ClusterRooms::remove(JoinOrder order, TimePoint now) {
  const auto* member = ids_.find(order);
  if (member == nullptr) return;
  const PeerId id = *member;
  ids_.remove(order);
  step([&](auto& core, auto& fx) { core.memberGone(id, now, fx); });
}

// In one change an id may go to another order: who had it is removed first.
void ClusterRooms::take(const wire::Delta& delta, TimePoint now) {
  for (const JoinOrder order : delta.gone) remove(order, now);
  for (const auto& row : delta.rows) {
    const auto* former = ids_.find(row->contact.order);
    if (former != nullptr && *former != row->contact.id) remove(row->contact.order, now);
  }
  for (const auto& row : delta.rows) put(*row, now);
}

void ClusterRooms::replace(const Directory& directory, TimePoint now) {
  const auto& rows = directory.copy().rows();
  std::set<PeerId> there;
  for (const auto& [order, row] : rows) there.insert(row->contact.id);
  std::vector<PeerId> gone;
  for (const auto& [id, itsRooms] : core_.members().all()) {
    if (!there.contains(id)) gone.push_back(id);
  }
  for (const auto& id : gone) {
    step([&](auto& core, auto& fx) { core.memberGone(id, now, fx); });
  }
  ids_.clear();
  for (const auto& [order, row] : rows) put(*row, now);
}

void ClusterRooms::take(const std::vector<MemberMoved>& moved, TimePoint now) {
  for (const auto& [id, isIn] : moved) {
    const PeerId& who = id;
    const bool comes = isIn;
    step([&](auto& core, auto& fx) {
      if (comes) {
        core.memberRooms(who, {}, false, now, fx);
      } else {
        core.memberGone(who, now, fx);
      }
    });
  }
}

}  // namespace espalier::metaserver::cluster
