#include "metaserver/core/cluster/candidate_keys.h"

#include <algorithm>
#include <charconv>
#include <utility>

#include "common/base/limits.h"

namespace espalier::metaserver::cluster {

using Field = etcd::Compare::Field;

namespace {

// 1 to limits::kEpochCounter.
std::optional<std::uint32_t> numberFrom(std::string_view text) {
  std::uint32_t number = 0;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  const bool isWhole = code == std::errc{} && end == text.data() + text.size();
  if (!isWhole || number == 0 || number > limits::kEpochCounter) return std::nullopt;
  return number;
}

}  // namespace

std::string endOfPrefix(std::string prefix) {
  prefix.back() = static_cast<char>(prefix.back() + 1);
  return prefix;
}

CandidateKeys::CandidateKeys(std::string prefix, const ServerName& self, CandidateCodec codec)
    : prefix_(std::move(prefix)),
      codec_(codec),
      masterKey_(key("cluster/master")),
      heirKey_(key("cluster/heir")),
      epochKey_(key("cluster/epoch")),
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

std::optional<std::uint32_t> CandidateKeys::epochOf(etcd::Revision created) const {
  const auto* there = watched_.find(epochKey_);
  if (!there || there->modified != created) return std::nullopt;
  return numberFrom(there->value);
}

std::optional<std::uint32_t> CandidateKeys::nextEpoch() const {
  const auto* there = watched_.find(epochKey_);
  if (!there) return 1;
  const auto last = numberFrom(there->value);
  if (!last || *last == limits::kEpochCounter) return std::nullopt;
  return *last + 1;
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

etcd::Txn CandidateKeys::take(const Candidate& self, std::uint32_t epoch,
                              etcd::LeaseId lease) const {
  const auto* last = watched_.find(epochKey_);
  return {{{masterKey_, Field::created, 0},
           {ownKey_, Field::created, own()->created},
           {epochKey_, Field::modified, last ? last->modified : 0}},
          {etcd::Put{masterKey_, encoded(self), lease},
           etcd::Put{epochKey_, std::to_string(epoch), etcd::kNoLease},
           etcd::Put{key("written"), "0", etcd::kNoLease}, etcd::Remove{heirKey_}},
          {}};
}

etcd::Txn CandidateKeys::give(const std::optional<ServerName>& heir, etcd::LeaseId lease) const {
  etcd::Txn txn{{{masterKey_, Field::created, master()->created}}, {etcd::Remove{masterKey_}}, {}};
  if (heir) txn.then.push_back(etcd::Put{heirKey_, heir->text(), lease});
  return txn;
}

}  // namespace espalier::metaserver::cluster
