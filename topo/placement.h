// Where a newcomer goes. Each rule looks at the network alone, the component of the root that
// joined first, and finds a place whenever the tree has a peer, because a tree of n peers has
// n·k − 2(n − 1) ≥ 2 free slots. Pure functions; costs as in tree.h.
#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "common/base/endpoint.h"
#include "common/base/result.h"
#include "topo/tree.h"

namespace espalier::topo {

enum class Rule {
  shallowest,  // the free slot nearest the root, of several the one at the peer that joined first
  classic,     // the root, which hands the newcomer on to its oldest child while full, and so on;
               // a peer's oldest child is the one it has been linked to for the longest time
  nearest,     // the peer whose address shares the longest prefix with the newcomer's (see
               // address_index.h); of several the one with the lowest port, then the least id
};

// Errors have the code `usage`.
Result<Rule> parseRule(std::string_view text);
std::string_view name(Rule rule);

// `newcomer` matters to `nearest` alone. Where the newcomer is in the tree already, as a lone root
// that joined last, it is not considered. Nothing only if the tree is empty.
std::optional<NodeIndex> place(const Tree& tree, Rule rule, const Endpoint& newcomer);

// The first peer with a free slot, breadth first from `top`, in order of linking. Whoever is
// `excluded` is passed over with everything below it. O(peers visited).
using Excluded = std::function<bool(NodeIndex)>;
std::optional<NodeIndex> shallowestBelow(const Tree& tree, NodeIndex top,
                                         const Excluded& excluded = nullptr);

}  // namespace espalier::topo
