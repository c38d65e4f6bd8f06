// Orders of joining that this metaserver gave before its restart although its state file lacks
// them: the file is a moment old. A peer that shows such an order is believed, for some time after
// the restart, each order once.
//
// They follow the orders that the file has. A metaserver that has lost its state believes any
// order, because it knows none. Within that time a liar may take the order of another peer, even
// that of the root. Only signed records can prevent that.
//
// Does no I/O. Not thread-safe. O(log n).
#pragma once

#include <set>

#include "common/base/clock.h"
#include "common/base/ids.h"

namespace espalier::metaserver {

class UnwrittenOrders {
 public:
  // `next`: the next order according to the state file; the first one means a new network.
  UnwrittenOrders(JoinOrder next, TimePoint now);
  // This metaserver takes up a network of which it has no state.
  void believeAny(TimePoint now);

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
