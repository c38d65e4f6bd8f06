// What one peer knows of one search, and what of it has not gone upstream yet.
//
// Everything is a set or a maximum, so learning a thing twice changes nothing. takeAnswers() turns
// what is new into answers of at most limits::kSearchMessageBytes, hits before the coverage of
// those who hold them. repeatAll() makes everything new again, for another upstream.
//
// Hits of one holder that differ in anything (name, size, root, endpoint) are different hits: what
// one peer says of another never stands for what that one says itself.
//
// Bounds: hits are the caller's to bound (HitShares); what it does not keep is counted.
// kHoldersKept holders with counts, kMissingKept missing peers, Coverage's own; what exceeds them
// is left out. Not thread-safe. Learning is O(log n), taking is linear in what is new.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <vector>

#include "common/base/ids.h"
#include "common/wire/search.h"
#include "peer/core/coverage.h"

namespace espalier::peer {

class SearchKnowledge {
 public:
  // Returns how many join orders are new.
  std::uint64_t cover(JoinOrder order);
  std::uint64_t cover(const std::vector<wire::OrderRange>& ranges);
  // Where a hit goes among those kept; nothing when it is there already. Valid until the next
  // change.
  using HitPlace = std::set<wire::Hit>::const_iterator;
  std::optional<HitPlace> placeOf(const wire::Hit& hit) const;
  void addHit(const wire::Hit& hit, HitPlace place);
  void addHit(const wire::Hit& hit);

  // Each returns whether it made an id known that was not; without `mayBeNew` none becomes so.
  // A hit that is not kept:
  bool countHit(const PeerId& holder, bool mayBeNew = true);
  bool addMore(const wire::More& more, bool mayBeNew = true);
  bool addMissing(const wire::Missing& missing, bool mayBeNew = true);
  bool addIndexing(const PeerId& peer, bool mayBeNew = true);

  bool hasNews() const;
  bool hasNewHits() const { return !newHits_.empty(); }

  // Appends answers with all news; at least one, and `done` is on the last. With `countHits` (the
  // link is congested) hits are counted instead.
  void takeAnswers(const QueryId& id, bool done, bool countHits, std::vector<wire::Answer>& out);
  // For the asker: the new hits; all other news are forgotten.
  std::vector<wire::Hit> takeNewHits();
  void forgetNews();
  void repeatAll();

  // Frees the hits, which from now on are only passed on. repeatAll() then counts them.
  void dropHits();
  std::size_t hitsBytes() const { return hitsBytes_; }

  const std::set<wire::Hit>& hits() const { return hits_; }
  const Coverage& coverage() const { return coverage_; }
  std::vector<wire::Missing> missing() const;
  std::vector<PeerId> indexing() const { return {indexing_.begin(), indexing_.end()}; }
  // Hits beyond those kept, of all holders; saturates.
  std::uint64_t moreHits() const;
  std::map<PeerId, std::uint64_t> moreByHolder() const;

 private:
  struct Counts {
    std::uint64_t hits = 0;     // kept
    std::uint64_t more = 0;     // as others say
    std::uint64_t beyond = 0;   // came, but were not kept
    std::uint64_t counted = 0;  // kept, but not sent to this upstream
    std::uint64_t total() const;
  };
  class Writer;

  Counts* holder(const PeerId& id, bool mayBeNew = true);

  Coverage coverage_;
  Coverage newCoverage_;
  std::set<wire::Hit> hits_;
  std::vector<wire::Hit> newHits_;
  std::size_t hitsBytes_ = 0;
  bool keepsHits_ = true;
  std::map<PeerId, Counts> holders_;
  std::set<PeerId> newMore_;
  std::map<PeerId, wire::Missing> missing_;
  std::set<PeerId> newMissing_;
  std::set<PeerId> indexing_;
  std::set<PeerId> newIndexing_;
};

}  // namespace espalier::peer
