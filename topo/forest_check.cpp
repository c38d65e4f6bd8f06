#include "topo/forest_check.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>

#include "topo/search.h"

namespace espalier::topo {

class ForestChecker {
 public:
  explicit ForestChecker(const Forest& tree) : tree_(tree) {}

  Result<void> check() {
    std::size_t members = 0;
    for (std::uint32_t i = 0; i < tree_.indexEnd(); ++i) {
      if (!tree_.isMember(NodeIndex(i))) continue;
      ++members;
      checkPeer(NodeIndex(i));
    }
    if (members != tree_.size()) fail("", "the index of ids has another size");
    if (problem_.empty()) checkComponents(members);
    if (problem_.empty()) checkSlots();
    if (problem_.empty()) return {};
    return Error{ErrorCode::failed, problem_};
  }

 private:
  void fail(std::string_view where, std::string_view what) {
    if (problem_.empty()) problem_ = where.empty() ? what : fmt::format("{}: {}", where, what);
  }
  void expect(bool holds, NodeIndex node, std::string_view what) {
    if (!holds) fail(tree_.members_[number(node)].id.text(), what);
  }

  void checkPeer(NodeIndex node) {
    const Vertex& v = tree_.vertex(node);
    const Links children = tree_.children(node);
    expect(tree_.find(tree_.member(node).id) == node, node, "is not found by its id");
    expect(v.order == tree_.member(node).order, node, "has two orders of joining");
    expect(children.size() + (v.parent == kNoNode ? 0 : 1) <= tree_.maxLinks_, node,
           "has too many links");
    for (const NodeIndex child : children) {
      expect(tree_.isMember(child) && tree_.vertex(child).parent == node, node,
             "has a child that has another parent");
    }
    if (v.parent != kNoNode) {
      const Links siblings = tree_.children(v.parent);
      expect(tree_.isMember(v.parent) && std::count(siblings.begin(), siblings.end(), node) == 1,
             node, "is not once among its parent's children");
      expect(v.parentPosition <= children.size(), node, "has no position for its parent");
    }
    const bool wantsListing = tree_.degree(node) > 0 && tree_.freeSlots(node) > 0;
    expect(v.isListed == wantsListing, node, "is listed for a free slot when it has none, or not");
    expect(tree_.slots_.contains(tree_.slotOf(node)) == wantsListing, node,
           "is not in the index of slots as it is listed");
    if (wantsListing) ++listed_;
  }

  // From each root down: each peer must be reached exactly once. A peer is below only one other
  // (checkPeer), so a search ends.
  void checkComponents(std::size_t members) {
    std::size_t reached = 0;
    const std::vector<NodeIndex> roots = tree_.roots();
    for (const NodeIndex root : roots) {
      expect(tree_.isMember(root) && !tree_.parent(root), root, "is no root");
      if (!problem_.empty()) return;
      visitBreadthFirst(tree_.graph(), root, [&](NodeIndex node) {
        ++reached;
        const Vertex& v = tree_.vertex(node);
        const std::size_t depth = v.parent == kNoNode ? 0 : tree_.depth(v.parent) + 1;
        expect(v.depth == depth, node, "has another depth");
        expect(v.root == root, node, "has another root");
      });
    }
    if (reached != members) fail("", "a cycle: not every peer is below a root");
  }

  void checkSlots() {
    if (tree_.slots_.size() != listed_) fail("", "the index of slots has another size");
    const auto root = tree_.oldestRoot();
    if (!root) {
      if (tree_.size() > 0) fail("", "no peer is the oldest root");
      return;
    }
    const auto roots = tree_.roots();
    expect(*root == roots.front(), *root, "is not the oldest root");

    NodeIndex classic = *root;
    while (tree_.freeSlots(classic) == 0) classic = tree_.children(classic).front();
    expect(tree_.classicSlot() == classic, classic, "is not found as the classic slot");

    NodeIndex best = kNoNode;
    std::size_t listed = 0;
    const auto key = [&](NodeIndex node) {
      return std::pair(tree_.depth(node), tree_.member(node).order);
    };
    for (const NodeIndex node : tree_.membersByOrder()) {
      if (tree_.rootOf(node) != *root || tree_.freeSlots(node) == 0) continue;
      if (tree_.vertex(node).isListed) ++listed;
      if (best == kNoNode || key(node) < key(best)) best = node;
    }
    expect(tree_.shallowestSlot() == best, best, "is not found as the shallowest slot");
    expect(!tree_.addresses_ || tree_.addresses_->size() == listed, *root,
           "has an index of addresses of another size");
  }

  const Forest& tree_;
  std::string problem_;     // the first
  std::size_t listed_ = 0;  // peers with a free slot, lone roots aside
};

Result<void> checkInvariants(const Forest& tree) {
  return ForestChecker(tree).check();
}

}  // namespace espalier::topo
