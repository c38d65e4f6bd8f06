// The network for Graphviz: `topo --dot | dot -Tsvg`. Written by Boost's write_graphviz.
#pragma once

#include <span>
#include <string>

#include "topo/topo_file.h"

namespace espalier::topo {

// An undirected graph with a vertex a line, labelled with the peer's id, and each link once, also
// where only one end names it. Neighbours without a line get a dashed vertex.
std::string toDot(std::span<const TopoLine> lines);

}  // namespace espalier::topo
