// The network for Graphviz, `topo --dot | dot -Tsvg`, written by Boost's write_graphviz. A pure
// function, for the commands of both programs.
#pragma once

#include <span>
#include <string>

#include "topo/topo_file.h"

namespace espalier::topo {

// An undirected graph: a vertex a line, labelled with the peer's id; an edge a link, also where
// only one end names it; a dashed vertex for each neighbour without a line.
std::string toDot(std::span<const TopoLine> lines);

}  // namespace espalier::topo
