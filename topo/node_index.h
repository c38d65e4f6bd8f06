// NodeIndex: the name of a peer of one tree inside topo/ and the registry. It is the peer's vertex
// in the graph.
//
// Indices are reused: after a peer was removed its index may name another one. To refer to a peer
// across changes of the tree, keep its PeerId.
#pragma once

#include <cstdint>

#include "common/base/ids.h"

namespace espalier::topo {

enum class NodeIndex : std::uint32_t {};

inline constexpr NodeIndex kNoNode{0xffff'ffff};

constexpr std::uint32_t number(NodeIndex node) {
  return static_cast<std::uint32_t>(node);
}

}  // namespace espalier::topo
