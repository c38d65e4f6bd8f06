// The links of a peer's tree, as its components are told of them: Tree gathers the changes of a
// step, Membership passes them on, Peer tells its components (component.h).
#pragma once

#include <vector>

#include "common/base/ids.h"
#include "common/wire/contact.h"

namespace espalier::peer {

// A link that both ends have agreed on.
struct TreeLink {
  ConnectionId connection;
  wire::Contact peer;  // at the other end
};

// The links that came up and went down, each in order. One that came and went is in both.
struct LinkChanges {
  std::vector<TreeLink> up;
  std::vector<TreeLink> down;

  bool empty() const { return up.empty() && down.empty(); }
};

}  // namespace espalier::peer
