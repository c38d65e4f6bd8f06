#include "peer/core/search_link.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/base/limits.h"
#include "common/base/text.h"

namespace espalier::peer {

SearchLink::SearchLink(const TreeLink& link, TimePoint now)
    : peer_(link.peer.id),
      order_(link.peer.order),
      account_(link.account),
      steps_(limits::kMatchStepsPerSecond),
      stepsRefilled_(now),
      outbox_(link.account) {}

void SearchLink::setBehind(std::uint64_t count) {
  const auto before = peers();
  behind_ = std::min(count, limits::kMembers);
  if (peers() > before) arrived_ += peers() - before;
}

// At most limits::kMembers and a quarter, so multiplying it does not wrap.
std::uint64_t SearchLink::speakers() const {
  const auto known = peers();
  return known + known / 4 + limits::kPeersBehindSlack;
}

std::uint64_t SearchLink::names() const {
  return limits::kNamesPerPeer * speakers();
}

std::uint32_t SearchLink::meter(const wire::Query& query, TimePoint now) {
  meter_.count(now);
  const std::uint64_t rate = meter_.perSecond(now);
  // Without a load (an older version) the average; else a quarter of it, so that whoever sends less
  // than its neighbours keeps the smaller load that they told.
  const std::uint64_t least = peers() == 1 ? rate : rate / (query.load == 0 ? 1 : 4) / peers();
  return std::max({query.load, static_cast<std::uint32_t>(least), 1u});
}

bool SearchLink::takeToken(TimePoint now) {
  if (account_.spend(limits::Rate::queries, now)) return true;
  nextToken_ = account_.affordableAt(limits::Rate::queries, now);
  return false;
}

bool SearchLink::enqueue(const wire::Query& query, TimePoint now, Effects& fx) {
  if (queue_.size() < limits::kQueriesQueued) {
    queue_.push_back({query, now});
    return true;
  }
  if (refused_++ == 0) {
    fx.warn(peer_, escaped(peer_.text()) +
                       " sends more searches than this peer answers: some are refused");
  }
  return false;
}

std::optional<QueuedQuery> SearchLink::nextServed(TimePoint now) {
  if (queue_.empty() || !takeToken(now)) return std::nullopt;
  auto next = std::move(queue_.front());
  queue_.pop_front();
  return next;
}

void SearchLink::tellRefusals(Effects& fx) {
  if (!queue_.empty() || refused_ == 0) return;
  fx.warn(peer_, escaped(peer_.text()) + " sends fewer searches again; " +
                     counted(std::exchange(refused_, 0), "was", "were") + " refused");
}

TimePoint SearchLink::deadline() const {
  return queue_.empty() ? outbox_.deadline() : std::min(nextToken_, outbox_.deadline());
}

bool SearchLink::hasSteps(TimePoint now) {
  const std::chrono::duration<double> passed = std::max(now - stepsRefilled_, Duration::zero());
  steps_ = std::min(limits::kMatchStepsPerSecond,
                    steps_ + passed.count() * limits::kMatchStepsPerSecond);
  stepsRefilled_ = std::max(stepsRefilled_, now);
  return steps_ > 0;
}

void SearchLink::blame(const std::string& what, Effects& fx) {
  if (blamed_.insert(what).second) fx.warn(peer_, escaped(peer_.text()) + " " + what + ": ignored");
}

}  // namespace espalier::peer
