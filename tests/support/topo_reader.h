// Reads topo.txt back, for tests: the programs only write it.
//
// More tolerant than what is written: any number of spaces, and a missing end of the last line.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "topo/topo_file.h"
#include "topo/tree.h"

namespace espalier::topo {

// At most limits::kMembers lines with at most limits::kMaxLinks neighbours each, no peer twice, and
// among its neighbours neither itself nor a peer twice. Errors (code `protocol`) begin with
// "line N: ". A neighbour may lack a line, or not link back: the ends of a link report it one after
// the other.
Result<std::vector<TopoLine>> parse(std::string_view text);

// The lines as a tree, if they are a forest in which every link stands at both ends. The first line
// of each component is its root, the number of the line the order of joining; there are no
// endpoints. Errors have the code `protocol`.
Result<Tree> toTree(std::span<const TopoLine> lines, unsigned maxLinks);

std::vector<TopoLine> toLines(const Tree& tree);

}  // namespace espalier::topo
