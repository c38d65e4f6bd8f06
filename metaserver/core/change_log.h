// Which members have changed since a copy of the registry was last brought up to date, so that the
// copy takes the changes page by page and the mutex is never held for O(members).
//
//   idle --take()--> following --more changes than are kept--> idle
//
// While idle nothing is recorded; the next take() begins with every member. While following, each
// change is recorded once, however often a member changes before it is taken.
//
// There is one copy (registry_copy.h). Does no I/O. Not thread-safe. O(1) a change.
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
    bool fromScratch = false;     // nothing that was taken before holds
    std::vector<JoinOrder> gone;  // apply these first: an order may be in the network again
    std::vector<Node> changed;    // members, new or other than before
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
  std::deque<Changed> changed_;    // a member once; those that are gone are passed over
  std::vector<JoinOrder> listed_;  // by node: as whom it stands in changed_
  std::deque<JoinOrder> gone_;
};

}  // namespace espalier::metaserver
