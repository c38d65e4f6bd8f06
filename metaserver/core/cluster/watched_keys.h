// The keys of one range at etcd, as this metaserver knows them: read, then watched from the next
// revision on.
//
//   unread --Ranged--> read --Watched--> read (newer)
//     ^                 |
//     +-----------------+-- WatchEnded; every limits::kEtcdReadAgain, in case the watch is dead
//
// A read that shows something that the watch has not told begins a new watch: the old one may hang
// at an etcd that does not answer any more. A compaction and a broken connection end a watch, so
// they are the same case. Nothing goes back in time: older answers and changes are skipped (etcd
// 3.4 may repeat changes after a partition).
//
// Invariant: keys() is the range at revision(), or a part of the changes up to the newest one.
//
// Does no I/O. Not thread-safe. O(limits::kEtcdKeysWatched) an event: a range with more keys is
// cut, those beyond are not known.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "metaserver/core/cluster/etcd_messages.h"

namespace espalier::metaserver::cluster {

// Counts the requests of one metaserver.
class EtcdNumbers {
 public:
  std::uint64_t next() { return ++last_; }

 private:
  std::uint64_t last_ = 0;
};

class WatchedKeys {
 public:
  WatchedKeys(std::string key, std::string end) : key_(std::move(key)), end_(std::move(end)) {}

  // Appends what is due.
  void tick(TimePoint now, EtcdNumbers& numbers, std::vector<etcd::Request>& out);
  TimePoint deadline() const;
  // False: the answer is for somebody else.
  bool answered(const etcd::Answer& answer, TimePoint now);
  // Reads at the next tick().
  void readSoon(TimePoint now);

  const etcd::KeyValue* find(const std::string& key) const;
  const std::map<std::string, etcd::KeyValue>& keys() const { return keys_; }
  etcd::Revision revision() const { return revision_; }  // 0: never read
  // When the latest read that was answered was sent: keys() is not older than that.
  std::optional<TimePoint> readAt() const { return readAt_; }
  // Why the latest read or watch failed; empty once a read has succeeded.
  const std::string& failure() const { return failure_; }

 private:
  struct Reading {
    std::uint64_t number = 0;
    TimePoint sentAt;
  };

  void read(const etcd::Ranged& ranged);
  void learn(const etcd::Watched& watched);

  std::string key_;
  std::string end_;
  std::map<std::string, etcd::KeyValue> keys_;
  etcd::Revision revision_ = 0;
  std::optional<TimePoint> readAt_;
  std::optional<Reading> reading_;
  std::uint64_t watch_ = 0;  // the number of the watch; 0: none
  bool wantsWatch_ = false;
  TimePoint nextRead_ = TimePoint::min();
  std::string failure_;
};

}  // namespace espalier::metaserver::cluster
