// Where peers belong: reservations, what they report, deaths.
#include <algorithm>

#include "common/base/limits.h"
#include "metaserver/core/registry.h"

namespace espalier::metaserver {
namespace {

using namespace std::chrono_literals;

// A newcomer insists for kReferralRetry; then it asks for another place and this one must still be
// there.
constexpr auto kReservation = limits::kReferralRetry + 5s;
constexpr std::size_t kFailedReferrals = 8;
// Long enough for an orphan to have asked by itself.
constexpr auto kParentlessFor = 2s;

}  // namespace

wire::Referral Registry::below(Node parent) const {
  return {wire::Referral::Kind::below, record(parent).contact};
}

bool Registry::mayTake(const Record& member, Node parent) const {
  const auto& failed = member.failed;
  return std::find(failed.begin(), failed.end(), record(parent).contact.id) == failed.end();
}

void Registry::reserve(Node node, Node parent, TimePoint now) {
  if (!tree_.link(node, parent))
    return;  // it is full itself: it will give up a child when it is accepted
  Record& member = record(node);
  touch(node);
  setReserved(member, true);
  member.reservedUntil = now + kReservation;
  reservations_.push_back({member.reservedUntil, node, member.admission});
}

void Registry::unlink(Node node) {
  tree_.unlink(node);
  touch(node);
  setReserved(record(node), false);
}

void Registry::setReserved(Record& member, bool reserved) {
  if (member.reserved == reserved) return;
  member.reserved = reserved;
  reserved ? ++reserved_ : --reserved_;
}

// The answer to a peer that has no parent.
wire::Referral Registry::referralFor(Node node, const wire::Seek& seek, TimePoint now) {
  Record& member = record(node);
  if (seek.failed) {
    if (member.failed.size() >= kFailedReferrals) member.failed.erase(member.failed.begin());
    member.failed.push_back(*seek.failed);
  }
  const auto parent = tree_.parent(node);
  if (!parent) return referToTree(node, now);
  if (seek.lost == record(*parent).contact.id) {
    // Its death was not noticed here yet: the plan for it holds already. The snapshot changes when
    // it is.
    const Node dead[] = {*parent};
    const auto plan = topo::planFailure(tree_, dead);
    if (plan.newRoot == node) return {wire::Referral::Kind::root, {}};
    for (const auto& attachment : plan.attachments) {
      if (attachment.orphan == node && mayTake(member, attachment.parent)) {
        return below(attachment.parent);
      }
    }
  } else if (mayTake(member, *parent)) {
    return below(*parent);
  }
  unlink(node);
  return referToTree(node, now);
}

wire::Referral Registry::referToTree(Node node, TimePoint now) {
  Record& member = record(node);
  const auto root = tree_.oldestRoot();
  if (root == node) return {wire::Referral::Kind::root, {}};
  auto parent = topo::place(tree_, options_.placement, member.contact.endpoint);
  if (parent && !mayTake(member, *parent)) {
    // A peer that failed it may still have others below.
    for (std::deque<Node> level{*root}; !level.empty(); level.pop_front()) {
      parent = level.front();
      if (tree_.freeSlots(*parent) > 0 && mayTake(member, *parent)) break;
      for (const Node child : tree_.children(*parent)) level.push_back(child);
      parent.reset();
    }
  }
  if (!parent) {
    member.failed.clear();  // everybody failed it once: from the beginning
    parent = topo::place(tree_, options_.placement, member.contact.endpoint);
  }
  reserve(node, *parent, now);
  return below(*parent);
}

void Registry::setParent(Node node, const std::optional<PeerId>& parent, TimePoint now) {
  Record& member = record(node);
  if (parent) {
    parentless_.erase(member.contact.order);
  } else if (parentless_.insert(member.contact.order).second) {
    member.askedFrom = now + kParentlessFor;
  }
  member.parent = parent;
}

// Of what a peer says: nobody twice, and not itself.
std::vector<PeerId> Registry::linksOf(const PeerId& self, const std::vector<PeerId>& reported) {
  std::vector<PeerId> links;
  for (const auto& neighbour : reported) {
    if (neighbour == self) continue;
    if (std::find(links.begin(), links.end(), neighbour) == links.end()) {
      links.push_back(neighbour);
    }
  }
  return links;
}

void Registry::reported(Node node, const wire::Links& links, TimePoint now) {
  Record& member = record(node);
  setParent(node, links.parent, now);
  member.neighbours = linksOf(member.contact.id, links.neighbours);
  touch(node);
  if (member.parent) member.failed.clear();
  reconcileParent(node);
  if (!awaiting()) changed();
}

// Makes the snapshot agree with what the peer says of its parent. A peer without one keeps what is
// reserved for it, and the place below a parent whose death was not noticed yet: the plan for that
// death starts from there.
void Registry::reconcileParent(Node node) {
  Record& member = record(node);
  if (!member.parent) return;
  const auto parent = tree_.find(*member.parent);
  if (!parent || *parent == node) return;
  if (tree_.parent(node) == parent) {
    setReserved(member, false);
    return;
  }
  if (tree_.parent(node)) unlink(node);
  // A cycle in the snapshot: somebody between the two has moved and not told yet.
  if (tree_.isBelow(*parent, node)) {
    Node above = *parent;
    while (tree_.parent(above) != node) above = *tree_.parent(above);
    unlink(above);
  }
  if (tree_.freeSlots(node) == 0 && !makeRoom(node, node)) return;
  if (tree_.freeSlots(*parent) == 0 && !makeRoom(*parent, node)) return;
  if (!tree_.link(node, *parent)) return;
  touch(node);
  setReserved(member, false);
}

// A place at a peer whose snapshot is full: a link that was only reserved goes first, then one that
// its child does not report.
bool Registry::makeRoom(Node node, Node keep) {
  std::optional<Node> least;
  for (const Node child : tree_.children(node)) {
    if (child == keep) continue;
    if (record(child).reserved) {
      least = child;
      break;
    }
    if (record(child).parent != record(node).contact.id) least = child;
  }
  const auto above = tree_.parent(node);
  if (!least && node != keep && above && record(node).parent != record(*above).contact.id) {
    least = node;
  }
  if (!least) return false;
  unlink(*least);
  return true;
}

void Registry::remove(Node node, TimePoint now, Effects& fx) {
  const Node dead[] = {node};
  const auto plan = topo::planFailure(tree_, dead);
  byOrder_.erase(record(node).contact.order);
  parentless_.erase(record(node).contact.order);
  releasePort(node);
  for (const Node child : tree_.children(node)) {
    touch(child);
    setReserved(record(child), false);
  }
  setReserved(record(node), false);
  if (followed_) gone_.push_back(record(node).contact.order);
  tree_.remove(node);
  record(node) = Record();
  for (const auto& attachment : plan.attachments) {
    reserve(attachment.orphan, attachment.parent, now);
    // Who still believes in its parent will ask; who was on its way to it must be told.
    if (!record(attachment.orphan).parent) {
      fx.sends.push_back({record(attachment.orphan).connection, below(attachment.parent)});
    }
  }
  if (!awaiting()) changed();
}

// Reservations that were not used, and members that have been without a parent for too long: they
// are told where to go.
void Registry::reconcile(TimePoint now, Effects& fx) {
  while (!reservations_.empty() && reservations_.front().at <= now) {
    const Due due = reservations_.front();
    reservations_.pop_front();
    if (!tree_.isMember(due.node) || record(due.node).admission != due.admission) continue;
    const Record& member = record(due.node);
    if (!member.reserved || member.reservedUntil > now) continue;
    unlink(due.node);
    reconcileParent(due.node);
  }
  for (const Node node : tree_.roots()) {
    if (record(node).parent) reconcileParent(node);  // there was no room for it in the snapshot
  }
  const auto root = tree_.oldestRoot();
  for (const JoinOrder order : parentless_) {
    const Node node = byOrder_.at(order);
    Record& member = record(node);
    if (node == root || member.reserved || now < member.askedFrom) continue;
    member.askedFrom = now + limits::kSilence;
    const auto parent = tree_.parent(node);
    fx.sends.push_back({member.connection, parent ? below(*parent) : referToTree(node, now)});
  }
}

}  // namespace espalier::metaserver
