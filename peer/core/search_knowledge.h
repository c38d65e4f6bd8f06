// What one peer knows of one search, and what of it has not gone upstream yet.
//
// Everything is a set or a maximum, so learning a thing twice changes nothing. takeAnswers() turns
// what is new into answers of at most limits::kSearchMessageBytes, hits before the coverage of
// those who hold them. repeatAll() makes everything new again, for another upstream.
//
// Bounds: limits::kHitsPerQuery hits, kHitsPerPeer of one holder (beyond both they are counted),
// kHoldersKept holders, kMissingKept missing peers, Coverage's own. What exceeds the last three is
// left out. Not thread-safe. Learning is O(log n), taking is linear in what is new.
#pragma once

#include <cstdint>
#include <map>
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
  void addHit(const wire::Hit& hit);
  void addMore(const wire::More& more);
  void addMissing(const wire::Missing& missing);
  void addIndexing(const PeerId& peer);

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

 private:
  struct Holder {
    std::uint64_t hits = 0;     // learned
    std::uint64_t more = 0;     // as others say
    std::uint64_t beyond = 0;   // learned, but over a bound
    std::uint64_t counted = 0;  // kept, but not sent to this upstream
    std::uint64_t total() const;
  };
  class Writer;

  Holder* holder(const PeerId& id);

  Coverage coverage_;
  Coverage newCoverage_;
  std::set<wire::Hit> hits_;
  std::vector<wire::Hit> newHits_;
  std::uint64_t hitsLearned_ = 0;
  std::size_t hitsBytes_ = 0;
  bool keepsHits_ = true;
  std::map<PeerId, Holder> holders_;
  std::set<PeerId> newMore_;
  std::map<PeerId, wire::Missing> missing_;
  std::set<PeerId> newMissing_;
  std::set<PeerId> indexing_;
  std::set<PeerId> newIndexing_;
};

}  // namespace espalier::peer
