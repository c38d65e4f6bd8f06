// The members as the registry reaches them (key, connection, when heard), those that are absent,
// and the rules for who may have an id and an order of joining:
//
//   - An id that a member has, or that is held for an absent one (absent_members.h), is refused to
//     every other instance key.
//   - A Join counts as a return only if its id, key and order are those of one member, present (its
//     old connection is dead) or absent. Only then are its links believed. Any other joiner is a
//     newcomer: it gets a new order, and has no links.
//   - Orders that the state file may lack are believed for a while (unwritten_orders.h).
//   - A metaserver without any state takes up the network of the first peer that comes back. Then
//     newcomers wait for limits::kRejoinWait, so that the others come back first.
//
// Ids, orders and endpoints of members stand in the tree; a node is in the tree before add() and
// until after remove().
//
// Does no I/O. Not thread-safe. Owned by the registry. O(log n) a call.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/wire/registry.h"
#include "metaserver/core/absent_members.h"
#include "metaserver/core/seen_tree.h"
#include "metaserver/core/unwritten_orders.h"

namespace espalier::metaserver {

class MemberDirectory {
 public:
  using Node = topo::NodeIndex;

  struct Record {
    InstanceKey key;
    std::uint64_t admission = 0;  // unique: a member may come back with its node and its order
    ConnectionId connection{};
    TimePoint heard{};
    std::chrono::milliseconds heartbeat{0};  // the interval that it was told
  };

  MemberDirectory(const SeenTree& seen, wire::NetworkId network, JoinOrder nextOrder,
                  TimePoint now);

  const wire::NetworkId& network() const { return network_; }
  JoinOrder nextOrder() const { return nextOrder_; }
  bool isMember(Node node, std::uint64_t admission) const {
    return tree_.isMember(node) && record(node).admission == admission;
  }
  Record& record(Node node) { return records_[topo::number(node)]; }
  const Record& record(Node node) const { return records_[topo::number(node)]; }

  AbsentMembers& absent() { return absent_; }
  const AbsentMembers& absent() const { return absent_; }
  bool awaiting() const { return absent_.awaitedCount() > 0; }
  bool newcomersWait(TimePoint now) const { return awaiting() || now < newcomersFrom_; }
  TimePoint newcomersFrom() const { return newcomersFrom_; }

  // The sentence for a joiner that shows another key than the peer that has this id.
  std::optional<std::string> whyIdIsTaken(const wire::Join& join, TimePoint now) const;
  // Whether this joiner, whose id is free or its own, was in this network before. Then it is absent
  // no longer. It may bring the network's id to a metaserver that has lost its state.
  bool returns(const wire::Join& join, TimePoint now);
  // Its own order for a peer that returns, else the next one.
  JoinOrder giveOrder(const wire::Join& join, bool returns, TimePoint now);
  void add(Node node, Record record);
  // A member whose connection ended without a word may live on and come back as it was.
  void becameAbsent(Node node, TimePoint now);
  void remove(Node node) { record(node) = Record(); }
  void expire(TimePoint now);

 private:
  const SeenTree& seen_;
  const topo::Forest& tree_;     // of seen_
  std::vector<Record> records_;  // by node
  wire::NetworkId network_;
  JoinOrder nextOrder_;
  std::uint64_t admissions_ = 0;
  AbsentMembers absent_;
  UnwrittenOrders unwritten_;
  TimePoint newcomersFrom_ = TimePoint::min();
};

}  // namespace espalier::metaserver
