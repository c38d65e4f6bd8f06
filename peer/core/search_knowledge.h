// What one peer knows about one search, and which part of it is news: not sent upstream yet.
//
//   learned --takeAnswers(), takeNewHits(), forgetNews()--> no news --repeatAll()--> all is news
//
// Invariants: all knowledge is a set or a maximum, so learning a thing twice changes nothing. The
// hits of a holder are sent before its coverage. Two hits that differ in anything (name, size,
// root, holder, endpoint) are different hits, so a false claim about a peer never replaces what
// that peer says itself.
//
// Bounds: the caller bounds the hits (HitShares), and counts those that it does not keep. At most
// kHoldersKept holders have counts, and at most kMissingKept missing peers are named; Coverage has
// bounds of its own. What exceeds these is left out. An answer has at most
// limits::kSearchMessageBytes.
//
// Part of OpenSearch. Does no I/O, not thread-safe. Learning costs O(log n); taking costs O(news).
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
  // Each returns the number of join orders that are new.
  std::uint64_t cover(JoinOrder order);
  std::uint64_t cover(const std::vector<wire::OrderRange>& ranges);
  // Where a hit is to be inserted; nothing if it is known. Valid until the next change.
  using HitPlace = std::set<wire::Hit>::const_iterator;
  std::optional<HitPlace> placeOf(const wire::Hit& hit) const;
  void addHit(const wire::Hit& hit, HitPlace place);
  void addHit(const wire::Hit& hit);

  // Each returns true if it made a new id known. With `mayBeNew` false, unknown ids are ignored.
  // countHit() counts a hit that is not kept.
  bool countHit(const PeerId& holder, bool mayBeNew = true);
  bool addMore(const wire::More& more, bool mayBeNew = true);
  // `link`: who named it; nothing: this peer knows it itself.
  bool addMissing(const wire::Missing& missing, bool mayBeNew = true,
                  std::optional<ConnectionId> link = {});
  bool addIndexing(const PeerId& peer, bool mayBeNew = true);

  bool hasNews() const;
  bool hasNewHits() const { return !newHits_.empty(); }

  // Appends answers with all news, at least one answer. The last one carries `done`. With
  // `countHits` the link is congested, and hits are counted instead of sent.
  void takeAnswers(const QueryId& id, bool done, bool countHits, std::vector<wire::Answer>& out);
  // For the asker: returns the new hits, and forgets all other news.
  std::vector<wire::Hit> takeNewHits();
  void forgetNews();
  void repeatAll();

  // Frees the hits. From now on hits are passed on and not kept, and repeatAll() only counts them.
  void dropHits();
  std::size_t hitsBytes() const { return hitsBytes_; }
  // About the memory of all that is known.
  std::size_t bytes() const;

  const std::set<wire::Hit>& hits() const { return hits_; }
  const Coverage& coverage() const { return coverage_; }
  struct NamedMissing {
    wire::Missing missing;
    std::optional<ConnectionId> link;
  };
  const std::map<PeerId, NamedMissing>& missingNamed() const { return missing_; }
  std::vector<wire::Missing> missing() const;
  std::vector<PeerId> indexing() const { return {indexing_.begin(), indexing_.end()}; }
  // The number of hits beyond those that are kept, of all holders; saturates.
  std::uint64_t moreHits() const;
  std::map<PeerId, std::uint64_t> moreByHolder() const;

 private:
  struct Counts {
    std::uint64_t hits = 0;     // kept
    std::uint64_t more = 0;     // claimed in answers
    std::uint64_t beyond = 0;   // received, but not kept
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
  std::map<PeerId, NamedMissing> missing_;
  std::set<PeerId> newMissing_;
  std::set<PeerId> indexing_;
  std::set<PeerId> newIndexing_;
};

}  // namespace espalier::peer
