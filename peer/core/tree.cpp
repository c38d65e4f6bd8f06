#include "peer/core/tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>

namespace espalier::peer {
namespace {

using wire::RefusalReason;

template <typename List>
auto findConnection(List& list, ConnectionId connection) {
  return std::find_if(list.begin(), list.end(),
                      [&](const auto& entry) { return entry.connection == connection; });
}

bool withinJump(const wire::Label& from, const wire::Label& to) {
  return from.beat == 0 || to.beat <= from.beat || to.beat - from.beat <= limits::kBeatJump;
}

TimePoint later(TimePoint from, Duration duration) {
  return from == TimePoint::min() ? from : from + duration;
}

}  // namespace

Tree::Tree(wire::NetworkId network, wire::Contact self, unsigned maxLinks, TimePoint now)
    : network_(network),
      self_(std::move(self)),
      maxLinks_(maxLinks),
      nextBeat_(now + limits::kBeatInterval),
      beatDownAt_(now) {}

wire::Label Tree::floor() const {
  return children_.empty() && held_.empty() ? wire::Label() : label_;
}

std::uint64_t Tree::membersBelow() const {
  std::uint64_t members = 1;
  for (const auto& child : children_) members += child.below;
  return members;
}

wire::Lineage Tree::lineage() const {
  wire::Lineage lineage;
  if (parent_) {
    lineage.root = above_.root;
    lineage.ancestors.push_back(parent_->contact);
    lineage.ancestors.insert(lineage.ancestors.end(), above_.ancestors.begin(),
                             above_.ancestors.end());
    constexpr std::size_t kMost = limits::kContacts - limits::kRootChildren;
    if (lineage.ancestors.size() > kMost) lineage.ancestors.resize(kMost);
    lineage.rootChildren = above_.rootChildren;
    // A parent may send more than it should; with ours they must stay within limits::kContacts.
    if (lineage.rootChildren.size() > limits::kRootChildren) {
      lineage.rootChildren.resize(limits::kRootChildren);
    }
    return lineage;
  }
  lineage.root = self_;
  for (const auto& child : children_) lineage.rootChildren.push_back(child.contact);
  std::sort(lineage.rootChildren.begin(), lineage.rootChildren.end(),
            [](const auto& a, const auto& b) { return a.order < b.order; });
  if (lineage.rootChildren.size() > limits::kRootChildren) {
    lineage.rootChildren.resize(limits::kRootChildren);
  }
  return lineage;
}

std::vector<Tree::Neighbour> Tree::neighbours() const {
  std::vector<Neighbour> neighbours = children_;
  if (parent_) neighbours.push_back(*parent_);
  std::sort(neighbours.begin(), neighbours.end(),
            [](const auto& a, const auto& b) { return a.sequence < b.sequence; });
  return neighbours;
}

std::vector<wire::Contact> Tree::contactsAbove() const {
  std::vector<wire::Contact> contacts;
  if (parent_) contacts.push_back(parent_->contact);
  contacts.insert(contacts.end(), above_.ancestors.begin(), above_.ancestors.end());
  if (!above_.root.id.empty()) contacts.push_back(above_.root);
  contacts.insert(contacts.end(), above_.rootChildren.begin(), above_.rootChildren.end());
  return contacts;
}

unsigned Tree::takenPlaces() const {
  const bool forParent = parent_.has_value() || !settled_;
  return static_cast<unsigned>(children_.size() + held_.size()) + (forParent ? 1 : 0);
}

bool Tree::owns(ConnectionId connection) const {
  return (parent_ && parent_->connection == connection) ||
         findConnection(children_, connection) != children_.end() ||
         findConnection(held_, connection) != held_.end();
}

// --- comers ---

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
  if (!raises || !withinJump(label_, attach.floor)) {
    return refuse(connection, RefusalReason::busy, fx);
  }
  raiseOwn(attach.floor.beat, now, fx);
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
  if (!accepted.label.betterThan(floor()) || !withinJump(label_, accepted.label)) return false;
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
  return true;
}

// --- links ---

void Tree::received(ConnectionId connection, const wire::LinkMessage& message, TimePoint now,
                    Effects& fx) {
  if (std::holds_alternative<wire::Farewell>(message)) return lost(connection, true, now, fx);
  if (parent_ && parent_->connection == connection) {
    parent_->heard = now;
    return receivedFromParent(message, now, fx);
  }
  if (const auto child = findConnection(children_, connection); child != children_.end()) {
    child->heard = now;
    return receivedFromChild(*child, message, now, fx);
  }
  if (const auto held = findConnection(held_, connection); held != held_.end()) held->heard = now;
}

void Tree::receivedFromParent(const wire::LinkMessage& message, TimePoint now, Effects& fx) {
  if (const auto* beat = std::get_if<wire::Beat>(&message)) {
    if (!withinJump(label_, beat->label)) {
      fx.notices.push_back({Notice::Kind::warning,
                            fmt::format("{} sent a beat from far ahead; this link is given up",
                                        parent_->contact.id.text())});
      return lost(parent_->connection, true, now, fx);
    }
    if (members_ != beat->members) {
      members_ = beat->members;
      changedGossip(now);
    }
    bettered({beat->label.beat, beat->label.depth + 1}, now, fx);
  } else if (const auto* changed = std::get_if<wire::LineageChanged>(&message)) {
    above_ = changed->lineage;
    changedGossip(now);
  }
}

void Tree::receivedFromChild(Neighbour& child, const wire::LinkMessage& message, TimePoint now,
                             Effects& fx) {
  if (const auto* beat = std::get_if<wire::Beat>(&message)) {
    if (child.below == beat->members) return;
    child.below = beat->members;
    changedGossip(now);
  } else if (const auto* raise = std::get_if<wire::Raise>(&message)) {
    raised(*raise, now, fx);
  } else if (const auto* elsewhere = std::get_if<wire::Elsewhere>(&message)) {
    tellElsewhere(elsewhere->contacts, fx);
  }
}

void Tree::tellElsewhere(const std::vector<wire::Contact>& contacts, Effects& fx) {
  if (contacts.empty()) return;
  if (parent_) {
    fx.sends.push_back({parent_->connection, wire::LinkMessage(wire::Elsewhere{contacts})});
  } else {
    changes_.elsewhere.insert(changes_.elsewhere.end(), contacts.begin(), contacts.end());
  }
}

void Tree::raised(const wire::Raise& raise, TimePoint now, Effects& fx) {
  if (raise.seeker.id == self_.id) {
    changes_.raisedByMe = raise.acceptor;
    return;
  }
  if (label_.beat > raise.floor.beat) return;  // the beat that bettered us is already on its way
  if (parent_) {
    const bool repeated =
        raise.floor.beat <= raisedBeat_ && now < later(raisedAt_, limits::kContactsAfter);
    if (repeated) return;
    raisedBeat_ = raise.floor.beat;
    raisedAt_ = now;
    fx.sends.push_back({parent_->connection, wire::LinkMessage(raise)});
    return;
  }
  if (raise.seeker.order < self_.order) {
    changes_.hints.push_back(raise.seeker);
  } else if (settled_ && withinJump(label_, raise.floor)) {
    raiseOwn(raise.floor.beat, now, fx);
  }
}

void Tree::raiseOwn(std::uint64_t above, TimePoint now, Effects& fx) {
  assert(!parent_);
  label_ = {std::max(label_.beat, above) + 1, 0};
  beatDown(now, fx);
  acceptHeld(now, fx);
}

void Tree::bettered(const wire::Label& label, TimePoint now, Effects& fx) {
  if (!label.betterThan(label_)) return;
  label_ = label;
  beatDown(now, fx);
  acceptHeld(now, fx);
}

void Tree::acceptHeld(TimePoint now, Effects& fx) {
  for (std::size_t i = 0; i < held_.size();) {
    if (label_.betterThan(held_[i].attach.floor)) {
      const Held comer = std::move(held_[i]);
      held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(i));
      accept(comer.connection, comer.attach, now, fx);
    } else {
      ++i;
    }
  }
}

void Tree::closed(ConnectionId connection, TimePoint now, Effects& fx) {
  lost(connection, false, now, fx);
}

void Tree::lost(ConnectionId connection, bool close, TimePoint now, Effects& fx) {
  if (close) fx.closes.push_back({connection});
  if (parent_ && parent_->connection == connection) {
    const auto& heirs = above_.rootChildren;
    const bool wasRoot = above_.root.id == parent_->contact.id;
    changes_.succeeded = wasRoot && !heirs.empty() && heirs.front().id == self_.id;
    changes_.lostParent = parent_->contact;
    changes_.down.push_back(*parent_);
    parent_.reset();
    changedLinks(now);
    return;
  }
  if (const auto child = findConnection(children_, connection); child != children_.end()) {
    changes_.down.push_back(*child);
    children_.erase(child);
    changedLinks(now);
    return;
  }
  std::erase_if(held_, [&](const Held& held) { return held.connection == connection; });
}

void Tree::settle(TimePoint now, Effects& fx) {
  assert(!parent_);
  if (settled_) return;
  settled_ = true;
  raiseOwn(label_.beat, now, fx);
}

void Tree::leave(TimePoint now, Effects& fx) {
  while (!children_.empty()) giveUp(children_.size() - 1, fx);
  while (!held_.empty()) {
    refuse(held_.back().connection, RefusalReason::busy, fx);
    held_.pop_back();
  }
  if (parent_) {
    fx.sends.push_back({parent_->connection, wire::LinkMessage(wire::Farewell())});
    lost(parent_->connection, true, now, fx);
  }
}

// --- time ---

void Tree::changedLinks(TimePoint now) {
  changes_.links = true;
  changedGossip(now);
}

void Tree::changedGossip(TimePoint now) {
  if (gossipDue_ != kNever) return;
  gossipDue_ = std::max(now, later(gossipedAt_, limits::kGossipInterval));
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
        {held.connection, wire::LinkMessage(wire::Refused{RefusalReason::unanchored})});
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
  return std::min(nextBeat_, gossipDue_);
}

void Tree::forgive(Duration gap) {
  if (parent_) parent_->heard += gap;
  for (auto& child : children_) child.heard += gap;
  for (auto& held : held_) held.deadline += gap;
}

}  // namespace espalier::peer
