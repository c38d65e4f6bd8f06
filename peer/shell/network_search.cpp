#include "peer/shell/network_search.h"

#include <algorithm>
#include <utility>

#include "common/base/limits.h"
#include "peer/core/pattern.h"

namespace espalier::peer::shell {

void NetworkSearch::rememberNames(const SearchUpdate& update) {
  heardNames_.with([&](HeardNames& heard) {
    for (const auto& hit : update.hits) {
      const auto [name, isNew] = heard.names.insert(hit.name);
      if (!isNew) continue;
      heard.order.push_back(name);
      heard.bytes += hit.name.size();
      while (heard.names.size() > limits::kHeardNames || heard.bytes > limits::kHeardNamesBytes) {
        heard.bytes -= heard.order.front()->size();
        heard.names.erase(heard.order.front());
        heard.order.pop_front();
      }
    }
  });
}

void NetworkSearch::searched(SearchUpdate& update) {
  rememberNames(update);
  const bool isPending = pending_.with([&](auto& pending) {
    const auto found = pending.find(update.id);
    if (found == pending.end()) return false;
    found->second.hits += update.hits.size();
    found->second.searched = update.searched;
    if (update.result) found->second.result = std::move(update.result);
    return true;
  });
  if (isPending) events_.publish(SearchChanged{update.id});
}

Result<SearchResult> NetworkSearch::find(const SearchRequest& request, std::stop_token stop,
                                         const OnHits& onHits) {
  const PatternKind kind = request.kind.value_or(Pattern::kindOf(request.text));
  if (const auto pattern = Pattern::compile(kind, request.text); !pattern) return pattern.error();
  EventBus::Subscription events(events_, kindsOf<SearchChanged>());
  const TimePoint begun = Clock::now();
  auto id = network_.call(
      [this, kind, text = request.text](Peer& peer, TimePoint now, Effects& fx) -> Result<QueryId> {
        if (peer.searches() == nullptr) return notJoined();
        auto asked = peer.searches()->ask(kind, text, peer.membership().countMembers(), now, fx);
        if (asked) pending_.with([&](auto& pending) { pending.emplace(*asked, PendingSearch()); });
        return asked;
      });
  if (!id) return id.error();
  if (!*id) return id->error();
  auto result = follow(**id, events, stop, onHits);
  pending_.with([&](auto& pending) { pending.erase(**id); });
  if (result) {
    figures_.with([&](SearchFigures& figures) {
      figures.took.add(Clock::now() - begun);
      figures.complete += result->complete() ? 1 : 0;
      figures.missing += result->members - std::min(result->members, result->searched);
    });
    return *std::move(result);
  }
  network_.post([query = **id](Peer& peer, TimePoint, Effects&) {
    if (auto* searches = peer.searches()) searches->cancel(query);
  });
  return Error{ErrorCode::interrupted, "interrupted"};
}

// Reports the progress of a search until it has a result; none: `stop` was triggered first.
std::optional<SearchResult> NetworkSearch::follow(const QueryId& id, EventBus::Subscription& events,
                                                  const std::stop_token& stop,
                                                  const OnHits& onHits) {
  PendingSearch told;
  while (true) {
    auto now = pending_.with([&](auto& pending) {
      PendingSearch& search = pending.at(id);
      return PendingSearch{search.hits, search.searched, std::exchange(search.result, {})};
    });
    const bool isNews = now.hits != told.hits || now.searched != told.searched;
    if (onHits && (isNews || now.result)) onHits(now.hits, now.searched);
    if (now.result || stop.stop_requested()) return std::move(now.result);
    told = std::move(now);
    (void)events.next(stop);  // may be of another search
  }
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
