#include "topo/tree.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <type_traits>

#include "common/base/limits.h"

namespace espalier::topo {

static_assert(std::is_nothrow_move_constructible_v<ChildEdges<int>>,
              "else a growing graph copies its vertices");
static_assert(limits::kMaxLinks <= 255, "Vertex::parentPosition is a byte");

Tree::Tree(unsigned maxLinks) : maxLinks_(maxLinks) {
  assert(maxLinks >= limits::kMinLinks && maxLinks <= limits::kMaxLinks);
}

void Tree::indexAddresses() {
  addresses_.emplace();
  for (std::uint32_t i = 0; i < members_.size(); ++i) {
    const Vertex& v = (*graph_)[i];
    if (v.isMember && v.isListed && v.root == oldestRoot_) {
      addresses_->insert(NodeIndex(i), members_[i].endpoint, idOrder());
    }
  }
}

NodeIndex Tree::add(Member newcomer) {
  assert(!newcomer.id.empty());
  const std::uint32_t hash = IdIndex::hash(newcomer.id);
  ids_.prefetch(hash);
  NodeIndex node;
  if (recycled_.empty()) {
    node = NodeIndex(static_cast<std::uint32_t>(add_vertex(*graph_)));
    members_.emplace_back();
  } else {
    node = recycled_.back();
    recycled_.pop_back();
    if (!recycled_.empty()) {
      __builtin_prefetch(&vertex(recycled_.back()), 1);
      __builtin_prefetch(&members_[number(recycled_.back())], 1);
    }
  }
  Vertex& v = vertex(node);
  v = Vertex();
  v.order = newcomer.order;
  v.root = node;
  v.isMember = true;
  roots_.insert({newcomer.order, node});
  members_[number(node)] = std::move(newcomer);
  pruneRoots();
  assert(!find(members_[number(node)].id));
  ids_.insert(hash, node);
  return node;
}

void Tree::remove(NodeIndex node) {
  assert(isMember(node));
  while (!children(node).empty()) unlink(children(node).front());
  if (parent(node)) unlink(node);
  Member& gone = members_[number(node)];
  vertex(node).isMember = false;
  roots_.erase(node);
  ids_.erase(IdIndex::hash(gone.id), node);
  gone = Member();
  recycled_.push_back(node);
  pruneRoots();
}

Result<void> Tree::mayLink(NodeIndex child, NodeIndex parent) const {
  const auto refuse = [&](std::string_view why) {
    return Error{ErrorCode::refused,
                 fmt::format("cannot link {} to {}: {}", member(child).id.text(),
                             member(parent).id.text(), why)};
  };
  if (vertex(child).parent != kNoNode) return refuse("it is linked to a parent already");
  if (rootOf(parent) == child) return refuse("it would hang below itself");
  if (freeSlots(parent) == 0) return refuse("no free slot there");
  if (freeSlots(child) == 0) return refuse("its own links are all taken");
  return {};
}

Result<void> Tree::link(NodeIndex child, NodeIndex parent) {
  assert(isMember(child) && isMember(parent));
  if (auto may = mayLink(child, parent); !may) return may;

  Vertex& c = vertex(child);
  const NodeIndex root = vertex(parent).root;
  const bool wasAlone = children(child).empty();
  c.parent = parent;
  c.parentPosition = static_cast<std::uint8_t>(children(child).size());
  add_edge(number(parent), number(child), *graph_);
  roots_.erase(child);

  if (!wasAlone) slots_.erase(child);
  moveTree(child, root, vertex(parent).depth + 1, false);
  if (freeSlots(parent) == 0) {
    unlist(parent);
  } else {
    listIfFree(parent);
  }
  if (const auto position = vertex(parent).pathPosition; path_.contains(parent, position)) {
    if (freeSlots(parent) == 0) path_.becameFull(position);
    extendPath();
  }
  pruneSlots(root);
  pruneRoots();
  return {};
}

void Tree::unlink(NodeIndex child) {
  assert(isMember(child) && vertex(child).parent != kNoNode);
  Vertex& c = vertex(child);
  const NodeIndex parent = c.parent;
  const NodeIndex oldRoot = c.root;
  Vertex& p = vertex(parent);
  const Links siblings = children(parent);
  const auto position =
      std::distance(siblings.begin(), std::find(siblings.begin(), siblings.end(), child));

  remove_edge(number(parent), number(child), *graph_);
  if (position < p.parentPosition) --p.parentPosition;
  c.parent = kNoNode;
  roots_.insert({c.order, child});

  moveTree(child, child, 0, true);
  listIfFree(parent);
  if (children(oldRoot).empty()) {
    unlist(oldRoot);
    slots_.erase(oldRoot);
  }
  if (path_.contains(parent, p.pathPosition)) {
    if (position == 0) {
      path_.lostFirstChild(p.pathPosition);
    } else {
      path_.lostChild(p.pathPosition);
    }
  }
  pruneSlots(oldRoot);
  pruneSlots(child);
  pruneRoots();
}

// Gives `top` and all below it their new root and depth. Without `unlistFirst` the index of their
// old component has been dropped as a whole.
void Tree::moveTree(NodeIndex top, NodeIndex newRoot, std::uint32_t newDepth, bool unlistFirst) {
  assert(work_.empty());
  work_.push_back(top);
  while (!work_.empty()) {
    const NodeIndex node = work_.back();
    work_.pop_back();
    if (unlistFirst) unlist(node);
    Vertex& v = vertex(node);
    v.isListed = false;
    v.root = newRoot;
    v.depth = node == top ? newDepth : vertex(v.parent).depth + 1;
    listIfFree(node);
    for (const NodeIndex child : children(node)) work_.push_back(child);
  }
}

void Tree::list(NodeIndex node) {
  Vertex& v = vertex(node);
  v.isListed = true;
  slots_[v.root].insert(v.depth, {v.order, node});
  if (addresses_ && v.root == oldestRoot_) {
    addresses_->insert(node, member(node).endpoint, idOrder());
  }
}

void Tree::unlist(NodeIndex node) {
  Vertex& v = vertex(node);
  if (!v.isListed) return;
  v.isListed = false;
  slots_.at(v.root).erase(v.depth, node);
  if (addresses_ && v.root == oldestRoot_) {
    addresses_->erase(node, member(node).endpoint, idOrder());
  }
}

void Tree::setPort(NodeIndex node, std::uint16_t port) {
  const bool wasListed = vertex(node).isListed;
  unlist(node);
  members_[number(node)].endpoint.port = port;
  if (wasListed) list(node);
}

void Tree::listIfFree(NodeIndex node) {
  const bool isAlone = degree(node) == 0;
  if (!vertex(node).isListed && !isAlone && freeSlots(node) > 0) list(node);
}

void Tree::pruneSlots(NodeIndex root) {
  const auto slots = slots_.find(root);
  if (slots == slots_.end()) return;
  slots->second.prune(
      [&](std::uint32_t depth, const OldestFirst::Entry& entry) {
        const Vertex& v = vertex(entry.node);
        return v.isListed && v.root == root && v.depth == depth && v.order == entry.order;
      },
      [&](NodeIndex node) { __builtin_prefetch(&vertex(node)); });
}

bool Tree::isRootEntry(OldestFirst::Entry entry) const {
  const Vertex& v = vertex(entry.node);
  return v.isMember && v.parent == kNoNode && v.order == entry.order;
}

void Tree::pruneRoots() {
  roots_.prune([&](const OldestFirst::Entry& entry) { return isRootEntry(entry); },
               [](NodeIndex) {});
  const NodeIndex oldest = roots_.size() == 0 ? kNoNode : roots_.front().node;
  if (oldest == oldestRoot_) return;
  oldestRoot_ = oldest;
  path_.clear();
  if (oldest != kNoNode) {
    vertex(oldest).pathPosition = path_.append(oldest);
    extendPath();
  }
  if (addresses_) indexAddresses();
}

void Tree::extendPath() {
  while (freeSlots(path_.last()) == 0) {
    const NodeIndex next = children(path_.last()).front();
    vertex(next).pathPosition = path_.append(next);
  }
}

Vertex& Tree::vertex(NodeIndex node) {
  return (*graph_)[number(node)];
}
const Vertex& Tree::vertex(NodeIndex node) const {
  return (*graph_)[number(node)];
}

std::optional<NodeIndex> Tree::find(const PeerId& id) const {
  const NodeIndex node = ids_.find(
      IdIndex::hash(id), [&](NodeIndex candidate) { return members_[number(candidate)].id == id; });
  return node == kNoNode ? std::nullopt : std::optional(node);
}

bool Tree::isMember(NodeIndex node) const {
  return number(node) < members_.size() && vertex(node).isMember;
}

const Member& Tree::member(NodeIndex node) const {
  assert(isMember(node));
  return members_[number(node)];
}

std::optional<NodeIndex> Tree::parent(NodeIndex node) const {
  const NodeIndex above = vertex(node).parent;
  return above == kNoNode ? std::nullopt : std::optional(above);
}

Links Tree::children(NodeIndex node) const {
  return {*graph_, node, kNoNode, 0};
}

Links Tree::neighbours(NodeIndex node) const {
  const Vertex& v = vertex(node);
  return {*graph_, node, v.parent, v.parentPosition};
}

unsigned Tree::degree(NodeIndex node) const {
  return static_cast<unsigned>(out_degree(number(node), *graph_)) +
         (vertex(node).parent == kNoNode ? 0 : 1);
}

}  // namespace espalier::topo
