// The plan for the death of peers: where each orphan attaches, so that the remaining peers are one
// tree again. The registry makes referrals of orphans by it, and `whatif kill` shows it.
//
// The rule. An orphan is a living peer whose parent died. Orphans are planned in order of joining,
// whatever the order in which they ask:
//  - If the root died, the first orphan without a living ancestor becomes the new root, before any
//    orphan attaches.
//  - Every other orphan goes below its nearest living ancestor, or below the new root if it has
//    none: to the first peer with a free slot, breadth first, the children of a peer in order of
//    joining. Orphans that were planned before count as part of the tree, with everything below
//    them. The orphan's own subtree does not.
// An orphan keeps the slot of its lost parent for its next parent: it takes no child there.
//
// So no peer can attach below itself: slots are below an ancestor, or below a root, which never
// searches for a parent. A slot is always found: a subtree of m peers with k links each has at
// least m·k − 2(m − 1) − 1 ≥ 1 free slots.
//
// Pure functions of the tree, called by the registry's Placement and by whatif::killPlan().
// planFailure costs O(n/8) bytes and O(orphans + peers searched).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "topo/forest.h"

namespace espalier::topo {

struct Attachment {
  NodeIndex orphan;
  NodeIndex parent;

  bool operator==(const Attachment&) const = default;
};

struct Plan {
  std::vector<Attachment> attachments;  // in the order in which they must be made
  std::optional<NodeIndex> newRoot;     // of the network (see Forest::oldestRoot), if its root died
};

// `dead` in any order, also with a peer twice; each must be a member. Every component that loses
// peers is planned for. A component whose root died stays one.
Plan planFailure(const Forest& tree, std::span<const NodeIndex> dead);

// The tree after the plan: the dead removed, the orphans attached. The plan must be of that tree.
Forest apply(Forest tree, const Plan& plan, std::span<const NodeIndex> dead);

}  // namespace espalier::topo
