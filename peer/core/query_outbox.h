// The queries that wait to be sent over one link. It sends no more than the next peer accepts
// (Rate::queriesTold of the next peer, which is remembered when the link is lost, as
// Rate::queries is there), so the next peer need not refuse any. It decides whose queries go
// first:
//   1. the class of the smallest load (wire::Query::load, query_meter.h)
//   2. in a class, every second turn is for the searches of this peer's own user; in the other
//      turns the links that the queries came from take turns
//   3. of a link, the one that arrived first
// So whoever floods waits behind everybody who does not, at every peer on the way, and displaces
// only its own queries.
//
// Bounds: limits::kQueriesQueued of each source, and limits::kOpenQueries of this peer's user.
// Above that the newest one of the source's heaviest class is dropped.
//
// Owned by SearchLink. Holds ids only: the query is in the table of searches. Does no I/O, not
// thread-safe. A call costs O(log sources).
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <utility>

#include "common/base/budget.h"
#include "common/base/clock.h"
#include "common/base/ids.h"

namespace espalier::peer {

class QueryOutbox {
 public:
  using Source = std::optional<ConnectionId>;  // a link; nothing: this peer's user

  // `next`: the account of the peer at the other end.
  explicit QueryOutbox(Account next) : next_(std::move(next)) {}

  // True: the query is to be sent now. Else it waits. `dropped`: the query that is not sent for
  // lack of room, if any; it may be this one.
  [[nodiscard]] bool offer(const QueryId& id, Source source, std::uint32_t load, TimePoint now,
                           std::optional<QueryId>& dropped);
  // Takes out the next query that may be sent now.
  std::optional<QueryId> next(TimePoint now);
  // What next() returned was not sent.
  void giveBack(TimePoint now);
  // When next() may return a query.
  TimePoint deadline() const { return size_ == 0 ? kNever : nextAt_; }
  std::size_t size() const { return size_; }

 private:
  // The queries of one class. No deque in `links` is empty.
  struct Lane {
    std::deque<QueryId> own;
    std::map<ConnectionId, std::deque<QueryId>> links;
    std::deque<ConnectionId> turns;  // each key of `links` once

    bool empty() const { return own.empty() && turns.empty(); }
    std::optional<QueryId> dropNewest(Source source);
  };

  bool takeToken(TimePoint now);
  std::optional<QueryId> makeRoom(Source source, unsigned load);
  QueryId take(Lane& lane);
  void leave(Source source);

  Account next_;
  TimePoint nextAt_ = TimePoint::min();  // when there may be a token
  std::map<unsigned, Lane> lanes_;       // by class; no lane is empty
  std::map<Source, std::size_t> counts_;
  std::size_t size_ = 0;
  bool wasOwn_ = false;  // the last turn
};

}  // namespace espalier::peer
