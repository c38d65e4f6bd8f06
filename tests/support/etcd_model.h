// A small model of etcd for tests: keys, leases and transactions at one point, without time of its
// own. Linearizable, as a healthy etcd is. Watches are the caller's: changes() is the whole
// history.
//
// Not thread-safe. O(keys) a call.
#pragma once

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "metaserver/core/cluster/etcd_messages.h"

namespace espalier::metaserver::cluster::etcd {

class Model {
 public:
  // `now` is etcd's clock, which never goes back.
  auto apply(const Request& request, TimePoint now) -> decltype(Answer::what) {
    expire(now);
    return std::visit([&](const auto& what) { return run(what, now); }, request.what);
  }
  void expire(TimePoint now) {
    std::vector<LeaseId> ended;
    for (const auto& [id, lease] : leases_) {
      if (lease.until <= now) ended.push_back(id);
    }
    for (const LeaseId id : ended) end(id);
  }
  // A new leader gives every lease its whole time again.
  void elect(TimePoint now) {
    for (auto& [id, lease] : leases_) lease.until = now + lease.ttl;
  }
  // As a leader that had stalled may do.
  void endLeases() {
    while (!leases_.empty()) end(leases_.begin()->first);
  }
  TimePoint nextExpiry() const {
    TimePoint next = kNever;
    for (const auto& [id, lease] : leases_) next = std::min(next, lease.until);
    return next;
  }

  Revision revision() const { return revision_; }
  void setRevision(Revision revision) { revision_ = revision; }
  const std::map<std::string, KeyValue>& keys() const { return keys_; }
  const std::vector<Change>& changes() const { return changes_; }

 private:
  struct Lease {
    Duration ttl{};
    TimePoint until;
  };

  static bool isIn(const std::string& key, const std::string& first, const std::string& end) {
    return end.empty() ? key == first : first <= key && key < end;
  }

  decltype(Answer::what) run(const LeaseGrant& what, TimePoint now) {
    const LeaseId id{++lastLease_};
    leases_[id] = {what.ttl, now + what.ttl};
    return Granted{id, what.ttl};
  }
  decltype(Answer::what) run(const LeaseKeepAlive& what, TimePoint now) {
    const auto found = leases_.find(what.lease);
    if (found == leases_.end()) return Renewed{};
    found->second.until = now + found->second.ttl;
    return Renewed{std::chrono::duration_cast<std::chrono::seconds>(found->second.ttl)};
  }
  decltype(Answer::what) run(const LeaseRevoke& what, TimePoint /*now*/) {
    if (!leases_.contains(what.lease)) return Failed{"requested lease not found"};
    end(what.lease);
    return Revoked{};
  }
  decltype(Answer::what) run(const Range& what, TimePoint /*now*/) {
    Ranged ranged{revision_, {}, false};
    for (const auto& [key, there] : keys_) {
      if (!isIn(key, what.key, what.end)) continue;
      if (what.most != 0 && ranged.keys.size() == what.most) {
        ranged.more = true;
        break;
      }
      ranged.keys.push_back(there);
    }
    return ranged;
  }
  decltype(Answer::what) run(const Txn& what, TimePoint now) {
    for (const auto& one : what.compares) {
      const auto found = keys_.find(one.key);
      Revision is = 0;
      if (found != keys_.end()) {
        is = one.field == Compare::Field::created ? found->second.created : found->second.modified;
      }
      if (is == one.is) continue;
      TxnDone done{false, revision_, {}};
      for (const auto& range : what.otherwise) {
        auto ranged = std::get<Ranged>(run(range, now));
        for (auto& there : ranged.keys) done.otherwise.push_back(std::move(there));
      }
      return done;
    }
    for (const auto& one : what.then) {
      const auto* put = std::get_if<Put>(&one);
      if (put && put->lease != kNoLease && !leases_.contains(put->lease)) {
        return Failed{"requested lease not found"};
      }
    }
    ++revision_;
    for (const auto& one : what.then) {
      if (const auto* put = std::get_if<Put>(&one)) {
        change(*put);
      } else {
        remove(std::get<Remove>(one).key);
      }
    }
    return TxnDone{true, revision_, {}};
  }
  decltype(Answer::what) run(const Watch& /*what*/, TimePoint /*now*/) { return Failed{"a watch"}; }

  void change(const Put& put) {
    auto& there = keys_[put.key];
    if (there.created == 0) there.created = revision_;
    there.key = put.key;
    there.value = put.value;
    there.modified = revision_;
    there.lease = put.lease;
    changes_.push_back({there, false});
  }
  void remove(const std::string& key) {
    if (keys_.erase(key) == 0) return;
    changes_.push_back({{key, "", 0, revision_, kNoLease}, true});
  }
  void end(LeaseId id) {
    leases_.erase(id);
    ++revision_;
    std::vector<std::string> gone;
    for (const auto& [key, there] : keys_) {
      if (there.lease == id) gone.push_back(key);
    }
    for (const auto& key : gone) remove(key);
  }

  std::map<std::string, KeyValue> keys_;
  std::map<LeaseId, Lease> leases_;
  std::vector<Change> changes_;  // by revision
  Revision revision_ = 1;
  std::int64_t lastLease_ = 0;
};

}  // namespace espalier::metaserver::cluster::etcd
