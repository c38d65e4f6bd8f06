#include "peer/core/push_link.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "common/base/limits.h"

namespace espalier::peer {

using wire::PushEntry;
using wire::PushLedger;

namespace {

constexpr std::size_t kLedgerHeadBytes = 64;
constexpr std::size_t kEntryBytes = 64;  // without texts

// An entry's bytes in a frame, at most.
std::size_t bytesOf(const PushEntry& entry) {
  return entry.peer.id.text().size() + entry.peer.endpoint.host.size() + entry.via.text().size() +
         entry.reason.size() + kEntryBytes;
}

// Moves entries of `news` into a message, as many as fit into one frame.
std::pair<PushLedger, std::size_t> takeMessage(const OpenPush& push, LedgerIndexSet& news) {
  PushLedger message = push.message({});
  message.entries.reserve(std::min(news.size(), limits::kPushMessageBytes / kEntryBytes));
  std::size_t bytes = kLedgerHeadBytes;
  while (!news.empty()) {
    PushEntry entry = push.ledger().at(news.first())->whole();
    const std::size_t more = bytesOf(entry);
    if (bytes + more > limits::kPushMessageBytes) break;
    bytes += more;
    message.entries.push_back(std::move(entry));
    news.eraseFirst();
  }
  return {std::move(message), bytes};
}

}  // namespace

bool PushLink::wasTold(const PushId& push) const {
  const auto known = known_.find(push);
  return known != known_.end() && known->second.wasTold;
}

bool PushLink::hasAnswered(const PushId& push) const {
  const auto known = known_.find(push);
  return known != known_.end() && known->second.hasAnswered;
}

bool PushLink::setAnswered(const PushId& push) {
  Known& known = known_[push];
  return !std::exchange(known.hasAnswered, true) && known.sent > 1;
}

void PushLink::forget(const PushId& push) {
  known_.erase(push);
  postponed_.erase(push);
  named_.erase(push);
  news_.erase(push);
  std::erase_if(claims_, [&](const auto& each) { return each.first.first == push; });
}

// --- offers that wait ---

void PushLink::postpone(const PushId& push, bool late, TimePoint now) {
  postponed_.insert_or_assign(push, Postponed{late, now + limits::kPushOfferRetry});
}

void PushLink::offerSent(const PushId& push, bool late, TimePoint now) {
  Known& known = known_[push];
  known.wasTold = true;
  if (known.sent == limits::kPushOffersAgain) return;
  const Duration wait = limits::kPushOfferAgain * (1u << known.sent++);
  postponed_.insert_or_assign(push, Postponed{late, now + wait});
}

std::vector<std::pair<PushId, bool>> PushLink::takePostponed(TimePoint now) {
  std::vector<std::pair<PushId, bool>> due;
  std::erase_if(postponed_, [&](const auto& each) {
    const bool isDue = each.second.until <= now;
    if (isDue) due.emplace_back(each.first, each.second.isLate);
    return isDue;
  });
  return due;
}

// --- names ---

// All claims that are too many are tried again at the same time, because each attempt goes through
// all of them.
std::optional<TimePoint> PushLink::name(const PushId& push, TimePoint now) {
  Names& names = named_[push];
  if (behind_ == 0 || names.behind < behind_ + behind_ / 4 + limits::kPeersBehindSlack) {
    ++names.behind;
    return std::nullopt;
  }
  if (names.moved >= behind_ * limits::kLedgerMoved) return kNever;
  const double cost = 1 / static_cast<double>(behind_);
  if (now >= namesAt_ && account_.spend(limits::Rate::pushNames, now, cost)) {
    ++names.moved;
    return std::nullopt;
  }
  if (now >= namesAt_) {
    namesAt_ = std::max(now + limits::kLedgerNamesRetry,
                        account_.affordableAt(limits::Rate::pushNames, now, cost));
  }
  return namesAt_;
}

// --- claims ---

bool PushLink::hold(Claim claim, Effects& fx) {
  const std::pair key(claim.push, claim.entry.peer.id);
  const auto held = claims_.find(key);
  if (held != claims_.end() && claim.entry <= held->second.entry) return false;
  if (held == claims_.end() && claims_.size() >= limits::kClaimsHeld) {
    blame("more entries than are behind it; some are left out", fx);
    return false;
  }
  claimsAt_ = std::min(claimsAt_, claim.until);
  claims_.insert_or_assign(key, std::move(claim));
  return true;
}

template <typename Which>
std::vector<PushLink::Claim> PushLink::takeClaimsIf(const Which& which) {
  std::vector<Claim> taken;
  claimsAt_ = kNever;
  for (auto claim = claims_.begin(); claim != claims_.end();) {
    if (which(claim->second)) {
      taken.push_back(std::move(claim->second));
      claim = claims_.erase(claim);
    } else {
      claimsAt_ = std::min(claimsAt_, claim->second.until);
      ++claim;
    }
  }
  return taken;
}

std::vector<PushLink::Claim> PushLink::takeClaimsDue(TimePoint now) {
  if (now < claimsAt_) return {};
  return takeClaimsIf([&](const Claim& claim) { return claim.until <= now; });
}

std::vector<PushLink::Claim> PushLink::takeClaims(Wait wait) {
  return takeClaimsIf([&](const Claim& claim) { return claim.wait == wait; });
}

std::vector<PushLink::Claim> PushLink::takeClaimsAbout(const PeerId& peer) {
  return takeClaimsIf([&](const Claim& claim) { return claim.entry.peer.id == peer; });
}

const PushEntry* PushLink::claimAbout(const PushId& push, const PeerId& peer) const {
  const auto claim = claims_.find({push, peer});
  return claim == claims_.end() ? nullptr : &claim->second.entry;
}

// --- news ---

LedgerIndexSet& PushLink::newsOf(const PushId& push, TimePoint now) {
  if (!newsSince_) newsSince_ = now;
  return news_[push];
}

void PushLink::addNews(const PushId& push, Ledger::Index entry, TimePoint now) {
  newsOf(push, now).insert(entry);
}

void PushLink::addNews(const PushId& push, const Ledger& ledger, TimePoint now) {
  auto& news = newsOf(push, now);
  for (const auto& entry : ledger.entries()) news.insert(entry.index());
}

// Each message says the end, so no entry is needed.
void PushLink::addEnd(const PushId& push, TimePoint now) {
  newsOf(push, now);
}

TimePoint PushLink::deadline() const {
  TimePoint due = std::min(flushAt(), claimsAt_);
  for (const auto& [push, postponed] : postponed_) due = std::min(due, postponed.until);
  return due;
}

TimePoint PushLink::flushAt() const {
  if (!newsSince_) return kNever;
  const TimePoint collected = *newsSince_ + limits::kLedgerDelay;
  if (flushed_.size() < limits::kLedgerFlushes) return collected;
  return std::max(collected, flushed_.front() + limits::kLedgerWindow);
}

void PushLink::flush(ConnectionId link, const OpenPushes& pushes, TimePoint now, Effects& fx) {
  flushed_.push_back(now);
  if (flushed_.size() > limits::kLedgerFlushes) flushed_.pop_front();
  newsSince_.reset();
  std::size_t budget = limits::kLedgerFlushBytes;
  while (!news_.empty()) {
    const auto news = news_.begin();
    const auto push = pushes.find(news->first);
    if (push == pushes.end()) {
      news_.erase(news);
      continue;
    }
    auto [message, bytes] = takeMessage(push->second, news->second);
    if (news->second.empty()) news_.erase(news);
    fx.send(link, std::move(message));
    if (bytes >= budget) break;
    budget -= bytes;
  }
  if (!news_.empty()) newsSince_ = now;
}

void PushLink::blame(const std::string& what, Effects& fx) {
  if (blamed_.insert(what).second)
    fx.warn(peer_.id, fmt::format("{} sent {}", peer_.id.text(), what));
}

}  // namespace espalier::peer
