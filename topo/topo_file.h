// topo.txt: the network as text, a line a peer in order of joining, its neighbours in order of
// linking behind it.
//
//   s1:  s2 s3
//   s2:  s1
//   s3:  s1
//
// Two spaces after the colon, then one between neighbours; nothing after the colon of a lone peer.
// An empty text is an empty network. Reading is more tolerant: any number of spaces, and a missing
// end of the last line. Pure functions; what touches the disk is in text_file.h.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "common/base/result.h"
#include "topo/tree.h"

namespace espalier::topo {

struct TopoLine {
  PeerId id;
  std::vector<PeerId> neighbours;

  bool operator==(const TopoLine&) const = default;
};

std::string format(std::span<const TopoLine> lines);

// At most limits::kMembers lines with at most limits::kMaxLinks neighbours each, no peer twice, and
// neither itself nor anybody twice among its neighbours. Errors (code `protocol`) begin with
// "line N: ". A neighbour may be missing from the file, or not link back: the ends of a link report
// it one after the other.
Result<std::vector<TopoLine>> parse(std::string_view text);

// The lines as a tree, if they are a forest in which every link stands at both ends. The first line
// of each component is its root, the number of the line the order of joining; there are no
// endpoints. Errors have the code `protocol`.
Result<Tree> toTree(std::span<const TopoLine> lines, unsigned maxLinks);

std::vector<TopoLine> toLines(const Tree& tree);

}  // namespace espalier::topo
