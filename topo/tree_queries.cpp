// What a tree tells without changing, apart from tree.cpp for its length.
#include <algorithm>

#include "topo/tree.h"

namespace espalier::topo {

bool Tree::isBelow(NodeIndex node, NodeIndex top) const {
  if (rootOf(node) != rootOf(top)) return false;
  while (depth(node) > depth(top)) node = vertex(node).parent;
  return node == top;
}

std::vector<NodeIndex> Tree::roots() const {
  std::vector<NodeIndex> nodes;
  for (const auto& entry : roots_.sorted([&](const auto& one) { return isRootEntry(one); })) {
    nodes.push_back(entry.node);
  }
  return nodes;
}

std::vector<NodeIndex> Tree::membersByOrder() const {
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

std::optional<NodeIndex> Tree::oldestRoot() const {
  return oldestRoot_ == kNoNode ? std::nullopt : std::optional(oldestRoot_);
}

std::optional<NodeIndex> Tree::shallowestSlot() const {
  if (oldestRoot_ == kNoNode || degree(oldestRoot_) == 0) return oldestRoot();
  return slots_.at(oldestRoot_).shallowest();
}

std::optional<NodeIndex> Tree::classicSlot() const {
  if (path_.empty()) return std::nullopt;
  return path_.end();
}

AddressIndex::IsLess Tree::idOrder() const {
  return
      [this](NodeIndex a, NodeIndex b) { return members_[number(a)].id < members_[number(b)].id; };
}

std::optional<NodeIndex> Tree::nearestSlot(const Endpoint& newcomer) const {
  if (oldestRoot_ == kNoNode || degree(oldestRoot_) == 0) return oldestRoot();
  if (addresses_) return addresses_->nearest(newcomer, idOrder());
  AddressIndex once;
  for (std::uint32_t i = 0; i < members_.size(); ++i) {
    if ((*graph_)[i].isListed && (*graph_)[i].root == oldestRoot_) {
      once.insert(NodeIndex(i), members_[i].endpoint, idOrder());
    }
  }
  return once.nearest(newcomer, idOrder());
}

}  // namespace espalier::topo
