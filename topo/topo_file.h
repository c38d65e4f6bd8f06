// topo.txt: the network as text, a line a peer in order of joining, with its neighbours in order of
// linking.
//
//   s1:  s2 s3
//   s2:  s1
//   s3:  s1
//
// Two spaces follow the colon, one space separates neighbours, and nothing follows the colon of a
// lone peer. An empty text is an empty network. The programs only write it: the metaserver to a
// file, both programs to the output of `topo`. Tests read it with tests/support/topo_reader.h.
//
// Pure functions. Used by the metaserver's files writer; the lines also feed dot.h.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "common/base/ids.h"

namespace espalier::topo {

struct TopoLine {
  PeerId id;
  std::vector<PeerId> neighbours;

  bool operator==(const TopoLine&) const = default;
};

std::string format(std::span<const TopoLine> lines);

}  // namespace espalier::topo
