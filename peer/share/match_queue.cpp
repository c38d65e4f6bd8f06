#include "peer/share/match_queue.h"

#include <iterator>
#include <utility>

#include "peer/core/query_meter.h"

namespace espalier::share {

bool Matching::advance(TimePoint until) {
  if (!pattern) {
    auto compiled = peer::Pattern::compile(job.kind, job.text);
    if (!compiled || !snapshot) return true;
    pattern = std::move(*compiled);
  }
  const auto& entries = snapshot->entries();
  while (next < entries.size()) {
    const auto& entry = entries[next++];
    if (pattern->matches(entry->name, entry->root)) {
      if (hits.size() < job.limit) {
        hits.push_back({entry->name, entry->stat.sizeBytes, entry->root});
      } else {
        ++more;
      }
    }
    if (until != kNever && Clock::now() >= until) return next == entries.size();
  }
  return true;
}

std::optional<Matching> MatchQueue::take(TimePoint now) {
  auto next = first_.take(now);
  return next ? std::move(next) : further_.take(now);
}

void MatchQueue::Round::push(Matching matching) {
  const Source source = matching.job.source;
  auto& lanes = waiting_[source];
  if (lanes.empty()) turns_.push_back(source);
  lanes[peer::QueryMeter::classOf(matching.job.load)].push_back(std::move(matching));
  std::size_t count = 0;
  for (const auto& [load, searches] : lanes) count += searches.size();
  if (count <= most_) return;
  const auto heaviest = std::prev(lanes.end());
  heaviest->second.pop_front();
  if (heaviest->second.empty()) lanes.erase(heaviest);
}

std::optional<Matching> MatchQueue::Round::take(TimePoint now) {
  while (!turns_.empty()) {
    const Source source = turns_.front();
    turns_.pop_front();
    auto& lanes = waiting_.at(source);
    std::optional<Matching> next;
    while (!lanes.empty() && !next) {
      auto& searches = lanes.begin()->second;
      if (searches.front().job.until > now) next = std::move(searches.front());
      searches.pop_front();
      if (searches.empty()) lanes.erase(lanes.begin());
    }
    if (lanes.empty()) {
      waiting_.erase(source);
    } else {
      turns_.push_back(source);
    }
    if (next) return next;
  }
  return std::nullopt;
}

}  // namespace espalier::share
