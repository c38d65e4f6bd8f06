#include "topo/forest.h"

#include <fmt/format.h>

#include <algorithm>
#include <cassert>
#include <iterator>

#include "common/base/limits.h"
#include "topo/search.h"

namespace espalier::topo {

static_assert(limits::kMaxLinks <= 255, "Vertex::parentPosition is a byte");

Forest::Forest(unsigned maxLinks) : maxLinks_(maxLinks) {
  assert(maxLinks >= limits::kMinLinks && maxLinks <= limits::kMaxLinks);
}

// --- changes ---

NodeIndex Forest::add(Member newcomer) {
  assert(!newcomer.id.empty());
  NodeIndex node;
  if (recycled_.empty()) {
    node = NodeIndex(static_cast<std::uint32_t>(add_vertex(*graph_)));
    members_.emplace_back();
  } else {
    node = recycled_.back();
    recycled_.pop_back();
  }
  assert(!find(newcomer.id));
  ids_.insert(IdIndex::hash(newcomer.id), node);
  Vertex& v = vertex(node);
  v = Vertex();
  v.order = newcomer.order;
  v.root = node;
  v.isMember = true;
  roots_.emplace_hint(roots_.end(), newcomer.order, node);
  members_[number(node)] = std::move(newcomer);
  updateOldestRoot();
  return node;
}

void Forest::remove(NodeIndex node) {
  assert(isMember(node));
  while (!children(node).empty()) unlink(children(node).front());
  if (parent(node)) unlink(node);
  Member& gone = members_[number(node)];
  vertex(node).isMember = false;
  roots_.erase({gone.order, node});
  ids_.erase(IdIndex::hash(gone.id), node);
  gone = Member();
  recycled_.push_back(node);
  updateOldestRoot();
}

void Forest::setPort(NodeIndex node, std::uint16_t port) {
  unlist(node);
  members_[number(node)].endpoint.port = port;
  updateListing(node);
}

Result<void> Forest::mayLink(NodeIndex child, NodeIndex parent) const {
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

Result<void> Forest::link(NodeIndex child, NodeIndex parent) {
  assert(isMember(child) && isMember(parent));
  if (auto may = mayLink(child, parent); !may) return may;

  Vertex& c = vertex(child);
  roots_.erase({c.order, child});
  c.parent = parent;
  c.parentPosition = static_cast<std::uint8_t>(children(child).size());
  add_edge(number(parent), number(child), *graph_);

  const Vertex& p = vertex(parent);
  moveSubtree(child, p.root, p.depth + 1);
  updateListing(parent);
  if (path_.contains(parent, p.pathPosition)) {
    if (freeSlots(parent) == 0) path_.becameFull(p.pathPosition);
    extendPath();
  }
  updateOldestRoot();
  return {};
}

void Forest::unlink(NodeIndex child) {
  assert(isMember(child) && vertex(child).parent != kNoNode);
  Vertex& c = vertex(child);
  const NodeIndex parent = c.parent;
  Vertex& p = vertex(parent);
  const Links siblings = children(parent);
  const auto position =
      std::distance(siblings.begin(), std::find(siblings.begin(), siblings.end(), child));

  remove_edge(number(parent), number(child), *graph_);
  if (position < p.parentPosition) --p.parentPosition;
  c.parent = kNoNode;
  roots_.emplace(c.order, child);
  moveSubtree(child, child, 0);
  updateListing(parent);
  if (path_.contains(parent, p.pathPosition)) {
    if (position == 0) {
      path_.lostFirstChild(p.pathPosition);
    } else {
      path_.lostChild(p.pathPosition);
    }
  }
  updateOldestRoot();
}

// Gives `top` and everything below it their new root and depth.
void Forest::moveSubtree(NodeIndex top, NodeIndex newRoot, std::uint32_t newDepth) {
  visitBreadthFirst(*graph_, top, [&](NodeIndex node) {
    ++moved_;
    unlist(node);
    Vertex& v = vertex(node);
    v.root = newRoot;
    v.depth = node == top ? newDepth : vertex(v.parent).depth + 1;
    updateListing(node);
  });
}

// --- the indices ---

SlotIndex::Slot Forest::slotOf(NodeIndex node) const {
  const Vertex& v = vertex(node);
  return {v.root, v.depth, v.order, node};
}

void Forest::list(NodeIndex node) {
  Vertex& v = vertex(node);
  if (v.isListed) return;
  v.isListed = true;
  slots_.insert(slotOf(node));
  if (addresses_ && v.root == oldestRoot_) {
    addresses_->insert(node, member(node).endpoint, idOrder());
  }
}

void Forest::unlist(NodeIndex node) {
  Vertex& v = vertex(node);
  if (!v.isListed) return;
  v.isListed = false;
  slots_.erase(slotOf(node));
  if (addresses_ && v.root == oldestRoot_) {
    addresses_->erase(node, member(node).endpoint, idOrder());
  }
}

void Forest::updateListing(NodeIndex node) {
  const bool isAlone = degree(node) == 0;
  if (!isAlone && freeSlots(node) > 0) {
    list(node);
  } else {
    unlist(node);
  }
}

void Forest::updateOldestRoot() {
  const NodeIndex oldest = roots_.empty() ? kNoNode : roots_.begin()->second;
  if (oldest == oldestRoot_) return;
  oldestRoot_ = oldest;
  path_.clear();
  if (oldest != kNoNode) {
    vertex(oldest).pathPosition = path_.append(oldest);
    extendPath();
  }
  if (addresses_) indexAddresses();
}

void Forest::extendPath() {
  while (freeSlots(path_.last()) == 0) {
    const NodeIndex next = children(path_.last()).front();
    vertex(next).pathPosition = path_.append(next);
  }
}

void Forest::indexAddresses() {
  addresses_.emplace();
  if (oldestRoot_ == kNoNode) return;
  visitBreadthFirst(*graph_, oldestRoot_, [&](NodeIndex node) {
    if (vertex(node).isListed) addresses_->insert(node, member(node).endpoint, idOrder());
  });
}

AddressIndex::IsLess Forest::idOrder() const {
  return
      [this](NodeIndex a, NodeIndex b) { return members_[number(a)].id < members_[number(b)].id; };
}

// --- queries ---

std::optional<NodeIndex> Forest::find(const PeerId& id) const {
  const NodeIndex node = ids_.find(
      IdIndex::hash(id), [&](NodeIndex candidate) { return members_[number(candidate)].id == id; });
  return node == kNoNode ? std::nullopt : std::optional(node);
}

bool Forest::isMember(NodeIndex node) const {
  return number(node) < members_.size() && vertex(node).isMember;
}

const Member& Forest::member(NodeIndex node) const {
  assert(isMember(node));
  return members_[number(node)];
}

std::optional<NodeIndex> Forest::parent(NodeIndex node) const {
  const NodeIndex above = vertex(node).parent;
  return above == kNoNode ? std::nullopt : std::optional(above);
}

Links Forest::children(NodeIndex node) const {
  return {*graph_, node, kNoNode, 0};
}

Links Forest::neighbours(NodeIndex node) const {
  const Vertex& v = vertex(node);
  return {*graph_, node, v.parent, v.parentPosition};
}

unsigned Forest::degree(NodeIndex node) const {
  return static_cast<unsigned>(out_degree(number(node), *graph_)) +
         (vertex(node).parent == kNoNode ? 0 : 1);
}

bool Forest::isBelow(NodeIndex node, NodeIndex top) const {
  if (rootOf(node) != rootOf(top)) return false;
  while (depth(node) > depth(top)) node = vertex(node).parent;
  return node == top;
}

std::vector<NodeIndex> Forest::roots() const {
  std::vector<NodeIndex> nodes;
  nodes.reserve(roots_.size());
  for (const auto& [order, node] : roots_) nodes.push_back(node);
  return nodes;
}

std::vector<NodeIndex> Forest::membersByOrder() const {
  std::vector<NodeIndex> nodes;
  nodes.reserve(size());
  for (std::uint32_t i = 0; i < members_.size(); ++i) {
    if ((*graph_)[i].isMember) nodes.push_back(NodeIndex(i));
  }
  const auto isOlder = [&](NodeIndex a, NodeIndex b) { return vertex(a).order < vertex(b).order; };
  if (!std::is_sorted(nodes.begin(), nodes.end(), isOlder)) {
    std::sort(nodes.begin(), nodes.end(), isOlder);
  }
  return nodes;
}

std::optional<NodeIndex> Forest::oldestRoot() const {
  return oldestRoot_ == kNoNode ? std::nullopt : std::optional(oldestRoot_);
}

std::optional<NodeIndex> Forest::shallowestSlot() const {
  if (oldestRoot_ == kNoNode || degree(oldestRoot_) == 0) return oldestRoot();
  return slots_.shallowest(oldestRoot_);
}

std::optional<NodeIndex> Forest::classicSlot() const {
  if (path_.empty()) return std::nullopt;
  return path_.end();
}

std::optional<NodeIndex> Forest::nearestSlot(const Endpoint& newcomer) const {
  if (oldestRoot_ == kNoNode || degree(oldestRoot_) == 0) return oldestRoot();
  if (addresses_) return addresses_->nearest(newcomer, idOrder());
  AddressIndex once;
  visitBreadthFirst(*graph_, oldestRoot_, [&](NodeIndex node) {
    if (vertex(node).isListed) once.insert(node, member(node).endpoint, idOrder());
  });
  return once.nearest(newcomer, idOrder());
}

}  // namespace espalier::topo
