#include "peer/core/search_table.h"

#include <algorithm>
#include <utility>

#include "peer/core/query_meter.h"

namespace espalier::peer {

// With its links, a node of the map has 32 bytes more, and a block of the C library 16. Before the
// library makes a block of 1,024 bytes or more, it merges all small blocks that are free.
static_assert(sizeof(SearchTable::Map::value_type) + 32 + 16 < 1024);

bool SearchTable::makeRoom(std::optional<ConnectionId> link, std::uint32_t load, Effects& fx) {
  if (open_.size() < limits::kOpenQueries) return true;
  const auto older = [&](Place a, Place b) {
    return b == open_.end() || a->second.search.arrived() < b->second.search.arrived();
  };
  const auto classOf = [](Place a) { return QueryMeter::classOf(a->second.search.query().load); };
  auto finished = open_.end();
  std::map<std::optional<ConnectionId>, std::pair<std::size_t, Place>> sources;
  for (auto at = open_.begin(); at != open_.end(); ++at) {
    const auto& search = at->second.search;
    const bool isFinished = !search.isMine() && search.state() != OpenSearch::State::open;
    if (isFinished && older(at, finished)) finished = at;
    auto& [count, victim] = sources.try_emplace(search.upstream(), 0, open_.end()).first->second;
    ++count;
    const bool isHeavier = victim != open_.end() && classOf(at) != classOf(victim)
                               ? classOf(at) > classOf(victim)
                               : older(at, victim);
    if (isHeavier) victim = at;
  }
  if (finished != open_.end()) {
    forget(finished);
    return true;
  }
  const auto most = std::max_element(
      sources.begin(), sources.end(),
      [](const auto& a, const auto& b) { return a.second.first < b.second.first; });
  if (!most->first) return false;
  const auto victim = most->second.second;
  if (most->first == link && classOf(victim) <= QueryMeter::classOf(load)) return false;
  victim->second.search.giveUp(fx);
  forget(victim);
  return true;
}

SearchTable::Place SearchTable::add(SearchScene& scene, wire::Query&& query,
                                    std::optional<ConnectionId> upstream, TimePoint arrived) {
  const QueryId id = query.id;
  const auto place = open_.try_emplace(id, scene, std::move(query), upstream, arrived).first;
  schedule(place->second);
  return place;
}

void SearchTable::forget(Place at) {
  keptBytes_ -= at->second.countedBytes;
  forgotten_.add(at->first);
  agenda_.erase({at->second.scheduledAt, at->first});
  open_.erase(at);
}

void SearchTable::schedule(Entry& entry) {
  const auto at = entry.search.deadline();
  if (at == entry.scheduledAt) return;
  const auto& id = entry.search.query().id;
  agenda_.erase({entry.scheduledAt, id});
  agenda_.emplace(at, id);
  entry.scheduledAt = at;
}

std::vector<QueryId> SearchTable::due(TimePoint now) const {
  std::vector<QueryId> due;
  for (const auto& [at, id] : agenda_) {
    if (at > now) break;
    due.push_back(id);
  }
  return due;
}

void SearchTable::recount(Entry& entry) {
  keptBytes_ -= entry.countedBytes;
  entry.countedBytes = entry.search.isMine() ? 0 : entry.search.knowledge().bytes();
  keptBytes_ += entry.countedBytes;
}

// The oldest search of the link whose searches have most bytes; of these one with hits, if any.
SearchTable::Place SearchTable::largest() {
  std::map<std::optional<ConnectionId>, std::size_t> bytes;
  for (const auto& [id, entry] : open_) bytes[entry.search.upstream()] += entry.countedBytes;
  const auto most = std::max_element(
      bytes.begin(), bytes.end(), [](const auto& a, const auto& b) { return a.second < b.second; });
  auto oldest = open_.end();
  for (auto at = open_.begin(); at != open_.end(); ++at) {
    const auto& search = at->second.search;
    if (at->second.countedBytes == 0 || search.upstream() != most->first) continue;
    const bool hasHits = search.knowledge().hitsBytes() > 0;
    const bool hadHits = oldest != open_.end() && oldest->second.search.knowledge().hitsBytes() > 0;
    const bool isOlder =
        oldest == open_.end() || search.arrived() < oldest->second.search.arrived();
    if (hasHits == hadHits ? isOlder : hasHits) oldest = at;
  }
  return oldest;
}

bool SearchTable::bound(Place changed, Effects& fx) {
  recount(changed->second);
  while (keptBytes_ > limits::kHitsKeptBytes) {
    const auto victim = largest();
    auto& search = victim->second.search;
    if (search.knowledge().hitsBytes() > 0) {
      search.knowledge().dropHits();
      recount(victim->second);
      continue;
    }
    const bool isChanged = victim == changed;
    if (search.upstream()) search.giveUp(fx);
    forget(victim);
    if (isChanged) return false;
  }
  return true;
}

}  // namespace espalier::peer
