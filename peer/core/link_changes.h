// The changes of the links of a peer's tree in one step. Tree collects them, Membership passes them
// on, and Peer reports them to its components (component.h). Plain values.
#pragma once

#include <vector>

#include "common/base/budget.h"
#include "common/base/ids.h"
#include "common/wire/contact.h"

namespace espalier::peer {

// A link that both ends have agreed on.
struct TreeLink {
  ConnectionId connection;
  wire::Contact peer;    // at the other end
  Account account = {};  // pays for what comes over the link; of no budget: nothing is bounded
};

// The links that came up and went down, each in order. A link that did both in one step is in both.
struct LinkChanges {
  std::vector<TreeLink> up;
  std::vector<TreeLink> down;

  bool empty() const { return up.empty() && down.empty(); }
};

}  // namespace espalier::peer
