#include "peer/core/search_link.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "common/base/limits.h"
#include "common/base/text.h"

namespace espalier::peer {

SearchLink::SearchLink(const wire::Contact& peer, TimePoint now)
    : peer_(peer.id),
      order_(peer.order),
      tokens_(limits::kQueryBurst),
      refilled_(now),
      steps_(limits::kMatchStepsPerSecond),
      stepsRefilled_(now) {}

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

bool SearchLink::takeToken(TimePoint now) {
  const std::chrono::duration<double> passed = std::max(now - refilled_, Duration::zero());
  tokens_ = std::min(limits::kQueryBurst, tokens_ + passed.count() * limits::kQueriesPerSecond);
  refilled_ = std::max(refilled_, now);
  if (tokens_ < 1) return false;
  tokens_ -= 1;
  return true;
}

bool SearchLink::enqueue(const wire::Query& query, TimePoint now, Effects& fx) {
  if (queue_.size() < limits::kQueriesQueued) {
    queue_.push_back({query, now});
    return true;
  }
  if (refused_++ == 0) {
    fx.warn(escaped(peer_.text()) +
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
  fx.warn(escaped(peer_.text()) + " sends fewer searches again; " +
          counted(refused_, "was", "were") + " refused");
  refused_ = 0;
}

TimePoint SearchLink::deadline() const {
  if (queue_.empty()) return kNever;
  const auto seconds = std::max(0.0, 1 - tokens_) / limits::kQueriesPerSecond;
  // Rounded up: a tick that comes early finds no token, and is due again at once.
  return refilled_ + std::chrono::microseconds(static_cast<std::int64_t>(seconds * 1e6) + 1);
}

bool SearchLink::hasSteps(TimePoint now) {
  const std::chrono::duration<double> passed = std::max(now - stepsRefilled_, Duration::zero());
  steps_ = std::min(limits::kMatchStepsPerSecond,
                    steps_ + passed.count() * limits::kMatchStepsPerSecond);
  stepsRefilled_ = std::max(stepsRefilled_, now);
  return steps_ > 0;
}

void SearchLink::blame(const std::string& what, Effects& fx) {
  if (blamed_.insert(what).second) fx.warn(escaped(peer_.text()) + " " + what + ": ignored");
}

}  // namespace espalier::peer
