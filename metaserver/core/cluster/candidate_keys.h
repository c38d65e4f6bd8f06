// The keys by which metaservers agree at etcd who is master, as this one knows them: the
// candidates, the heir and the master. Whom they elect, and the transactions that change them.
//
//   PREFIX cluster/candidates/NAME   a candidate; under its lease
//   PREFIX cluster/heir              the name of whom the last master handed over to; under that
//                                    master's lease
//   PREFIX cluster/master            the master as a candidate; under its lease
//   PREFIX cluster/epoch             how often the master's key was taken; written with it, by
//                                    transactions that compare its last change
//   PREFIX written                   moves with each transaction of a master (promises.h)
//
// "cluster/" is watched (watched_keys.h). Values that do not decode, and keys without a lease, are
// no candidates.
//
// An heir comes before the rule, for limits::kEtcdLease from when it is seen. A candidate that is
// alone is elected, other than with the built-in engine: here only etcd decides.
//
// Does no I/O. Not thread-safe. O(candidates) a call.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "metaserver/core/cluster/election.h"
#include "metaserver/core/cluster/etcd_messages.h"
#include "metaserver/core/cluster/watched_keys.h"

namespace espalier::metaserver::cluster {

// The values of candidates, at most limits::kEtcdValueBytes. decode() checks every field.
struct CandidateCodec {
  std::string (*encode)(const Candidate& candidate) = nullptr;
  std::optional<Candidate> (*decode)(std::string_view value) = nullptr;
};

// The least string that is greater than all with this prefix, which is ASCII and not empty.
std::string endOfPrefix(std::string prefix);

class CandidateKeys {
 public:
  CandidateKeys(std::string prefix, const ServerName& self, CandidateCodec codec);

  WatchedKeys& watched() { return watched_; }
  const WatchedKeys& watched() const { return watched_; }
  std::string key(std::string_view part) const { return prefix_ + std::string(part); }

  // --- what etcd has
  const etcd::KeyValue* master() const { return watched_.find(masterKey_); }
  // The number of the mastership that began in this revision; nothing: the key was lost, or is not
  // that of a metaserver.
  std::optional<std::uint32_t> epochOf(etcd::Revision created) const;
  // The next number; nothing: none is left, or the key is not that of a metaserver.
  std::optional<std::uint32_t> nextEpoch() const;
  // Of this metaserver's name, whose lease may be another one's.
  const etcd::KeyValue* own() const { return watched_.find(ownKey_); }
  // By name.
  std::vector<Candidate> all() const;
  std::optional<Candidate> decoded(const etcd::KeyValue& key) const {
    return codec_.decode(key.value);
  }
  std::string encoded(const Candidate& self) const { return codec_.encode(self); }
  // Who may take a vacancy.
  std::optional<ServerName> elected(ElectionRule rule, TimePoint now);
  // When an heir's time is over; may be in the past.
  TimePoint heirUntil() const;

  // --- transactions
  // Writes the own key, if it still is as it was seen.
  etcd::Txn announce(const Candidate& self, etcd::LeaseId lease) const;
  // Takes the master's key if there is none. The own key must be there.
  etcd::Txn take(const Candidate& self, std::uint32_t epoch, etcd::LeaseId lease) const;
  // Gives back the master's key, which must be there.
  etcd::Txn give(const std::optional<ServerName>& heir, etcd::LeaseId lease) const;

 private:
  std::string prefix_;
  CandidateCodec codec_;
  std::string masterKey_;
  std::string heirKey_;
  std::string epochKey_;
  std::string candidatesPrefix_;
  std::string ownKey_;
  WatchedKeys watched_;
  etcd::Revision heirSeen_ = 0;  // when the heir's key was created, and seen here first
  TimePoint heirSeenAt_ = TimePoint::min();
};

}  // namespace espalier::metaserver::cluster
