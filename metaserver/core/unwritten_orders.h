// Orders of joining that this metaserver may have assigned before its restart although its state
// file lacks them, because the file is a moment old. For some time after the restart a peer that
// shows such an order is accepted, each order once.
//
// They follow the orders in the file. A metaserver that has lost its state accepts any order,
// because it knows none. During that time a malicious peer may take the order of another peer, even
// that of the root. Only signed records can prevent that.
//
// Does no I/O. Not thread-safe. O(log n). Owned by MemberDirectory.
#pragma once

#include <set>

#include "common/base/clock.h"
#include "common/base/ids.h"

namespace espalier::metaserver {

class UnwrittenOrders {
 public:
  // `next`: the next order according to the state file; the first one means a new network.
  UnwrittenOrders(JoinOrder next, TimePoint now);
  // This metaserver continues a network of which it has no state.
  void believeAny(TimePoint now);

  // Members may exist that this metaserver does not know.
  bool isOpen(TimePoint now) const { return now < until_; }
  bool isBelieved(JoinOrder order, TimePoint now) const;
  void taken(JoinOrder order, TimePoint now);
  void expire(TimePoint now);

 private:
  bool covers(JoinOrder order, TimePoint now) const;

  JoinOrder from_;
  JoinOrder end_;
  TimePoint until_;
  std::set<JoinOrder> taken_;
};

}  // namespace espalier::metaserver
