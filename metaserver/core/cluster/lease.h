// A lease of this metaserver at etcd: until when it certainly lives.
//
//   none --granted()--> usable --until() passes--> none (the owner drops it)
//                        ^  |
//                        +--+ renewed()
//
// etcd counts a lease from when it has the grant or the renewal. This process only knows when it
// sent the request, which is earlier, so it counts from there: an answer that arrives late makes
// the lease no longer. limits::kEtcdLeaseMargin is left out, because the clocks run differently.
// Only the local monotonic clock is asked. It stands still while a whole machine is suspended: then
// nothing but the comparison in each transaction (promises.h) keeps an older master from writing.
//
// Pure values, O(1).
#pragma once

#include <algorithm>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "metaserver/core/cluster/etcd_messages.h"

namespace espalier::metaserver::cluster {

class Lease {
 public:
  Lease() = default;
  Lease(etcd::LeaseId id, TimePoint sentAt, std::chrono::seconds ttl) : id_(id) {
    renewed(sentAt, ttl);
  }

  // The renewal that was sent at `sentAt` was answered. Answers may come in any order.
  void renewed(TimePoint sentAt, std::chrono::seconds ttl) {
    const Duration counted =
        std::min<Duration>(ttl, limits::kEtcdLease) - Duration(limits::kEtcdLeaseMargin);
    until_ = std::max(until_, sentAt + counted);
  }

  etcd::LeaseId id() const { return id_; }
  TimePoint until() const { return until_; }
  bool lives(TimePoint now) const { return id_ != etcd::kNoLease && now < until_; }

 private:
  etcd::LeaseId id_ = etcd::kNoLease;
  TimePoint until_ = TimePoint::min();
};

}  // namespace espalier::metaserver::cluster
