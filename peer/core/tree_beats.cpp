// What goes along the links all the time: the part of Tree that beats, tells counts and lineages,
// and notices silence.
#include <algorithm>

#include "common/base/membership_limits.h"
#include "peer/core/tree.h"

namespace espalier::peer {

void Tree::changedLinks(TimePoint now) {
  changes_.links = true;
  changedGossip(now);
}

void Tree::changedGossip(TimePoint now) {
  if (gossipDue_ != kNever) return;
  gossipDue_ = std::max(now, gossipedAt_ + limits::kGossipInterval);
}

void Tree::beatDown(TimePoint now, Effects& fx) {
  beatDownAt_ = now;
  toldMembers_ = members();
  for (const auto& child : children_) {
    fx.sends.push_back({child.connection, wire::LinkMessage(wire::Beat{label_, members()})});
  }
}

void Tree::beatUp(TimePoint, Effects& fx) {
  if (!parent_) return;
  toldBelow_ = membersBelow();
  fx.sends.push_back({parent_->connection, wire::LinkMessage(wire::Beat{label_, toldBelow_})});
}

void Tree::gossip(TimePoint now, Effects& fx) {
  gossipDue_ = kNever;
  gossipedAt_ = now;
  if (membersBelow() != toldBelow_) beatUp(now, fx);
  if (members() != toldMembers_) beatDown(now, fx);
  auto lineage = this->lineage();
  if (lineage == toldLineage_) return;
  toldLineage_ = std::move(lineage);
  for (const auto& child : children_) {
    fx.sends.push_back({child.connection, wire::LinkMessage(wire::LineageChanged{toldLineage_})});
  }
}

void Tree::tick(TimePoint now, Effects& fx) {
  if (now >= gossipDue_) gossip(now, fx);
  judgeContests(now, fx);
  if (now < nextBeat_) return;
  nextBeat_ = now + limits::kBeatInterval;

  const TimePoint silentSince = now - limits::kSilence;
  std::vector<ConnectionId> silent;
  if (parent_ && parent_->heard <= silentSince) silent.push_back(parent_->connection);
  for (const auto& child : children_) {
    if (child.heard <= silentSince) silent.push_back(child.connection);
  }
  for (const auto& held : held_) {
    if (held.deadline > now) continue;
    silent.push_back(held.connection);
    fx.sends.push_back(
        {held.connection, wire::LinkMessage(wire::Refused{wire::RefusalReason::unanchored})});
  }
  for (const auto connection : silent) lost(connection, true, now, fx);

  beatUp(now, fx);
  if (!parent_ && settled_) {
    raiseOwn(label_.beat, now, fx);
  } else if (beatDownAt_ + limits::kBeatInterval <= now) {
    beatDown(now, fx);
  }
  // A copy: the first beat that is raised may let them all in.
  for (const auto& held : std::vector(held_)) {
    raised({held.attach.floor, held.attach.self, self_.id}, now, fx);
  }
}

TimePoint Tree::deadline() const {
  TimePoint deadline = std::min(nextBeat_, gossipDue_);
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
  for (auto& held : held_) held.deadline += gap;
  for (auto& contested : contested_) contested.since += gap;
}

}  // namespace espalier::peer
