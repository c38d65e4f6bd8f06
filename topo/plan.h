// What the death of peers leads to: who attaches where, so that what is left is one tree again. The
// same plan is what the metaserver refers orphans by and what `whatif kill` shows.
//
// The rule. An orphan is a living peer whose parent died. Orphans are taken in order of joining,
// whatever the order in which they ask:
//  - Where the root died, the first orphan that has no living ancestor is the new root, before
//    anybody attaches.
//  - Every other goes to the first peer with a free slot, breadth first, the children of a peer in
//    order of joining, below its nearest living ancestor, or below the new root if it has none.
//    Orphans that the plan has attached before count as part of the tree with all that hangs below
//    them; the orphan's own subtree does not.
// An orphan keeps the link that it lost to its parent for the next one: it takes no child there.
//
// So nothing can hang below itself (slots are below an ancestor, or below a root that never
// seeks), and a slot is always found: a subtree of m peers has at least m·k − 2(m − 1) − 1 ≥ 1
// free slots.
//
// Pure functions of the tree. planFailure costs O(n/8) bytes and O(orphans + peers searched).
#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

#include "topo/tree.h"

namespace espalier::topo {

struct Attachment {
  NodeIndex orphan;
  NodeIndex parent;

  bool operator==(const Attachment&) const = default;
};

struct Plan {
  std::vector<Attachment> attachments;  // in the order in which they must be made
  std::optional<NodeIndex> newRoot;     // of the network (see Tree::oldestRoot), if its root died
};

// `dead` in any order, a peer may stand there twice; each must be a member. Every component that
// loses peers is planned for; those of a component whose root died stay one.
Plan planFailure(const Tree& tree, std::span<const NodeIndex> dead);

// The tree as it will be: the dead removed, the orphans attached. The plan must be of that tree.
Tree apply(Tree tree, const Plan& plan, std::span<const NodeIndex> dead);

}  // namespace espalier::topo
