#include "peer/core/metaserver_list.h"

#include <algorithm>
#include <random>
#include <utility>

#include "common/base/limits.h"
#include "common/base/payer.h"

namespace espalier::peer {
namespace {

constexpr Duration kMeanPause = Duration(limits::kReconnectLeast + limits::kReconnectMost) / 2;

bool isDiallable(const Endpoint& at, bool isHere) {
  if (at.port == 0 || !isUnicast(at.host)) return false;
  return isHere || !Payer::machine(at.host).isLoopback();
}

Duration spread(Random& random, Duration least, Duration most) {
  std::uniform_real_distribution<double> part(0, 1);
  return least + std::chrono::duration_cast<Duration>(part(random) * (most - least));
}

}  // namespace

MetaserverList::MetaserverList(const std::vector<Endpoint>& given) {
  for (const auto& at : given) {
    if (all_.size() < limits::kMetaservers && !find(at)) all_.push_back({at, true, false});
  }
  dialled_ = all_.size() - 1;  // so the first one comes next
}

std::optional<std::size_t> MetaserverList::find(const Endpoint& at) const {
  const auto found =
      std::ranges::find_if(all_, [&](const Address& address) { return address.at == at; });
  if (found == all_.end()) return std::nullopt;
  return static_cast<std::size_t>(found - all_.begin());
}

const MetaserverList::Address& MetaserverList::next(TimePoint now) {
  forgetSent();
  // The first behind the one that was dialled last, of the best kind that there is.
  const auto rank = [&](const Address& address) {
    if (address.notBefore > now) return 2;
    return address.isTried ? 1 : 0;
  };
  std::size_t best = dialled_;
  for (std::size_t step = all_.size(); step > 0; --step) {
    const std::size_t at = (dialled_ + step) % all_.size();
    if (rank(all_[at]) <= rank(all_[best])) best = at;
  }
  dialled_ = best;
  all_[best].isTried = true;
  pay(now);
  return all_[best];
}

void MetaserverList::pay(TimePoint now) {
  const auto saved = Duration(limits::kMetaserversKnown * kMeanPause);
  paidUntil_ = std::max(paidUntil_, now - saved) + kMeanPause;
}

bool MetaserverList::maySendTo(const Endpoint& to, bool isHere, TimePoint now) const {
  const auto known = find(to);
  return isDiallable(to, isHere) && mayHasten(now) && !(known && all_[*known].notBefore > now);
}

void MetaserverList::sentTo(const Endpoint& to, TimePoint now) {
  forgetSent();
  const auto known = find(to);
  if (!known) all_.push_back({to});
  dialled_ = known.value_or(all_.size() - 1);
  all_[dialled_].isTried = true;
  pay(now);
}

void MetaserverList::forgetSent() {
  const Endpoint last = dialled().at;
  std::erase_if(all_, [&](const Address& address) {
    return !address.isGiven && !address.isTold && address.at != home_;
  });
  dialled_ = find(last).value_or(all_.size() - 1);
}

void MetaserverList::stayedHome() {
  if (home_) dialled_ = find(*home_).value_or(dialled_);
}

TimePoint MetaserverList::nextAt(TimePoint now, Random& random) {
  const bool isFirst = std::exchange(isFirstTry_, false);
  const bool hastens = all_.size() > 1 && hasUntried(now) && mayHasten(now);
  const Duration pause = !hastens  ? spread(random, limits::kReconnectLeast, limits::kReconnectMost)
                         : isFirst ? spread(random, Duration::zero(), limits::kHomeLostSpread)
                                   : Duration(limits::kReconnectLeast);
  const auto first = std::ranges::min_element(all_, {}, &Address::notBefore);
  return std::max(now + pause, first->notBefore);
}

void MetaserverList::admitted(bool wasSent) {
  // Home and target wanted that dial: it harms nobody, however often they move this peer.
  if (wasSent) paidUntil_ -= kMeanPause;
  if (home_ && home_ != all_[dialled_].at) keepFormer();
  home_ = all_[dialled_].at;
  all_[dialled_].pause = Duration::zero();
}

void MetaserverList::keepFormer() {
  former_ = home_;
  const auto told = std::ranges::count_if(all_, &Address::isTold);
  const auto at = find(*former_);
  if (!at || all_[*at].isGiven) return;
  if (static_cast<std::size_t>(told) < limits::kMetaserversTold) all_[*at].isTold = true;
}

void MetaserverList::failed(TimePoint now) {
  Address& address = all_[dialled_];
  if (address.isGiven) return;
  address.pause =
      std::clamp<Duration>(2 * address.pause, limits::kToldRetryLeast, limits::kToldRetryMost);
  address.notBefore = std::max(address.notBefore, now + address.pause);
}

void MetaserverList::isOfAnotherNetwork(TimePoint now) {
  all_[dialled_].notBefore = now + limits::kOtherNetworkRetry;
}

void MetaserverList::homeLost() {
  for (auto& address : all_) address.isTried = false;
  isFirstTry_ = true;
}

void MetaserverList::startOver() {
  for (auto& address : all_) address.isTried = !address.isGiven;
}

bool MetaserverList::hasUntried(TimePoint now) const {
  return std::ranges::any_of(
      all_, [&](const Address& address) { return !address.isTried && address.notBefore <= now; });
}

void MetaserverList::tell(const std::vector<Endpoint>& others, bool isHere) {
  std::vector<Address> before = std::exchange(all_, {});
  const Endpoint dialled = before[dialled_].at;
  const auto add = [&](Address address) {
    if (!find(address.at)) all_.push_back(std::move(address));
  };
  for (const auto& address : before) {
    if (address.isGiven) add(address);
  }
  const std::size_t most = all_.size() + limits::kMetaserversTold;
  for (const auto& at : others) {
    if (all_.size() == most || !isDiallable(at, isHere)) continue;
    const auto known =
        std::ranges::find_if(before, [&](const Address& address) { return address.at == at; });
    add(known == before.end() ? Address{at} : *known);
    all_.back().isTold = !all_.back().isGiven;
  }
  for (auto& address : before) {
    if (address.at == former_ && all_.size() < most) add(std::move(address));
  }
  // The home, which tells, and where it sends this peer now.
  for (auto& address : before) {
    if (address.at != home_ && address.at != dialled) continue;
    address.isTold = false;
    add(std::move(address));
  }
  dialled_ = *find(dialled);
}

}  // namespace espalier::peer
