// The part of Tree that accepts, holds, refers or refuses joiners, and adopts a parent.
#include <algorithm>
#include <cassert>

#include "common/base/limits.h"
#include "peer/core/tree.h"

namespace espalier::peer {

using wire::RefusalReason;

void Tree::attach(ConnectionId connection, const wire::Attach& attach, const Payer& from,
                  TimePoint now, Effects& fx) {
  consider({connection, attach, budget_.account(from)}, now, fx);
}

void Tree::consider(const Joiner& joiner, TimePoint now, Effects& fx) {
  const auto& attach = joiner.attach;
  const auto connection = joiner.connection;
  if (attach.network != network_) return refuse(connection, RefusalReason::otherNetwork, fx);
  if (attach.self.id == self_.id) return refuse(connection, RefusalReason::below, fx);
  // If this is really our parent, it was started again, and our link ends or falls silent soon.
  if (parent_ && parent_->contact.id == attach.self.id) {
    return refuse(connection, RefusalReason::busy, fx);
  }
  if (!mayReplace(joiner, now, fx)) return;
  if (lineage().root.id == attach.self.id) return refuse(connection, RefusalReason::below, fx);
  if (isFull() && !evictable(joiner, now)) return refer(connection, fx);
  if (label_.betterThan(attach.floor)) return accept(joiner, now, fx);
  // No root would raise its heartbeat so far. A joiner that is told so gives up what hangs below it
  // (ParentSearch), and needs no floor then.
  if (!withinJump(label_, attach.floor)) return refuse(connection, RefusalReason::unanchored, fx);
  if (parent_) return hold(joiner, now, fx);
  raiseFor(joiner, now, fx);
}

void Tree::raiseFor(const Joiner& joiner, TimePoint now, Effects& fx) {
  const auto& attach = joiner.attach;
  Account address = joiner.address;
  if (attach.self.order < self_.order) {
    if (address.spend(limits::Rate::raises, now)) changes_.hints.push_back({attach.self, address});
    return refuse(joiner.connection, RefusalReason::younger, fx);
  }
  // A searching peer that raised its label would then find the acceptor that it asked too bad.
  const bool raises = isRoot_ || attach.floor.sequence == 0;
  if (!raises || !address.spend(limits::Rate::raises, now)) {
    return refuse(joiner.connection, RefusalReason::busy, fx);
  }
  raiseOwn(attach.floor.sequence, now, fx);
  if (!label_.betterThan(attach.floor)) return refuse(joiner.connection, RefusalReason::busy, fx);
  accept(joiner, now, fx);
}

void Tree::refer(ConnectionId connection, Effects& fx) {
  wire::Referred referred;
  for (const auto& child : children_) {
    if (!child.isStranger) referred.candidates.push_back(child.contact);
  }
  fx.send(connection, std::move(referred));
  fx.closes.push_back({connection});
}

std::optional<std::size_t> Tree::strangerChild() const {
  const auto stranger = std::find_if(children_.begin(), children_.end(),
                                     [](const Neighbour& child) { return child.isStranger; });
  if (stranger == children_.end()) return std::nullopt;
  return static_cast<std::size_t>(stranger - children_.begin());
}

// Whose slot a joiner may take when all are taken: a stranger's. One that needs not wait takes that
// of a joiner that has waited for long: else joiners that nobody can accept would keep all slots.
std::optional<ConnectionId> Tree::evictable(const Joiner& joiner, TimePoint now) const {
  if (const auto stranger = strangerChild()) return children_[*stranger].connection;
  if (held_.empty() || !label_.betterThan(joiner.attach.floor)) return std::nullopt;
  if (now < held_.front().since + limits::kHeldSlot) return std::nullopt;
  return held_.front().connection;
}

// Once nothing else keeps the joiner from its slot. False: it has been referred to others.
bool Tree::takeSlot(const Joiner& joiner, TimePoint now, Effects& fx) {
  if (!isFull()) return true;
  const auto loser = evictable(joiner, now);
  if (!loser) {
    refer(joiner.connection, fx);
    return false;
  }
  const auto held = std::find_if(held_.begin(), held_.end(),
                                 [&](const Waiting& each) { return each.connection == *loser; });
  if (held != held_.end()) {
    refuse(held->connection, RefusalReason::busy, fx);
    held_.erase(held);
  } else {
    giveUp(*strangerChild(), fx);
    changedGossip(now);
  }
  return true;
}

// Whether the joiner's id is free here. An older connection of the same peer is given up for it.
bool Tree::mayReplace(const Joiner& joiner, TimePoint now, Effects& fx) {
  const auto& attach = joiner.attach;
  const auto isSame = [&](const wire::LinkSecret& secret) {
    return !secret.isZero() && secret == attach.secret;
  };
  const auto held = std::find_if(held_.begin(), held_.end(), [&](const Waiting& each) {
    return each.attach.self.id == attach.self.id;
  });
  if (held != held_.end()) {
    if (!isSame(held->attach.secret)) {
      refuse(joiner.connection, RefusalReason::busy, fx);
      return false;
    }
    fx.closes.push_back({held->connection});
    held_.erase(held);
  }
  const Neighbour* child = childOf(attach.self.id);
  if (child == nullptr) return true;
  if (!isSame(child->secret) && now < child->heard + limits::kContestSilence) {
    contest(joiner, now, fx);
    return false;
  }
  lost(child->connection, true, now, fx);
  return true;
}

void Tree::contest(const Joiner& joiner, TimePoint now, Effects& fx) {
  const bool another = std::any_of(contested_.begin(), contested_.end(), [&](const Waiting& each) {
    return each.attach.self.id == joiner.attach.self.id;
  });
  if (another) return refuse(joiner.connection, RefusalReason::busy, fx);
  makeRoom(contested_, joiner.address, fx);
  contested_.push_back({joiner, now});
  fx.send(joiner.connection, wire::Held());
}

// Of the joiners that wait, the address that has most loses its oldest when there are too many. A
// joiner is held for moments only, so who floods throws off no other one before its time.
void Tree::makeRoom(std::vector<Waiting>& waiting, const Account& address, Effects& fx) {
  if (waiting.size() < limits::kPendingAttaches) return;
  const auto from = [&](const Payer& payer) {
    return std::count_if(waiting.begin(), waiting.end(),
                         [&](const Waiting& each) { return each.address.payer() == payer; });
  };
  auto loser = waiting.begin();
  for (auto each = waiting.begin(); each != waiting.end(); ++each) {
    if (from(each->address.payer()) > from(loser->address.payer())) loser = each;
  }
  // The joiner's own address, if no other one has more.
  if (from(loser->address.payer()) == from(address.payer())) {
    loser = std::find_if(waiting.begin(), waiting.end(), [&](const Waiting& each) {
      return each.address.payer() == address.payer();
    });
  }
  refuse(loser->connection, RefusalReason::busy, fx);
  waiting.erase(loser);
}

void Tree::judgeContests(TimePoint now, Effects& fx) {
  for (std::size_t i = 0; i < contested_.size();) {
    const Neighbour* child = childOf(contested_[i].attach.self.id);
    const bool alive = child != nullptr && child->heard > contested_[i].since;
    if (child != nullptr && !alive && now < child->heard + limits::kContestSilence) {
      ++i;
      continue;
    }
    const Waiting joiner = std::move(contested_[i]);
    contested_.erase(contested_.begin() + static_cast<std::ptrdiff_t>(i));
    if (alive) {
      refuse(joiner.connection, RefusalReason::busy, fx);
    } else {
      consider(joiner, now, fx);
    }
  }
}

const Tree::Neighbour* Tree::childOf(const PeerId& id) const {
  const auto child = std::find_if(children_.begin(), children_.end(),
                                  [&](const Neighbour& each) { return each.contact.id == id; });
  return child == children_.end() ? nullptr : &*child;
}

void Tree::accept(const Joiner& joiner, TimePoint now, Effects& fx) {
  const auto& attach = joiner.attach;
  Account member = budget_.account(Payer::member(attach.self.id));
  Account address = joiner.address;
  // On loopback all peers have one address.
  const bool isShared = address.payer().isLoopback() || address.payer().isProcess();
  // Both or none: an address that is over its own part must not spend that of the member whose id
  // it claims.
  if (!Account::spend({member, isShared ? Account() : address}, limits::Rate::links, now)) {
    return refuse(joiner.connection, RefusalReason::busy, fx);
  }
  if (!takeSlot(joiner, now, fx)) return;
  children_.push_back({joiner.connection, attach.self, now, attach.below, ++linked_, attach.secret,
                       std::move(member), std::move(address)});
  fx.send(joiner.connection, wire::Accepted{self_, label_, members(), lineage()});
  changes_.links.up.push_back(children_.back().link());
  changedGossip(now);
}

void Tree::refuse(ConnectionId connection, RefusalReason reason, Effects& fx) {
  fx.send(connection, wire::Refused{reason});
  fx.closes.push_back({connection});
}

void Tree::hold(const Joiner& joiner, TimePoint now, Effects& fx) {
  Account address = joiner.address;
  if (!address.spend(limits::Rate::raises, now)) {
    return refuse(joiner.connection, RefusalReason::busy, fx);
  }
  if (!takeSlot(joiner, now, fx)) return;
  makeRoom(held_, joiner.address, fx);
  held_.push_back({joiner, now});
  fx.send(joiner.connection, wire::Held());
  raised({joiner.attach.floor, joiner.attach.self, self_.id}, joiner.address, now, fx);
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
    if (const auto stranger = strangerChild()) {
      giveUp(*stranger, fx);
      continue;
    }
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
  if (!accepted.label.betterThan(floor()) || accepted.label.depth >= limits::kDepth ||
      accepted.label.sequence >= limits::kSequenceNumbers) {
    return false;
  }
  // A liar may have driven the numbers of one tree far ahead. What hangs below this peer could not
  // follow so far, and attaches anew. Otherwise the two trees would never become one.
  if (!withinJump(label_, accepted.label)) giveUpChildren(fx);
  namedAbove_ = budget_.account(Payer::member(accepted.self.id));
  // Whoever waits here under the parent's id would become a second link to it.
  const auto namesake = std::find_if(held_.begin(), held_.end(), [&](const Waiting& each) {
    return each.attach.self.id == accepted.self.id;
  });
  if (namesake != held_.end()) {
    refuse(namesake->connection, RefusalReason::busy, fx);
    held_.erase(namesake);
  }
  makeRoomForParent(fx);
  parent_ = Neighbour{connection, accepted.self, now, 1, ++linked_, {}, namedAbove_, {}};
  parent_->since = now;
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
  if (const auto waiting = std::exchange(unraised_, std::nullopt)) {
    raised(*waiting, unraisedBy_, now, fx);
  }
  return true;
}

}  // namespace espalier::peer
