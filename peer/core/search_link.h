// A link of the tree as searches see it. It bounds what a neighbour can cost this peer:
//   queries     a token bucket of the neighbour's account (limits::Rate::queries). Without a token
//               a query is queued. If the queue is full, it is refused. A meter counts how many
//               arrive, also of those that are refused.
//   hits        a bucket of steps for comparing hits with their query
//               (limits::kMatchStepsPerSecond)
//   outbox      the queries that wait to be sent over the link (query_outbox.h)
//   blame       each misbehaviour is warned of once
//
// Invariant: queries are served in the order in which they arrived.
//
// Owned by SearchScene (open_search.h), called by Searches and search_hits. Does no I/O, not
// thread-safe. A call costs O(1); blame() O(log n).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "common/base/budget.h"
#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/wire/search.h"
#include "peer/core/effects.h"
#include "peer/core/link_changes.h"
#include "peer/core/query_meter.h"
#include "peer/core/query_outbox.h"

namespace espalier::peer {

struct QueuedQuery {
  wire::Query query;
  TimePoint arrived;
};

class SearchLink {
 public:
  SearchLink(const TreeLink& link, TimePoint now);

  const PeerId& peer() const { return peer_; }
  JoinOrder order() const { return order_; }
  // The number of peers that are reachable over the link, including the neighbour; 0: not known.
  std::uint64_t behind() const { return behind_; }
  void setBehind(std::uint64_t count);
  // The same, at least the neighbour: so many peers may answer over the link.
  std::uint64_t peers() const { return behind_ > 0 ? behind_ : 1; }
  // By how much peers() has grown since the link is up, without what it has shrunk.
  std::uint64_t arrived() const { return arrived_; }
  // The number of peers that may be there: peers(), and some more that have just joined.
  std::uint64_t speakers() const;
  // The number of new ids that are accepted from the link.
  std::uint64_t names() const;

  // Whether the neighbour is the peer whose id it has. Then it alone answers for that id.
  bool isConfirmed() const { return isConfirmed_; }
  void setConfirmed(bool confirmed) { isConfirmed_ = confirmed; }

  bool isCongested() const { return isCongested_; }
  void setCongested(bool congested) { isCongested_ = congested; }

  // --- queries
  // A query that was not known arrived. Returns its load: what the neighbour says, but at least
  // what arrives over the link. With further peers behind the neighbour that is a small part of
  // their average, because most of it may come from others.
  std::uint32_t meter(const wire::Query& query, TimePoint now);
  // Whether a query may be served now. False while other queries are queued.
  [[nodiscard]] bool mayServe(TimePoint now) { return queue_.empty() && takeToken(now); }
  // False: the queue is full.
  [[nodiscard]] bool enqueue(const wire::Query& query, TimePoint now, Effects& fx);
  // The next query of the queue, if it may be served now.
  std::optional<QueuedQuery> nextServed(TimePoint now);
  // Once the queue is empty: warns of the number of refused queries.
  void tellRefusals(Effects& fx);
  TimePoint deadline() const;  // when nextServed() or the outbox may return a query

  QueryOutbox& outbox() { return outbox_; }

  // --- hits
  bool hasSteps(TimePoint now);
  void spendSteps(std::uint64_t steps) { steps_ -= static_cast<double>(steps); }

  void blame(const std::string& what, Effects& fx);

 private:
  bool takeToken(TimePoint now);

  PeerId peer_;
  JoinOrder order_;
  std::uint64_t behind_ = 0;
  std::uint64_t arrived_ = 0;
  bool isConfirmed_ = false;
  bool isCongested_ = false;

  Account account_;
  QueryMeter meter_;
  std::deque<QueuedQuery> queue_;
  TimePoint nextToken_{};      // while the queue is not empty
  std::uint64_t refused_ = 0;  // since the last warning

  double steps_;
  TimePoint stepsRefilled_;
  std::set<std::string> blamed_;
  QueryOutbox outbox_;
};

using SearchLinks = std::map<ConnectionId, SearchLink>;

}  // namespace espalier::peer
