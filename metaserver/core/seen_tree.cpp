#include "metaserver/core/seen_tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "metaserver/core/topology_page.h"
#include "topo/forest_check.h"

namespace espalier::metaserver {
namespace {

std::vector<PeerId> withoutRepeats(const PeerId& self, const std::vector<PeerId>& reported) {
  std::vector<PeerId> links;
  for (const auto& neighbour : reported) {
    if (neighbour == self) continue;
    if (std::find(links.begin(), links.end(), neighbour) == links.end()) {
      links.push_back(neighbour);
    }
  }
  return links;
}

}  // namespace

// --- members ---

SeenTree::Node SeenTree::add(topo::Member newcomer, const InstanceHash& instance) {
  const JoinOrder order = newcomer.order;
  const Node node = tree_.add(std::move(newcomer));
  if (members_.size() <= topo::number(node)) members_.resize(topo::number(node) + 1);
  byOrder_.emplace_hint(byOrder_.end(), order, node);  // newcomers come last
  member(node).instance = instance;
  changed(node);
  return node;
}

// All reports come before the first link: restore() would decide otherwise with a part of them.
void SeenTree::load(const std::vector<MemberRow>& rows) {
  std::unordered_map<JoinOrder, std::vector<Node>> below;
  std::vector<Node> linked;
  for (const auto& row : rows) {
    const Node node =
        add({row.contact.id, row.contact.order, row.contact.endpoint}, row.contact.instance);
    Report& report = member(node).report;
    report.neighbours = withoutRepeats(row.contact.id, row.neighbours);
    if (row.reportedParent > 0 && row.reportedParent <= row.neighbours.size()) {
      report.parent = row.neighbours[row.reportedParent - 1u];
    }
    if (row.above == kNoOrder) {
      linked.push_back(node);
    } else {
      below[row.above].push_back(node);
    }
  }
  // From the roots down, because linking a peer without children is cheap.
  for (std::size_t i = 0; i < linked.size(); ++i) {
    const auto children = below.find(tree_.member(linked[i]).order);
    if (children == below.end()) continue;
    linked.insert(linked.end(), children->second.begin(), children->second.end());
    linkBelow(linked[i], std::move(children->second));
  }
}

// In the order in which the parent has linked them.
void SeenTree::linkBelow(Node parent, std::vector<Node> children) {
  const auto& links = reported(parent).neighbours;
  const auto position = [&](Node child) {
    return std::find(links.begin(), links.end(), tree_.member(child).id);
  };
  std::stable_sort(children.begin(), children.end(),
                   [&](Node a, Node b) { return position(a) < position(b); });
  for (const Node child : children) {
    if (tree_.link(child, parent)) setReserved(child, !isConfirmed(child, parent));
  }
}

void SeenTree::remove(Node node) {
  for (const Node child : tree_.children(node)) {
    changed(child);
    setReserved(child, false);
  }
  setReserved(node, false);
  const JoinOrder order = tree_.member(node).order;
  byOrder_.erase(order);
  changes_.gone(node, order);
  tree_.remove(node);
  member(node) = Member();
}

void SeenTree::setPort(Node node, std::uint16_t port) {
  tree_.setPort(node, port);
  changed(node);
}

void SeenTree::setInstance(Node node, const InstanceHash& instance) {
  if (std::exchange(member(node).instance, instance) != instance) changed(node);
}

wire::Contact SeenTree::contact(Node node) const {
  const topo::Member& member = tree_.member(node);
  return {member.id, member.order, member.endpoint, members_[topo::number(node)].instance};
}

MemberRow SeenTree::row(Node node) const {
  const Report& report = reported(node);
  MemberRow row;
  row.contact = contact(node);
  row.neighbours = report.neighbours;
  if (const auto above = tree_.parent(node)) row.above = tree_.member(*above).order;
  const auto& links = report.neighbours;
  const auto parent =
      report.parent ? std::find(links.begin(), links.end(), *report.parent) : links.end();
  if (parent != links.end()) {
    row.reportedParent = static_cast<std::uint8_t>(parent - links.begin() + 1);
  }
  return row;
}

// --- links ---

bool SeenTree::report(Node node, std::optional<PeerId> parent,
                      const std::vector<PeerId>& neighbours) {
  Report report{std::move(parent), withoutRepeats(tree_.member(node).id, neighbours)};
  if (report == reported(node)) return false;
  member(node).report = std::move(report);
  changed(node);
  restore(node);
  for (const auto& neighbour : reported(node).neighbours) {
    const auto other = tree_.find(neighbour);
    if (other && isConfirmed(*other, node)) restore(*other);
  }
  return true;
}

bool SeenTree::reserve(Node node, Node parent) {
  if (!tree_.link(node, parent)) return false;
  changed(node);
  setReserved(node, true);
  return true;
}

void SeenTree::release(Node node) {
  tree_.unlink(node);
  changed(node);
  setReserved(node, false);
}

void SeenTree::setReserved(Node node, bool reserved) {
  if (std::exchange(member(node).isReserved, reserved) == reserved) return;
  reserved ? ++reserved_ : --reserved_;
}

// Whether both report the link. Two that name each other as parent have swapped their positions,
// and one of them has not reported it yet.
bool SeenTree::isConfirmed(Node child, Node parent) const {
  const PeerId& id = tree_.member(parent).id;
  return reported(child).parent == id && isMutual(child, id) &&
         reported(parent).parent != tree_.member(child).id;
}

void SeenTree::restore(Node node) {
  if (!reported(node).parent) return;
  const auto parent = tree_.find(*reported(node).parent);
  if (!parent || *parent == node || !isConfirmed(node, *parent)) return;
  if (tree_.parent(node) == parent) {
    setReserved(node, false);
    return;
  }
  if (tree_.parent(node)) release(node);
  // Otherwise a cycle: a peer between the two has moved. What both ends report stays, and the new
  // link waits for the report of that peer: two members that lie must not take a link of others
  // away.
  if (tree_.isBelow(*parent, node)) {
    const auto stale = unconfirmedBetween(*parent, node);
    if (!stale) return;
    release(*stale);
  }
  if (tree_.freeSlots(node) == 0 && !makeRoom(node, node)) return;
  if (tree_.freeSlots(*parent) == 0 && !makeRoom(*parent, node)) return;
  if (!tree_.link(node, *parent)) return;
  changed(node);
  setReserved(node, false);
}

// The first peer on the way up from `node` to `top` whose link to its parent is only reserved, or
// is not reported by both ends any more.
std::optional<SeenTree::Node> SeenTree::unconfirmedBetween(Node node, Node top) const {
  for (; node != top; node = *tree_.parent(node)) {
    if (isReserved(node) || !isConfirmed(node, *tree_.parent(node))) return node;
  }
  return std::nullopt;
}

void SeenTree::restoreRoots() {
  for (const Node node : tree_.roots()) restore(node);
}

// Frees a slot of a full peer: that of a link that is only reserved, otherwise that of a link that
// its ends do not report any more.
bool SeenTree::makeRoom(Node node, Node keep) {
  std::optional<Node> least;
  for (const Node child : tree_.children(node)) {
    if (child == keep) continue;
    if (isReserved(child)) {
      least = child;
      break;
    }
    if (!isConfirmed(child, node)) least = child;
  }
  const auto above = tree_.parent(node);
  if (!least && node != keep && above && !isConfirmed(node, *above)) least = node;
  if (!least) return false;
  release(*least);
  return true;
}

// --- queries ---

bool SeenTree::isMutual(Node from, const PeerId& to) const {
  const auto other = tree_.find(to);
  if (!other) return false;
  const auto& back = reported(*other).neighbours;
  return std::find(back.begin(), back.end(), tree_.member(from).id) != back.end();
}

wire::TopologyEntry SeenTree::entry(Node node) const {
  wire::TopologyEntry entry{contact(node), std::nullopt, {}};
  for (const auto& neighbour : reported(node).neighbours) {
    if (!isMutual(node, neighbour)) continue;
    if (reported(node).parent == neighbour) entry.parent = neighbour;
    entry.neighbours.push_back(neighbour);
  }
  return entry;
}

std::vector<wire::TopologyEntry> SeenTree::entries(const wire::TopologyRequest& wanted,
                                                   std::size_t mostBytes, bool& more) const {
  if (wanted.id.empty()) return entries(wanted.after, mostBytes, more);
  const auto node = tree_.find(wanted.id);
  if (!node || tree_.member(*node).order <= wanted.after) return {};
  return {entry(*node)};
}

std::vector<wire::TopologyEntry> SeenTree::entries(JoinOrder after, std::size_t mostBytes,
                                                   bool& more) const {
  TopologyPage page(mostBytes);
  auto next = byOrder_.upper_bound(after);
  for (; next != byOrder_.end(); ++next) {
    if (!page.add(entry(next->second))) break;
  }
  more = next != byOrder_.end();
  return page.take();
}

Result<void> SeenTree::check() const {
  if (auto sound = topo::checkInvariants(tree_); !sound) return sound;
  const auto broken = [&](Node node, std::string_view what) {
    return Error{ErrorCode::failed, fmt::format("{}: {}", tree_.member(node).id.text(), what)};
  };
  std::size_t reserved = 0;
  for (const auto& [order, node] : byOrder_) {
    if (!tree_.isMember(node) || tree_.member(node).order != order) {
      return Error{ErrorCode::failed, fmt::format("no member has order {}", number(order))};
    }
    if (isReserved(node)) ++reserved;
    if (isReserved(node) && !tree_.parent(node))
      return broken(node, "a link to no parent is reserved");
    const auto& links = reported(node).neighbours;
    if (withoutRepeats(tree_.member(node).id, links) != links) {
      return broken(node, "a link is reported twice, or to itself");
    }
  }
  if (byOrder_.size() != tree_.size()) {
    return Error{ErrorCode::failed, "not every member has an order"};
  }
  if (reserved != reserved_) return Error{ErrorCode::failed, "reservations are miscounted"};
  return {};
}

}  // namespace espalier::metaserver
