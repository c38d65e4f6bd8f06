#include "peer/shell/network_search.h"

#include <utility>

#include "common/base/limits.h"
#include "peer/core/pattern.h"

namespace espalier::peer::shell {
void NetworkSearch::rememberNames(const SearchUpdate& update) {
  heardNames_.with([&](HeardNames& heard) {
    for (const auto& hit : update.hits) {
      if (heard.names.size() == limits::kHeardNames ||
          heard.bytes + hit.name.size() > limits::kHeardNamesBytes) {
        break;
      }
      if (heard.names.insert(hit.name).second) heard.bytes += hit.name.size();
    }
  });
}

void NetworkSearch::searched(SearchUpdate& update) {
  rememberNames(update);
  const auto search = pending_.with([&](auto& pending) {
    const auto found = pending.find(update.id);
    return found == pending.end() ? nullptr : found->second;
  });
  if (!search) return;
  SearchProgress progress{update.id, 0, update.searched, update.result.has_value()};
  {
    const std::lock_guard lock(search->mutex);
    search->hits += update.hits.size();
    search->searched = update.searched;
    progress.hits = search->hits;
    if (update.result) search->result = std::move(update.result);
    search->changed.notify_all();
  }
  events_.publish(progress);
}

Result<SearchResult> NetworkSearch::find(const SearchRequest& request, std::stop_token stop,
                                         const OnHits& onHits) {
  const PatternKind kind = request.kind.value_or(Pattern::kindOf(request.text));
  if (const auto pattern = Pattern::compile(kind, request.text); !pattern) return pattern.error();
  const auto members = metaserver_.members(stop);
  const auto search = std::make_shared<PendingSearch>();
  auto id = network_.call(
      [this, search, kind, members, text = request.text](Peer& peer, TimePoint now, Effects& fx) {
        auto asked = peer.find(kind, text, members, now, fx);
        if (asked) pending_.with([&](auto& pending) { pending.emplace(*asked, search); });
        return asked;
      });
  if (!id) return id.error();
  if (!*id) return id->error();
  std::unique_lock lock(search->mutex);
  std::uint64_t toldHits = 0;
  std::uint64_t toldPeers = 0;
  while (!search->result && !stop.stop_requested()) {
    search->changed.wait(lock, stop, [&] {
      return search->result || search->hits != toldHits || search->searched != toldPeers;
    });
    toldHits = search->hits;
    toldPeers = search->searched;
    if (!onHits) continue;
    lock.unlock();
    onHits(toldHits, toldPeers);
    lock.lock();
  }
  lock.unlock();
  pending_.with([&](auto& pending) { pending.erase(**id); });
  if (search->result) return *search->result;
  network_.post([query = **id](Peer& peer, TimePoint, Effects&) { peer.cancel(query); });
  return Error{ErrorCode::interrupted, "interrupted"};
}

std::vector<std::string> NetworkSearch::knownNames(const std::string& prefix) {
  std::set<std::string> names;
  heardNames_.with([&](const HeardNames& heard) {
    for (auto name = heard.names.lower_bound(prefix);
         name != heard.names.end() && name->starts_with(prefix) &&
         names.size() <= limits::kCompletions;
         ++name) {
      names.insert(*name);
    }
  });
  const auto snapshot = index_.snapshot();
  const auto& entries = snapshot->entries();
  for (std::size_t i = snapshot->lowerBound(prefix);
       i < entries.size() && entries[i]->name.starts_with(prefix) &&
       names.size() <= limits::kCompletions;
       ++i) {
    names.insert(entries[i]->name);
  }
  return {names.begin(), names.end()};
}

}  // namespace espalier::peer::shell
