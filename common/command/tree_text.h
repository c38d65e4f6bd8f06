// The network as a tree of line characters, for `topo --tree`:
//
//   s1
//   ├── s2 ── s4 ── s6
//   └── s3 ── s5
//       ├── s7
//       └── s8
//
// The root is the peer that joined first, of each part of the network; children stand in order of
// joining. Peers with one child stand on its line, which goes on below where it is too long. Beyond
// kTreeLevelsShown branches a line is indented no further, and begins with ⋯.
//
// A pure function, without recursion: what peers report may be deep. Links of which an end is
// missing are left out; one that would close a circle is drawn from the end that is nearer the
// root. Names are escaped. O(n + links) and the length of the text.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "common/command/network_commands.h"

namespace espalier::command {

inline constexpr std::size_t kTreeLevelsShown = 16;

std::string treeText(const std::vector<NetworkPeer>& peers, std::size_t columns);

}  // namespace espalier::command
