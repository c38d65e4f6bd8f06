// A link of the tree as searches see it, with what bounds a neighbour that floods:
//   queries     a token bucket (limits::kQueriesPerSecond); beyond it a queue, beyond that refusals
//   hits        a bucket of steps for comparing them with their query (Steps)
//   blame       each misbehaviour is told once a link
//
// Owned by SearchLinks. No I/O; each call costs O(1), blame() O(log n).
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/wire/search.h"
#include "peer/core/effects.h"
#include "peer/core/link_changes.h"

namespace espalier::peer {

struct QueuedQuery {
  wire::Query query;
  TimePoint arrived;
};

class SearchLink {
 public:
  SearchLink(const wire::Contact& peer, TimePoint now);

  const PeerId& peer() const { return peer_; }
  JoinOrder order() const { return order_; }
  // Peers that are reachable over the link, the neighbour included; 0: not known.
  std::uint64_t behind() const { return behind_; }
  void setBehind(std::uint64_t count);
  // How many peers may speak over the link, some more than are known to be behind it.
  std::uint64_t speakers() const;
  // How many ids may become known from it.
  std::uint64_t names() const;

  bool isCongested() const { return isCongested_; }
  void setCongested(bool congested) { isCongested_ = congested; }

  // --- queries
  // Whether the query may be served now. One that comes while others wait is not: none overtakes.
  [[nodiscard]] bool mayServe(TimePoint now) { return queue_.empty() && takeToken(now); }
  // False: the queue is full.
  [[nodiscard]] bool enqueue(const wire::Query& query, TimePoint now, Effects& fx);
  // The next one that may be served now.
  std::optional<QueuedQuery> nextServed(TimePoint now);
  // Tells how many were refused, once the queue is empty.
  void tellRefusals(Effects& fx);
  TimePoint deadline() const;  // when the next one may be served

  // --- hits
  bool hasSteps(TimePoint now);
  void spendSteps(std::uint64_t steps) { steps_ -= static_cast<double>(steps); }

  void blame(const std::string& what, Effects& fx);

 private:
  bool takeToken(TimePoint now);

  PeerId peer_;
  JoinOrder order_;
  std::uint64_t behind_ = 0;
  bool isCongested_ = false;

  double tokens_;
  TimePoint refilled_;
  std::deque<QueuedQuery> queue_;
  std::uint64_t refused_ = 0;  // since it began to flood

  double steps_;
  TimePoint stepsRefilled_;
  std::set<std::string> blamed_;
};

using SearchLinks = std::map<ConnectionId, SearchLink>;

}  // namespace espalier::peer
