// The part of Tree that accepts, holds, refers or refuses joiners, and adopts a parent.
#include <algorithm>
#include <cassert>

#include "common/base/limits.h"
#include "peer/core/tree.h"

namespace espalier::peer {

using wire::RefusalReason;

void Tree::attach(ConnectionId connection, const wire::Attach& attach, TimePoint now, Effects& fx) {
  if (attach.network != network_) return refuse(connection, RefusalReason::otherNetwork, fx);
  if (attach.self.id == self_.id) return refuse(connection, RefusalReason::below, fx);
  // If this is really our parent, it was started again, and our link ends or falls silent soon.
  if (parent_ && parent_->contact.id == attach.self.id) {
    return refuse(connection, RefusalReason::busy, fx);
  }
  if (!mayReplace(connection, attach, now, fx)) return;
  if (lineage().root.id == attach.self.id) return refuse(connection, RefusalReason::below, fx);
  if (takenSlots() >= maxLinks_) {
    wire::Referred referred;
    for (const auto& child : children_) referred.candidates.push_back(child.contact);
    fx.send(connection, std::move(referred));
    fx.closes.push_back({connection});
    return;
  }
  if (label_.betterThan(attach.floor)) return accept(connection, attach, now, fx);
  if (parent_) return hold(connection, attach, now, fx);
  if (attach.self.order < self_.order) {
    changes_.hints.push_back(attach.self);
    return refuse(connection, RefusalReason::younger, fx);
  }
  // A searching peer that raised its label would then find the acceptor that it asked too bad.
  const bool raises = isRoot_ || attach.floor.sequence == 0;
  if (!raises || !withinJump(label_, attach.floor) || !mayAct(now)) {
    return refuse(connection, RefusalReason::busy, fx);
  }
  raiseOwn(attach.floor.sequence, now, fx);
  if (!label_.betterThan(attach.floor)) return refuse(connection, RefusalReason::busy, fx);
  accept(connection, attach, now, fx);
}

// Whether the joiner's id is free here. An older connection of the same peer is given up for it.
bool Tree::mayReplace(ConnectionId connection, const wire::Attach& attach, TimePoint now,
                      Effects& fx) {
  const auto isSame = [&](const wire::LinkSecret& secret) {
    return !secret.isZero() && secret == attach.secret;
  };
  const auto held = std::find_if(held_.begin(), held_.end(), [&](const Held& each) {
    return each.attach.self.id == attach.self.id;
  });
  if (held != held_.end()) {
    if (!isSame(held->attach.secret)) {
      refuse(connection, RefusalReason::busy, fx);
      return false;
    }
    fx.closes.push_back({held->connection});
    held_.erase(held);
  }
  const Neighbour* child = childOf(attach.self.id);
  if (child == nullptr) return true;
  if (!isSame(child->secret) && now < child->heard + limits::kContestSilence) {
    contest(connection, attach, now, fx);
    return false;
  }
  lost(child->connection, true, now, fx);
  return true;
}

void Tree::contest(ConnectionId connection, const wire::Attach& attach, TimePoint now,
                   Effects& fx) {
  const bool another =
      std::any_of(contested_.begin(), contested_.end(),
                  [&](const Contested& each) { return each.attach.self.id == attach.self.id; });
  if (another || contested_.size() >= limits::kPendingAttaches) {
    return refuse(connection, RefusalReason::busy, fx);
  }
  contested_.push_back({connection, attach, now});
  fx.send(connection, wire::Held());
}

void Tree::judgeContests(TimePoint now, Effects& fx) {
  for (std::size_t i = 0; i < contested_.size();) {
    const Neighbour* child = childOf(contested_[i].attach.self.id);
    const bool alive = child != nullptr && child->heard > contested_[i].since;
    if (child != nullptr && !alive && now < child->heard + limits::kContestSilence) {
      ++i;
      continue;
    }
    const Contested joiner = std::move(contested_[i]);
    contested_.erase(contested_.begin() + static_cast<std::ptrdiff_t>(i));
    if (alive) {
      refuse(joiner.connection, RefusalReason::busy, fx);
    } else {
      attach(joiner.connection, joiner.attach, now, fx);
    }
  }
}

const Tree::Neighbour* Tree::childOf(const PeerId& id) const {
  const auto child = std::find_if(children_.begin(), children_.end(),
                                  [&](const Neighbour& each) { return each.contact.id == id; });
  return child == children_.end() ? nullptr : &*child;
}

void Tree::accept(ConnectionId connection, const wire::Attach& attach, TimePoint now, Effects& fx) {
  children_.push_back({connection, attach.self, now, attach.below, ++linked_, attach.secret,
                       budget_.account(Payer::member(attach.self.id))});
  fx.send(connection, wire::Accepted{self_, label_, members(), lineage()});
  changes_.links.up.push_back(children_.back().link());
  changedGossip(now);
}

void Tree::refuse(ConnectionId connection, RefusalReason reason, Effects& fx) {
  fx.send(connection, wire::Refused{reason});
  fx.closes.push_back({connection});
}

void Tree::hold(ConnectionId connection, const wire::Attach& attach, TimePoint now, Effects& fx) {
  if (held_.size() >= limits::kPendingAttaches) {
    return refuse(connection, RefusalReason::busy, fx);
  }
  held_.push_back({connection, attach, now + limits::kHoldTimeout, now});
  fx.send(connection, wire::Held());
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
  fx.send(gone.connection, wire::Farewell());
  fx.closes.push_back({gone.connection});
  changes_.links.down.push_back(gone.link());
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
  parent_ = Neighbour{connection,
                      accepted.self,
                      now,
                      1,
                      ++linked_,
                      {},
                      budget_.account(Payer::member(accepted.self.id))};
  isRoot_ = false;
  above_ = accepted.lineage;
  members_ = accepted.members;
  raisedSequence_ = 0;
  changes_.links.up.push_back(parent_->link());
  changedGossip(now);
  toldBelow_ = 0;
  // A childless peer's label may have been better. No peer relies on it, so it may be replaced.
  label_ = wire::Label();
  bettered({accepted.label.sequence, accepted.label.depth + 1}, now, fx);
  // Joiners here or below waited while there was no parent: their Raise goes up at once.
  if (const auto waiting = std::exchange(unraised_, std::nullopt)) raised(*waiting, now, fx);
  return true;
}

}  // namespace espalier::peer
