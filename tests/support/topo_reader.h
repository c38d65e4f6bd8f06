// Reads topo.txt, for tests and fuzz targets; the programs only write it.
//
// It accepts more than the programs write: any number of spaces, and a last line without its end.
// Values, no I/O, any thread. parse() costs a hash look-up a line, toTree() one a link.
#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "common/base/result.h"
#include "topo/forest.h"
#include "topo/topo_file.h"

namespace espalier::topo {

// At most limits::kMembers lines with at most limits::kMaxLinks neighbours each. No peer has two
// lines, names itself as a neighbour, or names one twice. Errors (code `protocol`) begin with "line
// N: ". A neighbour may have no line, or not name the peer: the two ends of a link report it one
// after the other.
Result<std::vector<TopoLine>> parse(std::string_view text);

// The lines as a tree, if they are a forest in which both ends name each link. The first line of
// each component is its root; the number of a line is the order of joining; endpoints are empty.
// Errors have the code `protocol`.
Result<Forest> toTree(std::span<const TopoLine> lines, unsigned maxLinks);

// The inverse of toTree().
std::vector<TopoLine> toLines(const Forest& tree);

}  // namespace espalier::topo
