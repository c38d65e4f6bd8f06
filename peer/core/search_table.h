// The open searches of a peer, within bounds:
//   number      limits::kOpenQueries; makeRoom() chooses the search that another one displaces
//   memory      limits::kHitsKeptBytes of all relayed searches. Beyond that, of the link whose
//               searches have most, the oldest search drops its hits: to a new upstream it can only
//               report their number. If it has none, it ends
//   time        an agenda of the searches that are due
// The last limits::kQueriesRemembered ids of forgotten searches are remembered, so that a late copy
// of a query does not begin its search again.
//
// Invariants: agenda_ has each entry once, at its scheduledAt; keptBytes_ is the sum of all
// countedBytes.
//
// Owned by Searches. Does no I/O, not thread-safe. A call costs O(log n); makeRoom() on a full
// table and bound() above the limit cost O(n).
#pragma once

#include <cstddef>
#include <cstdint>
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
    Entry(SearchScene& scene, wire::Query&& query, std::optional<ConnectionId> upstream,
          TimePoint arrived)
        : search(scene, std::move(query), upstream, arrived) {}

    OpenSearch search;
    TimePoint scheduledAt = kNever;  // when tick() is due: the search's deadline(), or earlier
    std::size_t countedBytes = 0;    // its part of keptBytes_; 0 for this peer's own searches
  };
  using Map = std::map<QueryId, Entry>;
  using Place = Map::iterator;

  Place find(const QueryId& id) { return open_.find(id); }
  Place begin() { return open_.begin(); }
  Place end() { return open_.end(); }
  std::size_t size() const { return open_.size(); }
  bool wasForgotten(const QueryId& id) const { return forgotten_.contains(id); }

  // Makes room for one more search from `link` (nothing: a search of this peer). If the table is
  // full, it forgets the oldest search that is done or orphaned. If there is none, it gives up a
  // search of the link that has most: the oldest one of the heaviest class (query_meter.h). If that
  // link is `link` itself, the new search must be of a smaller class. So whoever floods takes no
  // room from others, also not several hops behind one link. False: there is no room.
  [[nodiscard]] bool makeRoom(std::optional<ConnectionId> link, std::uint32_t load, Effects& fx);
  Place add(SearchScene& scene, wire::Query&& query, std::optional<ConnectionId> upstream,
            TimePoint arrived);
  void forget(Place entry);

  // To be called after the search's deadline may have moved.
  void schedule(Entry& entry);
  // To be called after the search may know more. False: it has ended for lack of memory.
  [[nodiscard]] bool bound(Place changed, Effects& fx);
  std::vector<QueryId> due(TimePoint now) const;
  TimePoint deadline() const { return agenda_.empty() ? kNever : agenda_.begin()->first; }

 private:
  void recount(Entry& entry);
  Place largest();

  Map open_;
  std::set<std::pair<TimePoint, QueryId>> agenda_;
  std::size_t keptBytes_ = 0;
  RecentIds<QueryId> forgotten_{limits::kQueriesRemembered};
};

}  // namespace espalier::peer
