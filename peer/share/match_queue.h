// Searches that wait to be matched against the share, and whose turn it is: so that many searches,
// or patterns made to be slow, cost the searches of others a moment and not their answer.
//
//   queue.push(job);
//   while (auto matching = queue.take(now)) {
//     if (!matching->advance(now + 5ms)) queue.putBack(std::move(*matching));
//   }
//
// A search has its first turn before any other has its second: most need no more, and which ones do
// is not to be seen before. Among those equal in that, links take turns (a flood may come through
// an honest neighbour's link, so links alone would not do).
//
// Invariants: at most limits::kOpenQueries searches a link and kind of turn, of which the oldest go
// first, since nobody waits for them any more; one whose time is over is never taken. Not
// thread-safe. O(log links) a call.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <optional>

#include "common/base/clock.h"
#include "peer/core/pattern.h"
#include "peer/core/search.h"
#include "peer/share/snapshot.h"

namespace espalier::share {

// A job and how far it has come.
struct Matching {
  peer::MatchJob job;
  std::shared_ptr<const Snapshot> snapshot;  // what is looked through, from the first turn on
  bool indexing = false;
  std::optional<peer::Pattern> pattern;
  std::size_t next = 0;  // of the snapshot's entries
  std::vector<peer::LocalHit> hits;
  std::uint64_t more = 0;

  // Looks on, at one name at least. True when it is through, false when time is up.
  bool advance(TimePoint until);
};

class MatchQueue {
 public:
  void push(peer::MatchJob job) { first_.push({std::move(job), {}, false, {}, 0, {}, 0}); }
  void putBack(Matching matching) { further_.push(std::move(matching)); }
  std::optional<Matching> take(TimePoint now);
  bool empty() const { return first_.empty() && further_.empty(); }

 private:
  using Source = std::optional<ConnectionId>;  // none: this peer's own searches

  // Links in turn, of each its searches in order.
  class Round {
   public:
    void push(Matching matching);
    std::optional<Matching> take(TimePoint now);
    bool empty() const { return turns_.empty(); }

   private:
    std::map<Source, std::deque<Matching>> waiting_;  // none is empty
    std::deque<Source> turns_;                        // each of waiting_ once
  };

  Round first_;
  Round further_;  // those that have had a turn
};

}  // namespace espalier::share
