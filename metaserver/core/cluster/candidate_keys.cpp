#include "metaserver/core/cluster/candidate_keys.h"

#include <algorithm>
#include <utility>

#include "common/base/limits.h"

namespace espalier::metaserver::cluster {

using Field = etcd::Compare::Field;

std::string endOfPrefix(std::string prefix) {
  prefix.back() = static_cast<char>(prefix.back() + 1);
  return prefix;
}

CandidateKeys::CandidateKeys(std::string prefix, const ServerName& self, CandidateCodec codec)
    : prefix_(std::move(prefix)),
      codec_(codec),
      masterKey_(key("cluster/master")),
      heirKey_(key("cluster/heir")),
      candidatesPrefix_(key("cluster/candidates/")),
      ownKey_(candidatesPrefix_ + self.text()),
      watched_(key("cluster/"), endOfPrefix(key("cluster/"))) {}

std::vector<Candidate> CandidateKeys::all() const {
  std::vector<Candidate> all;
  for (const auto& [key, there] : watched_.keys()) {
    if (!key.starts_with(candidatesPrefix_) || there.lease == etcd::kNoLease) continue;
    auto one = codec_.decode(there.value);
    if (!one || candidatesPrefix_ + one->name.text() != key) continue;
    all.push_back(std::move(*one));
  }
  return all;
}

std::optional<ServerName> CandidateKeys::elected(ElectionRule rule, TimePoint now) {
  const auto candidates = all();
  if (const auto* heir = watched_.find(heirKey_)) {
    if (heir->created != heirSeen_) {
      heirSeen_ = heir->created;
      heirSeenAt_ = now;
    }
    for (const auto& one : candidates) {
      if (one.name.text() == heir->value && !one.drains && now < heirUntil()) return one.name;
    }
  }
  if (candidates.size() == 1 && !candidates.front().drains) return candidates.front().name;
  const Candidate* first = best(rule, candidates, std::nullopt);
  return first ? std::optional(first->name) : std::nullopt;
}

TimePoint CandidateKeys::heirUntil() const {
  return heirSeen_ == 0 ? TimePoint::min() : heirSeenAt_ + limits::kEtcdLease;
}

etcd::Txn CandidateKeys::announce(const Candidate& self, etcd::LeaseId lease) const {
  const auto* there = own();
  return {{{ownKey_, Field::created, there ? there->created : 0}},
          {etcd::Put{ownKey_, encoded(self), lease}},
          {}};
}

etcd::Txn CandidateKeys::take(const Candidate& self, etcd::LeaseId lease) const {
  return {{{masterKey_, Field::created, 0}, {ownKey_, Field::created, own()->created}},
          {etcd::Put{masterKey_, encoded(self), lease},
           etcd::Put{key("written"), "0", etcd::kNoLease}, etcd::Remove{heirKey_}},
          {}};
}

etcd::Txn CandidateKeys::give(const std::optional<ServerName>& heir, etcd::LeaseId lease) const {
  etcd::Txn txn{{{masterKey_, Field::created, master()->created}}, {etcd::Remove{masterKey_}}, {}};
  if (heir) txn.then.push_back(etcd::Put{heirKey_, heir->text(), lease});
  return txn;
}

}  // namespace espalier::metaserver::cluster
