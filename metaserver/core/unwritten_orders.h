// Orders of joining that this metaserver may have assigned before its restart although its state
// file lacks them, because the file is a moment old. For some time after the restart a peer that
// shows such an order is accepted, each order once.
//
// They follow the orders in the file, within their prefix (cluster/epoch.h). A new master that
// opens a prefix also accepts orders below it: its replica may lack members. A metaserver that has
// lost its state accepts any order that honest metaservers may have given, because it knows none.
// During that time a malicious peer may take the order of another peer, even that of the root. Only
// signed records can prevent that.
//
// Does no I/O. Not thread-safe. O(log n). At most limits::kMembers orders are accepted. Owned by
// MemberDirectory.
#pragma once

#include <optional>
#include <set>

#include "common/base/clock.h"
#include "common/base/ids.h"

namespace espalier::metaserver {

class UnwrittenOrders {
 public:
  // `next`: the next order according to the state file; the first one means a new network.
  // `replicated`: the highest order of the replica that a new master begins with; else none.
  UnwrittenOrders(JoinOrder next, JoinOrder replicated, TimePoint now);
  // Whether a metaserver without state, whose highest known epoch is this one, believes the order.
  static bool isPlausible(JoinOrder order, const Epoch& known);
  // This metaserver continues a network of which it has no state.
  void believePlausible(const Epoch& known, TimePoint now);

  // Members may exist that this metaserver does not know.
  bool isOpen(TimePoint now) const { return now < until_; }
  bool isBelieved(JoinOrder order, TimePoint now) const;
  void taken(JoinOrder order, TimePoint now);
  void expire(TimePoint now);

 private:
  bool covers(JoinOrder order, TimePoint now) const;

  JoinOrder from_;
  JoinOrder last_;
  JoinOrder lastBelow_ = kNoOrder;  // of the prefixes below that of from_
  std::optional<Epoch> known_;      // without state: all plausible orders instead
  TimePoint until_;
  std::set<JoinOrder> taken_;
};

}  // namespace espalier::metaserver
