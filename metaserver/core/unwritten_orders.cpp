#include "metaserver/core/unwritten_orders.h"

#include <algorithm>

#include "common/base/limits.h"
#include "metaserver/core/cluster/epoch.h"

namespace espalier::metaserver {
namespace {

// The last of those that may have been given after this one, all in its prefix.
JoinOrder lastAfter(std::uint64_t order) {
  return JoinOrder{std::min(order + limits::kOrdersUnwritten, order | cluster::kRunningLast)};
}

}  // namespace

UnwrittenOrders::UnwrittenOrders(JoinOrder next, JoinOrder replicated, TimePoint now)
    : from_(next),
      last_(lastAfter(number(next) - 1)),
      // A new network has given no orders yet.
      until_(number(next) > 1 ? now + limits::kUnwrittenBelieved : TimePoint::min()) {
  if (replicated != kNoOrder) lastBelow_ = lastAfter(number(replicated));
}

bool UnwrittenOrders::isPlausible(JoinOrder order, const Epoch& known) {
  const auto [prefix, running] = cluster::partsOf(order);
  return running >= 1 && running <= limits::kMembers &&
         prefix.counter <= known.counter + limits::kCountersBelieved;
}

void UnwrittenOrders::believePlausible(const Epoch& known, TimePoint now) {
  known_ = known;
  until_ = now + limits::kUnwrittenBelieved;
}

bool UnwrittenOrders::covers(JoinOrder order, TimePoint now) const {
  if (now >= until_ || cluster::partsOf(order).running == 0) return false;
  if (known_) return isPlausible(order, *known_);
  return order <= lastBelow_ || (order >= from_ && order <= last_);
}

bool UnwrittenOrders::isBelieved(JoinOrder order, TimePoint now) const {
  return covers(order, now) && !taken_.contains(order) && taken_.size() < limits::kMembers;
}

void UnwrittenOrders::taken(JoinOrder order, TimePoint now) {
  if (covers(order, now) && taken_.size() < limits::kMembers) taken_.insert(order);
}

void UnwrittenOrders::expire(TimePoint now) {
  if (now >= until_) taken_.clear();
}

}  // namespace espalier::metaserver
