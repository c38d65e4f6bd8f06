// Who hangs below whom from now on: the part of Tree that takes comers in, and takes a parent.
#include <algorithm>
#include <cassert>

#include "peer/core/tree.h"

namespace espalier::peer {

using wire::RefusalReason;

void Tree::attach(ConnectionId connection, const wire::Attach& attach, TimePoint now, Effects& fx) {
  if (attach.network != network_) return refuse(connection, RefusalReason::otherNetwork, fx);
  if (attach.self.id == self_.id) return refuse(connection, RefusalReason::below, fx);
  // A peer that asks again has lost the link it had, even if we do not know it yet.
  for (const auto& child : children_) {
    if (child.contact.id == attach.self.id) {
      lost(child.connection, true, now, fx);
      break;
    }
  }
  std::erase_if(held_, [&](const Held& held) {
    if (held.attach.self.id != attach.self.id) return false;
    fx.closes.push_back({held.connection});
    return true;
  });
  if (lineage().root.id == attach.self.id) return refuse(connection, RefusalReason::below, fx);
  if (takenPlaces() >= maxLinks_) {
    wire::Referred referred;
    for (const auto& child : children_) referred.candidates.push_back(child.contact);
    fx.sends.push_back({connection, wire::LinkMessage(std::move(referred))});
    fx.closes.push_back({connection});
    return;
  }
  if (label_.betterThan(attach.floor)) return accept(connection, attach, now, fx);
  if (parent_) return hold(connection, attach, now, fx);
  if (attach.self.order < self_.order) {
    changes_.hints.push_back(attach.self);
    return refuse(connection, RefusalReason::younger, fx);
  }
  // A seeker that raised its label would not find the acceptor good enough that it has just asked.
  const bool raises = settled_ || attach.floor.beat == 0;
  if (!raises || !withinJump(label_, attach.floor) || !mayAct(now)) {
    return refuse(connection, RefusalReason::busy, fx);
  }
  raiseOwn(attach.floor.beat, now, fx);
  if (!label_.betterThan(attach.floor)) return refuse(connection, RefusalReason::busy, fx);
  accept(connection, attach, now, fx);
}

void Tree::accept(ConnectionId connection, const wire::Attach& attach, TimePoint now, Effects& fx) {
  children_.push_back({connection, attach.self, now, attach.below, ++linked_});
  fx.sends.push_back(
      {connection, wire::LinkMessage(wire::Accepted{self_, label_, members(), lineage()})});
  changes_.up.push_back(children_.back());
  changedLinks(now);
}

void Tree::refuse(ConnectionId connection, RefusalReason reason, Effects& fx) {
  fx.sends.push_back({connection, wire::LinkMessage(wire::Refused{reason})});
  fx.closes.push_back({connection});
}

void Tree::hold(ConnectionId connection, const wire::Attach& attach, TimePoint now, Effects& fx) {
  if (held_.size() >= limits::kPendingAttaches) {
    return refuse(connection, RefusalReason::busy, fx);
  }
  held_.push_back({connection, attach, now + limits::kHoldTimeout, now});
  fx.sends.push_back({connection, wire::LinkMessage(wire::Held())});
  raised({attach.floor, attach.self, self_.id}, now, fx);
}

bool Tree::isNeighbour(const PeerId& id) const {
  return id == self_.id || (parent_ && parent_->contact.id == id) ||
         std::any_of(children_.begin(), children_.end(),
                     [&](const auto& child) { return child.contact.id == id; });
}

void Tree::giveUp(std::size_t child, Effects& fx) {
  const Neighbour gone = children_[child];
  children_.erase(children_.begin() + static_cast<std::ptrdiff_t>(child));
  fx.sends.push_back({gone.connection, wire::LinkMessage(wire::Farewell())});
  fx.closes.push_back({gone.connection});
  changes_.down.push_back(gone);
}

void Tree::makeRoomForParent(Effects& fx) {
  while (children_.size() + held_.size() + 1 > maxLinks_ && !held_.empty()) {
    refuse(held_.back().connection, RefusalReason::busy, fx);
    held_.pop_back();
  }
  while (children_.size() + 1 > maxLinks_) {
    const auto youngest = std::max_element(
        children_.begin(), children_.end(),
        [](const auto& a, const auto& b) { return a.contact.order < b.contact.order; });
    giveUp(static_cast<std::size_t>(youngest - children_.begin()), fx);
  }
}

bool Tree::adopt(ConnectionId connection, const wire::Accepted& accepted, TimePoint now,
                 Effects& fx) {
  assert(!parent_);
  if (isNeighbour(accepted.self.id)) return false;
  if (!accepted.label.betterThan(floor()) || !isFollowable(accepted.label)) return false;
  makeRoomForParent(fx);
  parent_ = Neighbour{connection, accepted.self, now, 1, ++linked_};
  settled_ = false;
  above_ = accepted.lineage;
  members_ = accepted.members;
  raisedBeat_ = 0;
  changes_.up.push_back(*parent_);
  changedLinks(now);
  toldBelow_ = 0;
  // A childless peer's label may have been better: nobody relies on it, so it may be replaced.
  label_ = wire::Label();
  bettered({accepted.label.beat, accepted.label.depth + 1}, now, fx);
  // Who waits here or below asked while there was nobody to ask: not only at the next beat.
  if (const auto waiting = std::exchange(unraised_, std::nullopt)) raised(*waiting, now, fx);
  return true;
}

}  // namespace espalier::peer
