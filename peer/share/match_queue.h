// Searches that wait to be matched against the share, and which of them is next. Many searches, or
// slow patterns, then delay the searches of others by a moment, and do not starve them.
//
//   queue.push(job);
//   while (auto matching = queue.take(now)) {
//     if (!matching->advance(now + 5ms)) queue.putBack(std::move(*matching));
//   }
//
//   push() --> first turn --done--> answered
//                  |
//                  +--putBack()--> further turns --done--> answered
//
// Every first turn comes before any further one: most searches need one turn, and nothing tells
// beforehand which do. Within each kind, the links that searches came through take turns. A flood
// may come through the link of an honest neighbour, so the searches of a link are ordered by the
// class of their load (query_meter.h).
//
// Invariants: of each link, at most limits::kOpenQueries searches wait for their first turn and
// kMatchesBegun for a further one; beyond that the oldest of the heaviest class is dropped.
// A search past its deadline is never taken.
//
// Not thread-safe: the peer's shell guards it. No I/O. O(log links) a call.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "peer/core/pattern.h"
#include "peer/core/search_jobs.h"
#include "peer/share/snapshot.h"

namespace espalier::share {

// A search, and how far it has been matched.
struct Matching {
  peer::MatchJob job;
  std::shared_ptr<const Snapshot> snapshot;  // set by the shell before the first turn
  bool indexing = false;
  std::optional<peer::Pattern> pattern;
  std::size_t next = 0;  // index of the next entry of the snapshot
  std::vector<peer::LocalHit> hits;
  std::uint64_t more = 0;

  // Matches until that time, at least one entry. True when all entries were matched.
  bool advance(TimePoint until);
};

class MatchQueue {
 public:
  void push(peer::MatchJob job) { first_.push({std::move(job), {}, false, {}, 0, {}, 0}); }
  void putBack(Matching matching) { further_.push(std::move(matching)); }
  std::optional<Matching> take(TimePoint now);
  bool empty() const { return first_.empty() && further_.empty(); }

 private:
  static constexpr std::size_t kMatchesBegun = 32;  // each may hold 200 names
  using Source = std::optional<ConnectionId>;       // a link; none: this peer's own searches

  // The links take turns. Of a link, the searches of the smallest class of load come first
  // (query_meter.h), those of a class in order.
  class Round {
   public:
    explicit Round(std::size_t most) : most_(most) {}
    void push(Matching matching);
    std::optional<Matching> take(TimePoint now);
    bool empty() const { return turns_.empty(); }

   private:
    // By class; no deque is empty.
    using Lanes = std::map<unsigned, std::deque<Matching>>;

    const std::size_t most_;           // of a source: the oldest of its heaviest class is dropped
    std::map<Source, Lanes> waiting_;  // none is empty
    std::deque<Source> turns_;         // each key of waiting_ once
  };

  Round first_{limits::kOpenQueries};
  Round further_{kMatchesBegun};
};

}  // namespace espalier::share
