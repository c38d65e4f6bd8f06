#include "topo/plan.h"

#include <algorithm>
#include <cassert>
#include <cstddef>
#include <cstdint>
#include <unordered_map>

#include "topo/search.h"

namespace espalier::topo {
namespace {

struct JoinedBefore {
  const Forest& tree;
  bool operator()(NodeIndex a, NodeIndex b) const {
    return tree.member(a).order < tree.member(b).order;
  }
};

// The vertices that a search for a slot has still to visit (a Buffer of Boost.Graph, as
// SearchQueue). It skips dead peers, visits the children of a peer in order of joining, and can be
// stopped and resumed.
//
// Not in order of linking, because peers have seen the links in different orders.
class PlanQueue {
 public:
  using value_type = SearchQueue::value_type;

  PlanQueue(const Forest& tree, const std::vector<bool>& isDead, NodeIndex top)
      : joinedBefore_{tree}, isDead_(&isDead), nodes_{top} {}

  void push(value_type vertex) {
    if (!stopped_ && !(*isDead_)[vertex]) {
      nodes_.push_back(NodeIndex(static_cast<std::uint32_t>(vertex)));
    }
  }
  // Called before each vertex. What was pushed since the last call are the peers below one peer.
  bool empty() {
    std::sort(nodes_.begin() + static_cast<std::ptrdiff_t>(sorted_), nodes_.end(), joinedBefore_);
    sorted_ = nodes_.size();
    return stopped_ || next_ == nodes_.size();
  }
  value_type top() const { return number(nodes_[next_]); }
  void pop() { ++next_; }

  // The vertex that is being examined is examined again after resume().
  void stop() {
    stopped_ = true;
    --next_;
  }
  void resume() { stopped_ = false; }

 private:
  JoinedBefore joinedBefore_;
  const std::vector<bool>* isDead_;
  std::vector<NodeIndex> nodes_;
  std::size_t next_ = 0;
  std::size_t sorted_ = 1;  // how many of the nodes have their final position
  bool stopped_ = false;
};

class Planner {
 public:
  Planner(const Forest& tree, std::span<const NodeIndex> dead)
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
    // New roots come first, because a root has one more free slot than an orphan.
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

  // Resumes the last search below `top`: a skipped peer is full and stays full, because planning
  // only takes slots.
  NodeIndex firstFreeSlotBelow(NodeIndex top) {
    PlanQueue& queue = queues_.try_emplace(top, tree_, isDead_, top).first->second;
    queue.resume();
    std::optional<NodeIndex> found;
    auto examine = [&](NodeIndex node) {
      if (hasFreeSlot(node)) {
        found = node;
        queue.stop();
      } else if (const auto orphans = attached_.find(node); orphans != attached_.end()) {
        for (const NodeIndex orphan : orphans->second) queue.push(number(orphan));
      }
    };
    // Without a start vertex: it is in the queue.
    const SearchQueue::value_type* none = nullptr;
    boost::breadth_first_visit(tree_.graph(), none, none, queue,
                               ExamineVisitor<decltype(examine)>(examine), AlwaysWhite());
    assert(found && "a subtree always has a free slot");
    return *found;
  }

  const Forest& tree_;
  const JoinedBefore joinedBefore_{tree_};
  std::vector<bool> isDead_;
  std::vector<NodeIndex> dead_;
  std::unordered_map<NodeIndex, NodeIndex> newRoots_;               // by the root that died
  std::unordered_map<NodeIndex, std::vector<NodeIndex>> attached_;  // by parent
  std::unordered_map<NodeIndex, PlanQueue> queues_;                 // by top
};

}  // namespace

Plan planFailure(const Forest& tree, std::span<const NodeIndex> dead) {
  return Planner(tree, dead).plan();
}

Forest apply(Forest tree, const Plan& plan, std::span<const NodeIndex> dead) {
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
