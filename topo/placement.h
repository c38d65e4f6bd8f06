// The placement rules: they choose the peer to which a newcomer attaches. Used by the registry.
//
// Each rule looks at one component only, that of the root that joined first. It finds a slot
// whenever the tree has a peer, because a tree of n peers with k links each has
// n·k − 2(n − 1) ≥ 2 free slots. Pure functions; costs as in forest.h.
#pragma once

#include <functional>
#include <optional>
#include <string_view>

#include "common/base/endpoint.h"
#include "common/base/result.h"
#include "topo/forest.h"

namespace espalier::topo {

enum class Rule {
  shallowest,  // the free slot nearest the root; of several the one of the peer that joined first
  classic,     // from the root to its oldest child, and so on, until a peer has a free slot; a
               // peer's oldest child is the one that has been linked for the longest time
  nearest,     // the peer whose address shares the longest prefix with the newcomer's (see
               // address_index.h); of several the one with the lowest port, then the least id
};

// Errors have the code `usage`.
Result<Rule> parseRule(std::string_view text);
std::string_view name(Rule rule);

// `newcomer` matters to `nearest` only. A newcomer that is in the tree already, as a lone root that
// joined last, is not considered. Empty only if the tree is.
std::optional<NodeIndex> place(const Forest& tree, Rule rule, const Endpoint& newcomer);

// The first peer with a free slot that is accepted, breadth first from `top`, in order of linking.
// O(peers visited).
using Accepts = std::function<bool(NodeIndex)>;
std::optional<NodeIndex> shallowestBelow(const Forest& tree, NodeIndex top,
                                         const Accepts& accepts = nullptr);

}  // namespace espalier::topo
