// One search at one peer: where it came from, whom it went to, who is done. The states are those of
// search.h; this is the data that Searches moves through them.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/wire/search.h"
#include "peer/core/pattern.h"
#include "peer/core/search_knowledge.h"

namespace espalier::peer {

// A link that the query went to.
struct SearchBranch {
  PeerId peer;
  JoinOrder order{};
  bool asked = false;      // since this peer last had a way to the asker
  bool everAsked = false;  // so an answer from there makes sense
  bool done = false;
  std::uint64_t heard = 0;  // how many join orders came from there first
  std::uint64_t hits = 0;   // of this branch that are kept
  std::uint64_t names = 0;  // ids that it was the first to name

  bool isPending() const { return asked && !done; }
};

// A branch whose link went down before it was done: for a while it may come back.
struct LostBranch {
  wire::Missing missing;
  TimePoint until;
};

// A link that asked for what another one, the upstream, asked before.
struct SearchOffer {
  TimePoint shareEnds;
  std::uint32_t hopsLeft = 0;
};

struct OpenSearch {
  wire::Query query;
  TimePoint arrived;
  TimePoint shareEnds;
  bool expired = false;  // the share is over: `done`, whoever did not answer
  bool matched = false;  // this peer's own match job has ended
  bool saidDone = false;
  TimePoint scheduledAt = kNever;    // when tick() looks at it: its deadline(), or earlier
  std::optional<TimePoint> flushAt;  // news that may wait until then

  bool isMine = false;
  std::optional<ConnectionId> upstream;  // never of mine; without one another's is orphaned
  std::map<ConnectionId, SearchOffer> offers;
  unsigned adoptions = 0;

  std::map<ConnectionId, SearchBranch> branches;
  std::vector<LostBranch> lost;
  SearchKnowledge knowledge;
  std::size_t countedBytes = 0;  // of kept hits, in the sum that has a bound; 0 of mine
  std::uint64_t linkHits = 0;    // kept, of all branches
  std::uint64_t sharedHits = 0;  // of them, beyond what each branch has for itself

  // Of mine.
  std::uint64_t members = 0;
  JoinOrder newest{};
  std::optional<TimePoint> graceEnds;  // all are done, but not all members were heard

  bool isOrphan() const { return !isMine && !upstream; }
  TimePoint forgetAt() const;
  // Nothing more is expected, as of now.
  bool isComplete() const;
  std::uint64_t searched() const;
  // Who is missing when a branch of so many peers, the neighbour included, says nothing more.
  wire::Missing missingBehind(const SearchBranch& branch, std::uint64_t behind) const;
  // When tick() is due.
  TimePoint deadline() const;
  // What hits are compared with. Compiled once, when the first one comes; null when the query's
  // text is no pattern, so that nothing can match it.
  const Pattern* pattern();

 private:
  std::optional<Result<Pattern>> pattern_;
};

}  // namespace espalier::peer
