#include "peer/core/search_table.h"

#include <algorithm>

namespace espalier::peer {

bool SearchTable::makeRoom(std::optional<ConnectionId> link, Effects& fx) {
  if (open_.size() < limits::kOpenQueries) return true;
  const auto older = [&](Place a, Place b) {
    return b == open_.end() || a->second.search.arrived() < b->second.search.arrived();
  };
  auto finished = open_.end();
  std::map<std::optional<ConnectionId>, std::pair<std::size_t, Place>> sources;
  for (auto at = open_.begin(); at != open_.end(); ++at) {
    const auto& search = at->second.search;
    const bool isFinished = !search.isMine() && search.state() != OpenSearch::State::open;
    if (isFinished && older(at, finished)) finished = at;
    auto& [count, oldest] = sources.try_emplace(search.upstream(), 0, open_.end()).first->second;
    ++count;
    if (older(at, oldest)) oldest = at;
  }
  if (finished != open_.end()) {
    forget(finished);
    return true;
  }
  const auto most = std::max_element(
      sources.begin(), sources.end(),
      [](const auto& a, const auto& b) { return a.second.first < b.second.first; });
  if (!most->first || most->first == link) return false;
  const auto victim = most->second.second;
  victim->second.search.giveUp(fx);
  forget(victim);
  return true;
}

SearchTable::Place SearchTable::add(const SearchScene& scene, const wire::Query& query,
                                    std::optional<ConnectionId> upstream, TimePoint arrived) {
  const auto place =
      open_.try_emplace(query.id, Entry{OpenSearch(scene, query, upstream, arrived)}).first;
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
  entry.countedBytes = entry.search.isMine() ? 0 : entry.search.knowledge().hitsBytes();
  keptBytes_ += entry.countedBytes;
}

void SearchTable::bound(Entry& changed) {
  recount(changed);
  while (keptBytes_ > limits::kHitsKeptBytes) {
    Entry* oldest = nullptr;
    for (auto& [id, entry] : open_) {
      if (entry.countedBytes == 0) continue;
      if (oldest == nullptr || entry.search.arrived() < oldest->search.arrived()) oldest = &entry;
    }
    oldest->search.knowledge().dropHits();
    recount(*oldest);
  }
}

}  // namespace espalier::peer
