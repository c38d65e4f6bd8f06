#include "metaserver/core/member_directory.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/limits.h"
#include "metaserver/core/cluster/epoch.h"
#include "metaserver/core/session_ids.h"

namespace espalier::metaserver {

MemberDirectory::MemberDirectory(const SeenTree& seen, wire::NetworkId network,
                                 const Orders& orders, TimePoint now)
    : seen_(seen),
      tree_(seen.tree()),
      network_(network),
      nextOrder_(std::max(orders.known, orders.first)),
      epoch_(orders.epoch),
      // Who goes on in the prefix of its replica knows what it has given.
      unwritten_(orders.known,
                 cluster::prefixOf(orders.replicated) < cluster::prefixOf(nextOrder_)
                     ? orders.replicated
                     : kNoOrder,
                 now) {}

std::optional<std::string> MemberDirectory::whyIdIsTaken(const wire::Join& join) const {
  if (const auto there = tree_.find(join.id)) {
    if (record(*there).key == join.key) return std::nullopt;
    return fmt::format("{} is in the network already, on {}", join.id.text(),
                       tree_.member(*there).endpoint.text());
  }
  if (const auto* holder = absent_.holder(join.id); holder != nullptr) {
    if (holder->key == join.key) return std::nullopt;
    return fmt::format("{} is held for the peer that was on {} and may come back", join.id.text(),
                       holder->endpoint.text());
  }
  return std::nullopt;
}

std::optional<wire::Strangers> MemberDirectory::strangersBeside(Node node, std::uint64_t number,
                                                                TimePoint now) const {
  if (number == 0 || newcomersWait(now) || unwritten_.isOpen(now)) return std::nullopt;
  wire::Strangers strangers{number, {}, {}};
  for (const auto& neighbour : seen_.reported(node).neighbours) {
    if (tree_.find(neighbour)) {
      if (!seen_.isMutual(node, neighbour)) strangers.unconfirmed.push_back(neighbour);
    } else if (!absent_.hasId(neighbour)) {
      strangers.ids.push_back(neighbour);
    }
  }
  return strangers;
}

bool MemberDirectory::returns(const wire::Join& join, bool isKnown, TimePoint now) {
  if (join.network.isZero() || join.order == kNoOrder) return false;
  if (join.network != network_) {
    const bool lostState = tree_.empty() && absent_.size() == 0 && number(nextOrder_) == 1;
    if (!lostState || !UnwrittenOrders::isPlausible(join.order, epoch_)) return false;
    network_ = join.network;
    unwritten_.believePlausible(epoch_, now);
    newcomersFrom_ = now + limits::kRejoinWait;
  }
  const bool isFree = !seen_.byOrder().contains(join.order) && !absent_.hasOrder(join.order);
  if (const auto there = tree_.find(join.id)) {
    return tree_.member(*there).order == join.order || (isKnown && isFree);
  }
  return absent_.take(join.id, join.key, join.order) ||
         ((isKnown || unwritten_.isBelieved(join.order, now)) && isFree);
}

JoinOrder MemberDirectory::giveOrder(const wire::Join& join, bool returns, TimePoint now) {
  const JoinOrder order = returns ? join.order : nextOrder_;
  if (order >= nextOrder_) goOnBehind(order);
  unwritten_.taken(order, now);
  return order;
}

// Another prefix is opened rather than raised: its own metaserver counts there.
void MemberDirectory::goOnBehind(JoinOrder order) {
  const Epoch prefix = cluster::prefixOf(order);
  std::optional<JoinOrder> next;
  if (prefix == cluster::prefixOf(nextOrder_)) {
    next = cluster::orderAfter(order, epoch_);
  } else if (const auto opened = cluster::prefixAfter(prefix, epoch_)) {
    next = cluster::orderOf({*opened, 1});
  }
  nextOrder_ = next.value_or(cluster::kNoOrderLeft);
  if (next) epoch_ = std::max(epoch_, cluster::prefixOf(*next));
}

void MemberDirectory::add(Node node, Record record) {
  if (records_.size() <= topo::number(node)) records_.resize(topo::number(node) + 1);
  record.admission = ++admissions_;
  this->record(node) = std::move(record);
}

std::vector<RoomName> MemberDirectory::roomsOf(Node node) const {
  std::vector<RoomName> rooms;
  rooms.reserve(record(node).rooms.size());
  for (const auto room : record(node).rooms) rooms.push_back(rooms_.nameOf(room));
  return rooms;
}

void MemberDirectory::setRooms(Node node, const std::vector<RoomName>& rooms) {
  std::vector<rooms::RoomNumbers::Number> numbers;
  numbers.reserve(rooms.size());
  for (const auto& room : rooms) {
    if (const auto number = rooms_.take(room)) numbers.push_back(*number);
  }
  for (const auto room : record(node).rooms) rooms_.drop(room);
  record(node).rooms = std::move(numbers);
}

void MemberDirectory::becameAbsent(Node node, TimePoint now) {
  const topo::Member& member = tree_.member(node);
  const Record& last = record(node);
  const ServerNumber home =
      last.connection == kNoConnection ? last.homeBefore : homeOf(last.connection);
  absent_.add({member.id, last.key, member.order, member.endpoint}, AbsentMembers::Why::lost, now,
              last.place.account(), true, home);
  absent_.setSession(member.order, last.session, now);
}

void MemberDirectory::expire(TimePoint now) {
  absent_.expire(now);
  unwritten_.expire(now);
}

}  // namespace espalier::metaserver
