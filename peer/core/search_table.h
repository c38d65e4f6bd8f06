// The open searches of a peer, within bounds:
//   number      limits::kOpenQueries; makeRoom() says which one goes for another
//   hits kept   limits::kHitsKeptBytes of all relayed searches; beyond it the oldest keeps none, so
//               after a heal it can only say how many there were
//   time        an agenda: which searches are due
// Ids of forgotten searches are remembered for a while, so that none is begun again.
//
// Invariants: agenda_ has each entry once, at its scheduledAt; keptBytes_ is the sum of all
// countedBytes. No I/O, not thread-safe. A call costs O(log n); makeRoom() on a full table O(n).
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/limits.h"
#include "peer/core/open_search.h"
#include "peer/core/recent_ids.h"

namespace espalier::peer {

class SearchTable {
 public:
  struct Entry {
    OpenSearch search;
    TimePoint scheduledAt = kNever;  // when tick() is due: the search's deadline(), or earlier
    std::size_t countedBytes = 0;    // of kept hits, in the sum that has a bound; 0 of its own
  };
  using Map = std::map<QueryId, Entry>;
  using Place = Map::iterator;

  Place find(const QueryId& id) { return open_.find(id); }
  Place begin() { return open_.begin(); }
  Place end() { return open_.end(); }
  std::size_t size() const { return open_.size(); }
  bool wasForgotten(const QueryId& id) const { return forgotten_.contains(id); }

  // For one more search from `link` (none: this peer's own). False: there is none to be had. Else
  // the oldest that is done or orphaned goes; else the oldest of the link that has most, unless
  // that is the very link that wants more: so one that floods takes no room from others.
  [[nodiscard]] bool makeRoom(std::optional<ConnectionId> link, Effects& fx);
  Place add(const SearchScene& scene, const wire::Query& query,
            std::optional<ConnectionId> upstream, TimePoint arrived);
  void forget(Place entry);

  // After the search's deadline may have moved.
  void schedule(Entry& entry);
  // After it may keep more hits.
  void bound(Entry& changed);
  std::vector<QueryId> due(TimePoint now) const;
  TimePoint deadline() const { return agenda_.empty() ? kNever : agenda_.begin()->first; }

 private:
  void recount(Entry& entry);

  Map open_;
  std::set<std::pair<TimePoint, QueryId>> agenda_;
  std::size_t keptBytes_ = 0;
  RecentIds<QueryId> forgotten_{limits::kQueriesRemembered};
};

}  // namespace espalier::peer
