// What the registry knows of each member beside its links (key, connection, time of its last
// message), the absent members, and the rules by which ids and orders of joining are assigned:
//
//   - An id of a member, or one that is held for an absent member (absent_members.h), is refused to
//     any other instance key.
//   - A Join is a return only if its id, key and order are those of one member, present (its old
//     connection is dead) or absent. Only then its links count. Any other joiner is a newcomer: it
//     gets a new order, and has no links.
//   - Orders that the state file may lack are accepted for some time (unwritten_orders.h).
//   - A newcomer gets the next order of the prefix (cluster/epoch.h); none if all are used up. A
//     peer that returns raises the next order if its own is not below it: within the prefix, and
//     where a metaserver has lost its state, to a prefix above.
//   - A metaserver without state takes the network id of the first peer that comes back. Newcomers
//     wait for limits::kRejoinWait then, so that the other members come back first.
//
// The tree has the ids, orders and endpoints of members. A node is in the tree before add() and
// until after remove().
//
// Does no I/O. Not thread-safe. Owned by the registry. O(log n) a call.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/budget.h"
#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/wire/registry.h"
#include "metaserver/core/absent_members.h"
#include "metaserver/core/rooms/room_numbers.h"
#include "metaserver/core/seen_tree.h"
#include "metaserver/core/unwritten_orders.h"

namespace espalier::metaserver {

class MemberDirectory {
 public:
  using Node = topo::NodeIndex;

  struct Record {
    InstanceKey key;
    std::uint64_t admission = 0;   // unique: a member may come back with its node and its order
    std::uint32_t generation = 0;  // of its Join
    ConnectionId connection{};
    TimePoint heard{};
    std::chrono::milliseconds heartbeat{0};  // the interval that was sent to it
    Hold place;                              // of the address that it comes from
    AbsentMembers::Session session{};
    ServerNumber homeBefore = kNoServer;              // of who is away
    std::vector<rooms::RoomNumbers::Number> rooms{};  // of wire::DirectoryRow; set by setRooms()
    std::uint64_t roomsRevision = 0;
  };

  struct Orders {
    JoinOrder known{1};               // the next one, as far as it is known; more may be given
    JoinOrder first{1};               // newcomers get orders from there on; not below `known`
    Epoch epoch;                      // of this metaserver as the master
    JoinOrder replicated = kNoOrder;  // the highest one of the replica that it begins with
  };

  MemberDirectory(const SeenTree& seen, wire::NetworkId network, const Orders& orders,
                  TimePoint now);

  const wire::NetworkId& network() const { return network_; }
  // cluster::kNoOrderLeft if all are used up.
  JoinOrder nextOrder() const { return nextOrder_; }
  // The prefix of no order given is above it.
  const Epoch& epoch() const { return epoch_; }
  bool isOrderLeft() const { return number(nextOrder_) <= limits::kJoinOrder; }
  // Newcomers get orders from there on.
  void giveOrdersFrom(JoinOrder first) { nextOrder_ = std::max(nextOrder_, first); }
  bool isMember(Node node, std::uint64_t admission) const {
    return tree_.isMember(node) && record(node).admission == admission;
  }
  Record& record(Node node) { return records_[topo::number(node)]; }
  const Record& record(Node node) const { return records_[topo::number(node)]; }

  AbsentMembers& absent() { return absent_; }
  const AbsentMembers& absent() const { return absent_; }
  bool awaiting() const { return absent_.awaitedCount() > 0; }
  bool newcomersWait(TimePoint now) const { return awaiting() || now < newcomersFrom(); }
  TimePoint newcomersFrom() const { return std::max(newcomersFrom_, foundFrom_); }
  // Whether another metaserver may have to decide before this network has its first member.
  bool isFounding(TimePoint now) const { return now < foundFrom_; }
  void foundNotBefore(TimePoint at) { foundFrom_ = at; }
  // Which of the neighbours that a member has reported are strangers. No answer to number 0, nor
  // while members may exist that this metaserver does not know, because it was restarted.
  std::optional<wire::Strangers> strangersBeside(Node node, std::uint64_t number,
                                                 TimePoint now) const;

  // The refusal of a joiner whose key is not that of the peer with this id; none: the id is free.
  std::optional<std::string> whyIdIsTaken(const wire::Join& join) const;
  // Whether this joiner, whose id is free or its own, was in this network before. If so, it is not
  // absent any more. A metaserver that has lost its state takes the joiner's network id. `isKnown`:
  // another metaserver says that it has its order.
  bool returns(const wire::Join& join, bool isKnown, TimePoint now);
  // The order of a peer that returns; otherwise the next one, which must be left.
  JoinOrder giveOrder(const wire::Join& join, bool returns, TimePoint now);
  void add(Node node, Record record);
  // The connection of a member was lost without Quit. It may still be running and come back.
  void becameAbsent(Node node, TimePoint now);
  void remove(Node node) {
    setRooms(node, {});
    record(node) = Record();
  }
  // By name.
  std::vector<RoomName> roomsOf(Node node) const;
  void setRooms(Node node, const std::vector<RoomName>& rooms);
  void expire(TimePoint now);

 private:
  void goOnBehind(JoinOrder order);

  const SeenTree& seen_;
  const topo::Forest& tree_;     // of seen_
  std::vector<Record> records_;  // by node
  rooms::RoomNumbers rooms_;
  wire::NetworkId network_;
  JoinOrder nextOrder_;
  Epoch epoch_;
  std::uint64_t admissions_ = 0;
  AbsentMembers absent_;
  UnwrittenOrders unwritten_;
  TimePoint newcomersFrom_ = TimePoint::min();
  TimePoint foundFrom_ = TimePoint::min();
};

}  // namespace espalier::metaserver
