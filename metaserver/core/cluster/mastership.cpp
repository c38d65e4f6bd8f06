#include "metaserver/core/cluster/mastership.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/limits.h"
#include "common/base/text.h"

namespace espalier::metaserver::cluster {
namespace {

constexpr Duration kForgotten = 2 * limits::kEtcdPatience;  // the shell gives up earlier

}  // namespace

Mastership::Mastership(Config config, TimePoint now)
    : config_(std::move(config)),
      keys_(config_.prefix, config_.self.name, config_.codec),
      promises_(key("cluster/master"), key("written")),
      now_(now),
      leaseAt_(now),
      grantAt_(now),
      renewAt_(now),
      candidacyAt_(now),
      takeAt_(now),
      giveAt_(now),
      promiseAt_(now) {
  config_.self.appointed = false;
}

// ------------------------------------------------------------------------------------ events

void Mastership::answered(const etcd::Answer& answer, TimePoint now, EtcdEffects& fx) {
  observe(now, fx);
  if (!keys_.watched().answered(answer, now)) {
    const auto found = pending_.find(answer.number);
    if (found == pending_.end()) return;
    const Pending pending = found->second;
    pending_.erase(found);
    answeredOwn(pending, answer, now, fx);
  }
  settle(now, fx);
}

void Mastership::tick(TimePoint now, EtcdEffects& fx) {
  observe(now, fx);
  settle(now, fx);
}

void Mastership::setPeers(std::uint32_t peers, bool drains, TimePoint now, EtcdEffects& fx) {
  observe(now, fx);
  if (drains != config_.self.drains) candidacyAt_ = now;
  config_.self.peers = peers;
  config_.self.drains = drains;
  if (drains && master_) {
    endMastership("it drains", fx);
    giveAt_ = now;
  }
  settle(now, fx);
}

void Mastership::handOver(std::optional<ServerName> heir, TimePoint now, EtcdEffects& fx) {
  observe(now, fx);
  if (master_) {
    heir_ = std::move(heir);
    endMastership(heir_ ? "it was handed over to " + heir_->text() : "it was handed over", fx);
    giveAt_ = now;
  }
  settle(now, fx);
}

void Mastership::leave(TimePoint now, EtcdEffects& fx) {
  if (hasLeft_) return;
  const etcd::LeaseId lease = lease_.id();
  endMastership("this metaserver leaves", fx);
  lease_ = Lease();
  pending_.clear();
  hasLeft_ = true;
  if (lease == etcd::kNoLease) {
    fx.events.emplace_back(Left{});
  } else {
    send(Kind::revoke, etcd::LeaseRevoke{lease}, now, fx);
  }
}

void Mastership::promise(std::uint64_t number, std::vector<etcd::Operation> operations,
                         TimePoint now, EtcdEffects& fx) {
  observe(now, fx);
  if (!isMaster(now)) {
    fx.events.emplace_back(Promised{number, PromiseOutcome::notMaster});
  } else if (!promises_.add(number, std::move(operations))) {
    fx.events.emplace_back(Promised{number, PromiseOutcome::refused});
  }
  settle(now, fx);
}

void Mastership::readPage(std::uint64_t number, std::string_view part, std::string_view after,
                          etcd::Revision at, TimePoint now, EtcdEffects& fx) {
  observe(now, fx);
  const std::string first = key(part);
  if (hasLeft_ || pending(Kind::page) >= limits::kEtcdPages || part.empty()) {
    fx.events.emplace_back(
        PageRead{number, Error{ErrorCode::unavailable, "too many reads of etcd"}});
  } else {
    // The least key behind `after`.
    std::string from = after.empty() ? first : std::string(after) + '\0';
    send(Kind::page, etcd::Range{std::move(from), endOfPrefix(first), at, limits::kEtcdPageKeys},
         now, fx, number);
  }
  settle(now, fx);
}

// ------------------------------------------------------------------------------------ answers

void Mastership::answeredOwn(const Pending& pending, const etcd::Answer& answer, TimePoint now,
                             EtcdEffects& fx) {
  if (const auto* bad = std::get_if<etcd::Failed>(&answer.what)) {
    failed(pending, bad->why, now, fx);
    return;
  }
  if (pending.kind == Kind::revoke) {
    if (hasLeft_) fx.events.emplace_back(Left{});
  } else if (const auto* granted = std::get_if<etcd::Granted>(&answer.what)) {
    lease_ = Lease(granted->lease, pending.sentAt, granted->ttl);
    leaseAt_ = now;
    renewAt_ = pending.sentAt + limits::kEtcdRenewal;
    keys_.watched().readSoon(now);
    failure_.clear();
    if (!lease_.lives(now)) dropLease("etcd answered too late", now, fx);
  } else if (const auto* renewed = std::get_if<etcd::Renewed>(&answer.what)) {
    if (renewed->ttl.count() > 0) {
      lease_.renewed(pending.sentAt, renewed->ttl);
      failure_.clear();
    } else {
      dropLease("etcd has ended the lease", now, fx);
    }
  } else if (const auto* ranged = std::get_if<etcd::Ranged>(&answer.what)) {
    if (pending.kind == Kind::page) fx.events.emplace_back(PageRead{pending.page, *ranged});
  } else if (const auto* done = std::get_if<etcd::TxnDone>(&answer.what)) {
    if (pending.kind == Kind::take && done->succeeded) {
      won(done->revision, taken_, fx);
    } else if (pending.kind == Kind::promise) {
      std::vector<Promised> outcomes;
      const bool isOurs = promises_.done(*done, outcomes);
      for (const auto& one : outcomes) fx.events.emplace_back(one);
      promiseFailure_.clear();
      if (!isOurs) endMastership("etcd does not have it as the master any more", fx);
    } else if (!done->succeeded) {
      keys_.watched().readSoon(now);
    }
  }
}

void Mastership::failed(const Pending& pending, const std::string& why, TimePoint now,
                        EtcdEffects& fx) {
  const TimePoint again = now + limits::kEtcdRetry;
  failure_ = why;
  switch (pending.kind) {
    case Kind::grant:
      grantAt_ = again;
      break;
    case Kind::renewal:
      renewAt_ = std::min(renewAt_, again);
      break;
    case Kind::candidacy:
      candidacyAt_ = again;
      keys_.watched().readSoon(now);
      break;
    case Kind::take:
      takeAt_ = again;
      keys_.watched().readSoon(now);
      break;
    case Kind::give:
      giveAt_ = again;
      keys_.watched().readSoon(now);
      break;
    case Kind::promise:
      promiseAt_ = again;
      promiseFailure_ = why;
      promises_.failed();
      break;
    case Kind::page:
      fx.events.emplace_back(PageRead{pending.page, Error{ErrorCode::unavailable, why}});
      break;
    case Kind::revoke:
      if (hasLeft_) fx.events.emplace_back(Left{});
      break;
  }
}

// ------------------------------------------------------------------------------------ state

// Nothing else may happen before: this process may have stood still.
void Mastership::observe(TimePoint now, EtcdEffects& fx) {
  now_ = now;
  if (lease_.id() != etcd::kNoLease && !lease_.lives(now)) {
    dropLease("its lease was not renewed in time" + (failure_.empty() ? "" : ": " + failure_), now,
              fx);
  }
  for (auto one = pending_.begin(); one != pending_.end();) {
    if (now - one->second.sentAt < kForgotten) {
      ++one;
      continue;
    }
    const Pending pending = one->second;
    one = pending_.erase(one);
    failed(pending, "etcd does not answer", now, fx);
  }
}

void Mastership::dropLease(std::string why, TimePoint now, EtcdEffects& fx) {
  endMastership(std::move(why), fx);
  heir_.reset();
  std::erase_if(pending_, [](const auto& one) {
    const Kind kind = one.second.kind;
    return kind != Kind::page && kind != Kind::revoke && kind != Kind::grant;
  });
  const etcd::LeaseId lease = lease_.id();
  lease_ = Lease();
  grantAt_ = now;
  send(Kind::revoke, etcd::LeaseRevoke{lease}, now, fx);
}

void Mastership::endMastership(std::string why, EtcdEffects& fx) {
  if (!master_) return;
  given_ = std::max(given_, master_);
  std::vector<Promised> outcomes;
  promises_.end(outcomes);
  std::erase_if(pending_, [](const auto& one) { return one.second.kind == Kind::promise; });
  fx.events.emplace_back(Lost{epoch_, std::move(why)});
  master_ = 0;
  promiseFailure_.clear();
  for (const auto& one : outcomes) fx.events.emplace_back(one);
}

void Mastership::won(etcd::Revision created, std::optional<std::uint32_t> number, EtcdEffects& fx) {
  if (created <= given_ || master_ == created) return;
  if (!number || config_.self.drains) {
    given_ = created;  // it is given back as soon as it is seen
    return;
  }
  master_ = created;
  epoch_ = Epoch{*number, kNoServer};
  promises_.begin(created);
  fx.events.emplace_back(Won{epoch_});
}

void Mastership::send(Kind kind, decltype(etcd::Request::what) what, TimePoint now, EtcdEffects& fx,
                      std::uint64_t page) {
  const std::uint64_t number = numbers_.next();
  pending_.emplace(number, Pending{kind, now, page});
  fx.requests.push_back({number, std::move(what)});
}

std::size_t Mastership::pending(Kind kind) const {
  return static_cast<std::size_t>(
      std::count_if(pending_.begin(), pending_.end(),
                    [kind](const auto& one) { return one.second.kind == kind; }));
}

bool Mastership::isPending(Kind kind) const {
  return pending(kind) > 0;
}

// Decides from the state what is to be sent: no event needs to know what the others left to do.
void Mastership::settle(TimePoint now, EtcdEffects& fx) {
  if (hasLeft_) return;
  settleLease(now, fx);
  keys_.watched().tick(now, numbers_, fx.requests);
  if (lease_.lives(now)) {
    settleCandidacy(now, fx);
    settleMastership(now, fx);
    settlePromises(now, fx);
  }
  settleSeen(now, fx);
}

void Mastership::settleLease(TimePoint now, EtcdEffects& fx) {
  if (lease_.id() == etcd::kNoLease) {
    if (now < grantAt_ || isPending(Kind::grant)) return;
    send(Kind::grant, etcd::LeaseGrant{limits::kEtcdLease}, now, fx);
  } else if (now >= renewAt_ && pending(Kind::renewal) < limits::kEtcdRenewals) {
    renewAt_ = now + limits::kEtcdRenewal;
    send(Kind::renewal, etcd::LeaseKeepAlive{lease_.id()}, now, fx);
  }
}

void Mastership::settleCandidacy(TimePoint now, EtcdEffects& fx) {
  if (now < candidacyAt_ || isPending(Kind::candidacy)) return;
  if (!keys_.watched().readAt() || *keys_.watched().readAt() < leaseAt_) return;
  const auto* there = keys_.own();
  if (there && there->lease != lease_.id()) return;  // another's, or that of this one's last run
  if (there && there->value == keys_.encoded(config_.self)) return;
  candidacyAt_ = now + limits::kEtcdRenewal;
  send(Kind::candidacy, keys_.announce(config_.self, lease_.id()), now, fx);
}

void Mastership::settleMastership(TimePoint now, EtcdEffects& fx) {
  if (keys_.watched().revision() == 0) return;
  const auto* there = keys_.master();
  const bool isOurs = there && there->lease == lease_.id();
  if (master_) {
    const bool isKnown = keys_.watched().revision() >= master_;
    if (isKnown && !(isOurs && there->created == master_)) {
      endMastership("etcd does not have it as the master any more", fx);
    }
  }
  if (master_) return;
  if (isOurs) {
    won(there->created, keys_.epochOf(there->created), fx);
    if (!master_) give(now, fx);
  } else if (!there && keys_.watched().revision() >= given_ && isElected(now)) {
    take(now, fx);
  }
}

bool Mastership::isElected(TimePoint now) {
  const auto* own = keys_.own();
  const bool isCandidate = own && own->lease == lease_.id() && !config_.self.drains;
  return isCandidate && keys_.nextEpoch() && keys_.elected(config_.rule, now) == config_.self.name;
}

void Mastership::take(TimePoint now, EtcdEffects& fx) {
  if (now < takeAt_ || isPending(Kind::take)) return;
  takeAt_ = now + limits::kEtcdRetry;
  taken_ = *keys_.nextEpoch();
  send(Kind::take, keys_.take(config_.self, taken_, lease_.id()), now, fx);
}

void Mastership::give(TimePoint now, EtcdEffects& fx) {
  if (now < giveAt_ || isPending(Kind::give)) return;
  giveAt_ = now + limits::kEtcdRetry;
  send(Kind::give, keys_.give(heir_, lease_.id()), now, fx);
}

void Mastership::settlePromises(TimePoint now, EtcdEffects& fx) {
  if (!master_ || now < promiseAt_) return;
  if (auto txn = promises_.next()) send(Kind::promise, std::move(*txn), now, fx);
}

// The own mastership is known before it is seen, and its end, too.
void Mastership::settleSeen(TimePoint now, EtcdEffects& fx) {
  const auto* there = keys_.master();
  if (there && there->created <= given_) there = nullptr;
  const etcd::Revision created = master_ ? master_ : there ? there->created : 0;
  if (created != seenAt_) {
    seenAt_ = created;
    seen_ = master_ ? std::optional(config_.self) : there ? keys_.decoded(*there) : std::nullopt;
    const auto number = keys_.epochOf(created);
    const Epoch epoch = master_ ? epoch_ : number ? Epoch{*number, kNoServer} : Epoch();
    fx.events.emplace_back(MasterSeen{seen_, epoch});
  }
  std::string trouble = troubleNow(now);
  if (trouble == trouble_) return;
  trouble_ = std::move(trouble);
  fx.events.emplace_back(TroubleChanged{trouble_});
}

std::string Mastership::troubleNow(TimePoint now) const {
  if (keys_.watched().revision() != 0 && !keys_.nextEpoch()) {
    return fmt::format("the key {} is not that of a metaserver, or at its end, {}",
                       escaped(key("cluster/epoch")), limits::kEpochCounter);
  }
  if (!lease_.lives(now)) return failure_.empty() ? keys_.watched().failure() : failure_;
  if (!keys_.watched().failure().empty()) return keys_.watched().failure();
  const auto* there = keys_.own();
  if (there && there->lease != lease_.id()) {
    const auto other = keys_.decoded(*there);
    // The key of this one's own last run goes with its lease.
    if (other && other->number != config_.self.number) {
      return fmt::format("the name {} is that of the metaserver at {}", config_.self.name.text(),
                         escaped(other->address.text()));
    }
  }
  return promiseFailure_;
}

TimePoint Mastership::deadline() const {
  if (hasLeft_) return pending_.empty() ? kNever : pending_.begin()->second.sentAt + kForgotten;
  TimePoint at = keys_.watched().deadline();
  for (const auto& [number, one] : pending_) at = std::min(at, one.sentAt + kForgotten);
  if (lease_.id() == etcd::kNoLease) return isPending(Kind::grant) ? at : std::min(at, grantAt_);
  at = std::min(at, lease_.until());
  if (pending(Kind::renewal) < limits::kEtcdRenewals) at = std::min(at, renewAt_);
  // What was put off. Where it is not wanted any more, tick() finds nothing to do.
  for (const TimePoint due : {candidacyAt_, takeAt_, giveAt_, promiseAt_, keys_.heirUntil()}) {
    if (due > now_) at = std::min(at, due);
  }
  return at;
}

}  // namespace espalier::metaserver::cluster
