#include "metaserver/core/unwritten_orders.h"

#include "common/base/limits.h"

namespace espalier::metaserver {

UnwrittenOrders::UnwrittenOrders(JoinOrder next, TimePoint now)
    : from_(next),
      end_{number(next) + limits::kOrdersUnwritten},
      // A new network has given no orders yet.
      until_(number(next) > 1 ? now + limits::kUnwrittenBelieved : TimePoint::min()) {}

void UnwrittenOrders::believeAny(TimePoint now) {
  from_ = JoinOrder{1};
  end_ = JoinOrder{limits::kMembers + 1};
  until_ = now + limits::kUnwrittenBelieved;
}

bool UnwrittenOrders::covers(JoinOrder order, TimePoint now) const {
  return now < until_ && order >= from_ && order < end_;
}

bool UnwrittenOrders::isBelieved(JoinOrder order, TimePoint now) const {
  return covers(order, now) && !taken_.contains(order);
}

void UnwrittenOrders::taken(JoinOrder order, TimePoint now) {
  if (covers(order, now)) taken_.insert(order);
}

void UnwrittenOrders::expire(TimePoint now) {
  if (now >= until_) taken_.clear();
}

}  // namespace espalier::metaserver
