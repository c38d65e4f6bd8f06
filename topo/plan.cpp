#include "topo/plan.h"

#include <algorithm>
#include <cassert>
#include <unordered_map>

namespace espalier::topo {
namespace {

class Planner {
 public:
  Planner(const Tree& tree, std::span<const NodeIndex> dead)
      : tree_(tree), isDead_(tree.indexEnd(), false) {
    for (const NodeIndex node : dead) {
      assert(tree.isMember(node));
      if (isDead_[number(node)]) continue;
      isDead_[number(node)] = true;
      dead_.push_back(node);
    }
  }

  Plan plan() {
    Plan plan;
    const std::vector<NodeIndex> orphans = this->orphans();
    // First of all, because a root has one more slot to offer than an orphan.
    for (const NodeIndex orphan : orphans) {
      const NodeIndex deadRoot = tree_.rootOf(orphan);
      if (livingAncestor(orphan) || !newRoots_.emplace(deadRoot, orphan).second) continue;
      if (deadRoot == tree_.oldestRoot()) plan.newRoot = orphan;
    }
    for (const NodeIndex orphan : orphans) {
      const auto ancestor = livingAncestor(orphan);
      const auto newRoot = newRoots_.find(tree_.rootOf(orphan));
      if (newRoot != newRoots_.end() && newRoot->second == orphan) continue;
      const NodeIndex parent = firstFreeSlotBelow(ancestor ? *ancestor : newRoot->second);
      attached_[parent].push_back(orphan);
      plan.attachments.push_back({orphan, parent});
    }
    return plan;
  }

 private:
  // A search breadth first that goes on where the one before it stopped: slots only get fewer, and
  // a peer that was passed over, being full, gets no more children.
  struct Search {
    std::vector<NodeIndex> queue;
    std::size_t next = 0;
  };

  bool isAlive(NodeIndex node) const { return !isDead_[number(node)]; }

  std::vector<NodeIndex> orphans() const {
    std::vector<NodeIndex> orphans;
    for (const NodeIndex parent : dead_) {
      for (const NodeIndex child : tree_.children(parent)) {
        if (isAlive(child)) orphans.push_back(child);
      }
    }
    std::sort(orphans.begin(), orphans.end(), joinedBefore_);
    return orphans;
  }

  std::optional<NodeIndex> livingAncestor(NodeIndex orphan) const {
    auto above = tree_.parent(orphan);
    while (above && !isAlive(*above)) above = tree_.parent(*above);
    return above;
  }

  bool hasFreeSlot(NodeIndex node) const {
    const auto newRoot = newRoots_.find(tree_.rootOf(node));
    const bool isRoot =
        !tree_.parent(node) || (newRoot != newRoots_.end() && newRoot->second == node);
    std::size_t links = isRoot ? 0 : 1;
    for (const NodeIndex child : tree_.children(node)) links += isAlive(child) ? 1 : 0;
    if (const auto found = attached_.find(node); found != attached_.end()) {
      links += found->second.size();
    }
    return links < tree_.maxLinks();
  }

  NodeIndex firstFreeSlotBelow(NodeIndex top) {
    Search& search = searches_[top];
    if (search.queue.empty()) search.queue.push_back(top);
    while (true) {
      assert(search.next < search.queue.size() && "a subtree always has a free slot");
      const NodeIndex node = search.queue[search.next];
      if (hasFreeSlot(node)) return node;
      ++search.next;
      const auto below = static_cast<std::ptrdiff_t>(search.queue.size());
      for (const NodeIndex child : tree_.children(node)) {
        if (isAlive(child)) search.queue.push_back(child);
      }
      if (const auto found = attached_.find(node); found != attached_.end()) {
        search.queue.insert(search.queue.end(), found->second.begin(), found->second.end());
      }
      // Not in order of linking: each of those who plan has seen the links come in another order.
      std::sort(search.queue.begin() + below, search.queue.end(), joinedBefore_);
    }
  }

  struct JoinedBefore {
    const Tree& tree;
    bool operator()(NodeIndex a, NodeIndex b) const {
      return tree.member(a).order < tree.member(b).order;
    }
  };

  const Tree& tree_;
  const JoinedBefore joinedBefore_{tree_};
  std::vector<bool> isDead_;
  std::vector<NodeIndex> dead_;
  std::unordered_map<NodeIndex, NodeIndex> newRoots_;               // by the root that died
  std::unordered_map<NodeIndex, std::vector<NodeIndex>> attached_;  // by parent
  std::unordered_map<NodeIndex, Search> searches_;                  // by top
};

}  // namespace

Plan planFailure(const Tree& tree, std::span<const NodeIndex> dead) {
  return Planner(tree, dead).plan();
}

Tree apply(Tree tree, const Plan& plan, std::span<const NodeIndex> dead) {
  for (const NodeIndex node : dead) {
    if (tree.isMember(node)) tree.remove(node);
  }
  for (const Attachment& attachment : plan.attachments) {
    const auto linked = tree.link(attachment.orphan, attachment.parent);
    assert(linked.ok());
    static_cast<void>(linked);
  }
  return tree;
}

}  // namespace espalier::topo
