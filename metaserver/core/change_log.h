// Which members have changed since the last update of the registry's copy (registry_copy.h). The
// copy takes the changes page by page, so that the mutex is never held for O(members).
//
//   idle --take()--> following --more changes than are kept--> idle
//
// While idle nothing is recorded; the next take() begins with every member. While following, each
// change is recorded once, however often a member changes before it is taken.
//
// There is one copy. Does no I/O. Not thread-safe. O(1) a change. Owned by SeenTree.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <vector>

#include "common/base/ids.h"
#include "topo/node_index.h"

namespace espalier::metaserver {

class ChangeLog {
 public:
  using Node = topo::NodeIndex;

  struct Page {
    bool fromScratch = false;     // drop everything that was taken before
    std::vector<JoinOrder> gone;  // apply these first: an order may have come back
    std::vector<Node> changed;    // members that are new or have changed
    bool more = false;
  };

  void changed(Node node, JoinOrder order);
  void gone(Node node, JoinOrder order);
  // At most `most` changes. `members` are all of them. O(most), or O(members) while idle.
  Page take(std::size_t most, const std::map<JoinOrder, Node>& members);

 private:
  struct Changed {
    Node node;
    JoinOrder order;
  };

  void list(Node node, JoinOrder order);
  void stopIfTooMany();

  bool following_ = false;
  std::deque<Changed> changed_;    // each member once; removed ones are skipped
  std::vector<JoinOrder> listed_;  // by node: its order in changed_
  std::deque<JoinOrder> gone_;
};

}  // namespace espalier::metaserver
