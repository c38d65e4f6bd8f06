#include "peer/core/tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <utility>

#include "common/base/limits.h"

namespace espalier::peer {
namespace {

using limits::Rate;
using wire::RefusalReason;

// What a neighbour may send once the link is up.
bool isOfLink(const wire::LinkMessage& message) {
  return !std::holds_alternative<wire::Attach>(message) &&
         !std::holds_alternative<wire::Accepted>(message) &&
         !std::holds_alternative<wire::Referred>(message) &&
         !std::holds_alternative<wire::Held>(message) &&
         !std::holds_alternative<wire::Refused>(message);
}

template <typename List>
auto findConnection(List& list, ConnectionId connection) {
  return std::find_if(list.begin(), list.end(),
                      [&](const auto& entry) { return entry.connection == connection; });
}

}  // namespace

Tree::Tree(wire::NetworkId network, wire::Contact self, unsigned maxLinks, Budget& budget,
           TimePoint now)
    : network_(network),
      self_(std::move(self)),
      maxLinks_(maxLinks),
      budget_(budget),
      all_(budget.account(Payer())),
      nextHeartbeat_(now + limits::kHeartbeatInterval),
      heartbeatDownAt_(now) {}

// A single message must not use up the numbers that are left.
bool Tree::withinJump(const wire::Label& from, const wire::Label& to) {
  if (to.sequence >= limits::kSequenceNumbers) return false;
  return from.sequence == 0 || to.sequence <= from.sequence ||
         to.sequence - from.sequence <= limits::kSequenceJump;
}

// A parent may be at most so deep that its child's depth can still be told.
bool Tree::isFollowable(const wire::Label& parent) const {
  return parent.depth < limits::kDepth && withinJump(label_, parent);
}

wire::Label Tree::floor() const {
  return children_.empty() && held_.empty() ? wire::Label() : label_;
}

std::uint64_t Tree::membersBelow() const {
  std::uint64_t members = 1;
  for (const auto& child : children_) members += child.below;
  return std::min(members, limits::kMembers);
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
  for (const auto& child : children_) {
    if (!child.isStranger) lineage.rootChildren.push_back(child.contact);
  }
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

unsigned Tree::takenSlots() const {
  const bool forParent = parent_.has_value() || !isRoot_;
  return static_cast<unsigned>(children_.size() + held_.size()) + (forParent ? 1 : 0);
}

bool Tree::isFull() const {
  return takenSlots() >= maxLinks_;
}

bool Tree::owns(ConnectionId connection) const {
  return (parent_ && parent_->connection == connection) ||
         findConnection(children_, connection) != children_.end() ||
         findConnection(held_, connection) != held_.end() ||
         findConnection(contested_, connection) != contested_.end();
}

// --- links ---

void Tree::received(ConnectionId connection, const wire::LinkMessage& message, TimePoint now,
                    Effects& fx) {
  if (std::holds_alternative<wire::Farewell>(message)) return lost(connection, true, now, fx);
  const bool fromParent = parent_ && parent_->connection == connection;
  const auto child = findConnection(children_, connection);
  if (!fromParent && child == children_.end()) return;  // it waits
  Neighbour& neighbour = fromParent ? *parent_ : *child;
  if (!isOfLink(message)) {
    // It would seem alive without a heartbeat.
    return giveUpLiar(neighbour, "sent what no link has", now, fx);
  }
  neighbour.heard = now;
  if (fromParent) return receivedFromParent(message, now, fx);
  receivedFromChild(neighbour, message, now, fx);
  judgeContests(now, fx);
}

void Tree::giveUpLiar(const Neighbour& neighbour, std::string_view what, TimePoint now,
                      Effects& fx) {
  fx.warn(neighbour.contact.id,
          fmt::format("{} {}; this link is given up", neighbour.contact.id.text(), what));
  lost(neighbour.connection, true, now, fx);
}

void Tree::receivedFromParent(const wire::LinkMessage& message, TimePoint now, Effects& fx) {
  if (const auto* heartbeat = std::get_if<wire::Heartbeat>(&message)) {
    if (!isFollowable(heartbeat->label)) {
      return giveUpLiar(*parent_, "sent a heartbeat that no tree has", now, fx);
    }
    if (members_ != heartbeat->members) {
      members_ = heartbeat->members;
      changedGossip(now);
    }
    // One that comes too early is left out: the next one is higher.
    if (!parent_->account.spend(Rate::labels, now)) return;
    bettered({heartbeat->label.sequence, heartbeat->label.depth + 1}, now, fx);
  } else if (const auto* changed = std::get_if<wire::LineageChanged>(&message)) {
    above_ = changed->lineage;
    changedGossip(now);
  } else if (const auto* exchange = std::get_if<wire::PeerExchange>(&message)) {
    if (!parent_->account.spend(Rate::exchanges, now)) return;
    heardOf(exchange->contacts, parent_->account);
  }
}

void Tree::receivedFromChild(Neighbour& child, const wire::LinkMessage& message, TimePoint now,
                             Effects& fx) {
  if (const auto* heartbeat = std::get_if<wire::Heartbeat>(&message)) {
    if (child.below == heartbeat->members) return;
    child.below = heartbeat->members;
    changedGossip(now);
  } else if (const auto* raise = std::get_if<wire::Raise>(&message)) {
    receivedRaise(child, *raise, now, fx);
  } else if (const auto* exchange = std::get_if<wire::PeerExchange>(&message)) {
    // All children together fill one account, so that what goes up is not one child's alone.
    const auto share = static_cast<double>(children_.size());
    if (!child.account.spend(Rate::exchanges, now, share)) return;
    heardOf(exchange->contacts, child.account);
    tellAbove(exchange->contacts, fx);
  }
}

void Tree::receivedRaise(Neighbour& child, const wire::Raise& raise, TimePoint now, Effects& fx) {
  if (raise.seeker.id == self_.id) {
    // Each ends an attempt of this peer: a child that lies could keep it from every parent.
    constexpr double kCost = 5;
    if (child.account.spend(Rate::raises, now, kCost)) changes_.raisedByMe = raise.acceptor;
    return;
  }
  if (label_.sequence > raise.floor.sequence) return;  // a higher heartbeat is on its way down
  // No root raises by more. Passed on, it would stand in the way of lower ones.
  if (!withinJump(label_, raise.floor) || !child.account.spend(Rate::raises, now)) return;
  raised(raise, child.account, now, fx);
}

void Tree::heardOf(const std::vector<wire::Contact>& contacts, const Account& by) {
  for (const auto& contact : contacts) changes_.heardOf.push_back({contact, by});
}

void Tree::tellAbove(const std::vector<wire::Contact>& contacts, Effects& fx) {
  if (contacts.empty() || !parent_) return;
  fx.send(parent_->connection, wire::PeerExchange{contacts});
}

void Tree::tellBelow(const std::vector<wire::Contact>& contacts, Effects& fx) {
  if (contacts.empty()) return;
  for (const auto& child : children_) {
    fx.send(child.connection, wire::PeerExchange{contacts});
  }
}

void Tree::raised(const wire::Raise& raise, Account by, TimePoint now, Effects& fx) {
  if (label_.sequence > raise.floor.sequence) return;
  if (parent_) {
    const bool repeated =
        raise.floor.sequence <= raisedSequence_ && now < raisedAt_ + limits::kContactsAfter;
    if (repeated) return;
    raisedSequence_ = raise.floor.sequence;
    raisedAt_ = now;
    fx.send(parent_->connection, raise);
    return;
  }
  // For the parent that we are about to find.
  const bool highest = !unraised_ || raise.floor.sequence > unraised_->floor.sequence;
  if (!isRoot_ && highest) {
    unraised_ = raise;
    unraisedBy_ = by;
  }
  if (raise.seeker.order < self_.order) {
    changes_.hints.push_back({raise.seeker, by});
  } else if (!isRoot_) {
    changes_.youngerWaits = true;
  } else if (withinJump(label_, raise.floor)) {
    raiseOwn(raise.floor.sequence, now, fx);
  }
}

void Tree::raiseOwn(std::uint64_t above, TimePoint now, Effects& fx) {
  assert(!parent_);
  // The last number of all is kept: a tree that somebody drove there lives on without heartbeats.
  label_ = {std::min(std::max(label_.sequence, above) + 1, limits::kSequenceNumbers - 1), 0};
  heartbeatDown(now, fx);
  acceptHeld(now, fx);
}

void Tree::bettered(const wire::Label& label, TimePoint now, Effects& fx) {
  if (!label.betterThan(label_)) return;
  label_ = label;
  heartbeatDown(now, fx);
  acceptHeld(now, fx);
}

void Tree::acceptHeld(TimePoint now, Effects& fx) {
  for (std::size_t i = 0; i < held_.size();) {
    if (label_.betterThan(held_[i].attach.floor)) {
      const Waiting joiner = std::move(held_[i]);
      held_.erase(held_.begin() + static_cast<std::ptrdiff_t>(i));
      accept(joiner, now, fx);
    } else {
      ++i;
    }
  }
}

void Tree::closed(ConnectionId connection, TimePoint now, Effects& fx) {
  lost(connection, false, now, fx);
  judgeContests(now, fx);
}

void Tree::lost(ConnectionId connection, bool close, TimePoint now, Effects& fx) {
  if (close) fx.closes.push_back({connection});
  if (parent_ && parent_->connection == connection) {
    const auto& heirs = above_.rootChildren;
    const bool wasRoot = above_.root.id == parent_->contact.id;
    changes_.succeeded = wasRoot && !heirs.empty() && heirs.front().id == self_.id;
    changes_.lostParent = parent_->contact;
    changes_.links.down.push_back(parent_->link());
    parent_.reset();
    changedGossip(now);
    return;
  }
  if (const auto child = findConnection(children_, connection); child != children_.end()) {
    changes_.links.down.push_back(child->link());
    children_.erase(child);
    changedGossip(now);
    return;
  }
  const auto isIt = [&](const auto& each) { return each.connection == connection; };
  std::erase_if(held_, isIt);
  std::erase_if(contested_, isIt);
}

void Tree::becomeRoot(TimePoint now, Effects& fx) {
  assert(!parent_);
  if (isRoot_) return;
  isRoot_ = true;
  const auto waiting = std::exchange(unraised_, std::nullopt);
  const bool raises = waiting && withinJump(label_, waiting->floor);
  raiseOwn(raises ? waiting->floor.sequence : label_.sequence, now, fx);
}

void Tree::setStranger(ConnectionId connection, bool isStranger) {
  const auto child = findConnection(children_, connection);
  if (child != children_.end()) child->isStranger = isStranger;
  if (parent_ && parent_->connection == connection) parent_->isStranger = isStranger;
}

void Tree::setConfirmed(ConnectionId connection, bool isConfirmed) {
  const auto child = findConnection(children_, connection);
  if (child != children_.end()) child->isConfirmed = isConfirmed;
  if (parent_ && parent_->connection == connection) parent_->isConfirmed = isConfirmed;
}

void Tree::giveUpParent(TimePoint now, Effects& fx) {
  fx.send(parent_->connection, wire::Farewell());
  lost(parent_->connection, true, now, fx);
}

void Tree::giveUpChildren(Effects& fx) {
  while (!children_.empty()) giveUp(children_.size() - 1, fx);
  while (!held_.empty()) {
    refuse(held_.back().connection, RefusalReason::busy, fx);
    held_.pop_back();
  }
}

void Tree::leave(TimePoint now, Effects& fx) {
  giveUpChildren(fx);
  for (const auto& contested : contested_) {
    refuse(contested.connection, RefusalReason::busy, fx);
  }
  contested_.clear();
  if (parent_) giveUpParent(now, fx);
}

}  // namespace espalier::peer
