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
// beforehand which do. Within each kind, the links that searches came through take turns. (That
// alone would not suffice: a flood may come through the link of an honest neighbour.)
//
// Invariants: at most limits::kOpenQueries searches for each link and kind of turn, of which the
// oldest are dropped, because their askers have given up first; a search past its deadline is never
// taken.
//
// Not thread-safe: the peer's shell guards it. No I/O. O(log links) a call.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>

#include "common/base/clock.h"
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
  using Source = std::optional<ConnectionId>;  // a link; none: this peer's own searches

  // The links take turns; the searches of each link are in order.
  class Round {
   public:
    void push(Matching matching);
    std::optional<Matching> take(TimePoint now);
    bool empty() const { return turns_.empty(); }

   private:
    std::map<Source, std::deque<Matching>> waiting_;  // no deque is empty
    std::deque<Source> turns_;                        // each key of waiting_ once
  };

  Round first_;
  Round further_;
};

}  // namespace espalier::share
