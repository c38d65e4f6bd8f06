// The part of Tree that sends heartbeats, counts of members and lineages, and notices silence.
#include <algorithm>

#include "common/base/limits.h"
#include "peer/core/tree.h"

namespace espalier::peer {

void Tree::changedGossip(TimePoint now) {
  if (gossipDue_ != kNever) return;
  gossipDue_ = std::max<TimePoint>(
      {now, gossipedAt_ + limits::kGossipInterval, all_.affordableAt(limits::Rate::gossips, now)});
}

void Tree::heartbeatDown(TimePoint now, Effects& fx) {
  heartbeatDownAt_ = now;
  toldMembers_ = members();
  for (const auto& child : children_) {
    fx.send(child.connection, wire::Heartbeat{label_, members()});
  }
}

void Tree::heartbeatUp(TimePoint, Effects& fx) {
  if (!parent_) return;
  toldBelow_ = membersBelow();
  fx.send(parent_->connection, wire::Heartbeat{label_, toldBelow_});
}

void Tree::gossip(TimePoint now, Effects& fx) {
  gossipDue_ = kNever;
  gossipedAt_ = now;
  (void)all_.spend(limits::Rate::gossips, now);
  if (membersBelow() != toldBelow_) heartbeatUp(now, fx);
  if (members() != toldMembers_) heartbeatDown(now, fx);
  auto lineage = this->lineage();
  if (lineage == toldLineage_) return;
  toldLineage_ = std::move(lineage);
  for (const auto& child : children_) {
    fx.send(child.connection, wire::LineageChanged{toldLineage_});
  }
}

void Tree::tick(TimePoint now, Effects& fx) {
  if (now >= gossipDue_) gossip(now, fx);
  judgeContests(now, fx);
  if (now < nextHeartbeat_) return;
  nextHeartbeat_ = now + limits::kHeartbeatInterval;

  const TimePoint silentSince = now - limits::kSilence;
  std::vector<ConnectionId> silent;
  if (parent_ && parent_->heard <= silentSince) silent.push_back(parent_->connection);
  for (const auto& child : children_) {
    if (child.heard <= silentSince) silent.push_back(child.connection);
  }
  for (const auto& held : held_) {
    if (held.since + limits::kHoldTimeout > now) continue;
    silent.push_back(held.connection);
    fx.send(held.connection, wire::Refused{wire::RefusalReason::busy});
  }
  for (const auto connection : silent) lost(connection, true, now, fx);

  heartbeatUp(now, fx);
  if (!parent_ && isRoot_) {
    raiseOwn(label_.sequence, now, fx);
  } else if (heartbeatDownAt_ + limits::kHeartbeatInterval <= now) {
    heartbeatDown(now, fx);
  }
  // A copy: the first heartbeat that is raised may let them all in.
  for (auto& held : std::vector(held_)) {
    if (!held.address.spend(limits::Rate::raises, now)) continue;
    raised({held.attach.floor, held.attach.self, self_.id}, held.address, now, fx);
  }
}

TimePoint Tree::deadline() const {
  TimePoint deadline = std::min(nextHeartbeat_, gossipDue_);
  for (const auto& contested : contested_) {
    const Neighbour* child = childOf(contested.attach.self.id);
    if (child == nullptr) return TimePoint::min();
    deadline = std::min<TimePoint>(deadline, child->heard + limits::kContestSilence);
  }
  return deadline;
}

void Tree::forgive(Duration gap) {
  if (parent_) parent_->heard += gap;
  for (auto& child : children_) child.heard += gap;
  for (auto& held : held_) held.since += gap;
  for (auto& contested : contested_) contested.since += gap;
}

}  // namespace espalier::peer
