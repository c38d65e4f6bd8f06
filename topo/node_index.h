// How the parts of topo/ name a peer of a tree: by its vertex. Indices are recycled, so one that
// was removed may come to mean somebody else; what must outlive a change keeps the PeerId.
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
