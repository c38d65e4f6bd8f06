// One search at one peer: where it came from, which links it went to, which of them are done.
//
//                    all branches are done, or its time is up
//        +-> open ----------------------------------------------> done --forgetAt()--> forgotten
//        |    | ^                                                 |  |
//        |    | +---------- a link came up, a late answer --------+  |
//        |    |                                                      |
//        |    +----------- the upstream's link is gone --------------+
//        |    v
//        +- orphaned      a link that offers the query is adopted as the new upstream
//
// A search that this peer asked has no upstream, is never orphaned, and ends with a result instead
// of being forgotten.
//
// A *branch* is a link that the query went to. A branch whose link went down before it was done may
// come back for limits::kSearchGrace. An *offer* is a link that asked the same query while another
// link was the upstream already: an orphan adopts it.
//
// Invariants: an orphan asks nobody, because two orphans would take each other for the way to the
// asker; what goes upstream is a function of sets that only grow; the sum of all hops' shares of
// time stays below what the asker waits.
//
// Owned by SearchTable. Does no I/O, not thread-safe. A call costs O(links) and O(what is new).
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/wire/search.h"
#include "peer/core/effects.h"
#include "peer/core/hit_shares.h"
#include "peer/core/pattern.h"
#include "peer/core/search_knowledge.h"
#include "peer/core/search_link.h"

namespace espalier::peer {

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

// What every search of a peer sees: the peer itself, and its links.
struct SearchScene {
  wire::Contact self;
  SearchLinks links;
};

class OpenSearch {
 public:
  enum class State { open, done, orphaned };

  // Of a search that this peer asked.
  struct Asked {
    std::uint64_t members = 0;  // of the network when it was asked
    JoinOrder newest{};         // peers that joined later are not counted; kNoOrder: not known
    std::optional<TimePoint> graceEnds = {};  // all are done, but not all members were heard
  };

  // `scene` is borrowed.
  OpenSearch(const SearchScene& scene, const wire::Query& query,
             std::optional<ConnectionId> upstream, TimePoint arrived);
  // Makes it a search of this peer's own.
  void ask(const Asked& asked) { asked_ = asked; }

  // --- events
  // Sends the query to every link that was not asked yet, but not upstream.
  void relay(TimePoint now, Effects& fx);
  // False: that link has asked before.
  [[nodiscard]] bool offered(ConnectionId link, const wire::Query& query, TimePoint now,
                             Effects& fx);
  void linkUp(const PeerId& peer, TimePoint now, Effects& fx);
  // `behind`: of the link, which is not in the scene any more.
  void linkDown(ConnectionId link, std::uint64_t behind, TimePoint now, Effects& fx);
  // The link has no way to the asker any more.
  void lost(ConnectionId link, TimePoint now, Effects& fx);
  // What this peer's own share has; false if that is known already.
  [[nodiscard]] bool matched(std::vector<LocalHit> hits, std::uint64_t more, bool stillIndexing);
  // Gives it up before its time: says who is missing.
  void giveUp(Effects& fx);
  // After anything was learned: sends or shows what is new. True when a search of this peer's own
  // has ended, and its result was told.
  [[nodiscard]] bool progress(TimePoint now, Effects& fx);
  // True when it is to be forgotten.
  [[nodiscard]] bool tick(TimePoint now, Effects& fx);
  TimePoint deadline() const;
  // Ends it with what there is.
  SearchResult result();

  // --- for what an answer brings (search_hits.h)
  // Null unless that link was asked once.
  SearchBranch* branchAsked(ConnectionId link);
  void withdrawOffer(ConnectionId link) { offers_.erase(link); }
  bool mayKeepHit(const SearchBranch& branch, const SearchLink& link) const;
  void countHit(SearchBranch& branch);
  SearchKnowledge& knowledge() { return knowledge_; }
  const SearchKnowledge& knowledge() const { return knowledge_; }
  // What hits are compared with. Compiled when the first one comes; null when the query's text is
  // no pattern, so that nothing can match it.
  const Pattern* pattern();

  State state() const;
  const wire::Query& query() const { return query_; }
  bool isMine() const { return asked_.has_value(); }
  const std::optional<ConnectionId>& upstream() const { return upstream_; }
  TimePoint arrived() const { return arrived_; }
  TimePoint shareEnds() const { return shareEnds_; }

 private:
  // A branch whose link went down before it was done.
  struct LostBranch {
    wire::Missing missing;
    TimePoint until;
  };
  struct Offer {
    TimePoint shareEnds;
    std::uint32_t hopsLeft = 0;
  };

  bool isOrphan() const { return !isMine() && !upstream_; }
  bool isComplete() const;
  TimePoint forgetAt() const;
  std::uint64_t searched() const;
  wire::Missing missingBehind(const SearchBranch& branch, std::uint64_t behind) const;
  void adopt(ConnectionId link, const Offer& offer, TimePoint now, Effects& fx);
  void loseUpstream(TimePoint now, Effects& fx);
  void loseBranch(ConnectionId link, std::uint64_t behind, TimePoint now);
  void expire();
  void sendNews(TimePoint now, Effects& fx);
  void flush(Effects& fx);
  bool show(TimePoint now, Effects& fx);

  const SearchScene& scene_;
  wire::Query query_;
  TimePoint arrived_;
  TimePoint shareEnds_;
  bool isExpired_ = false;            // its time is up: `done`, whatever did not answer
  bool isMatched_ = false;            // this peer's own match job has ended
  bool saidDone_ = false;             // to this upstream
  std::optional<TimePoint> flushAt_;  // news that may wait until then

  std::optional<Asked> asked_;
  std::optional<ConnectionId> upstream_;
  std::map<ConnectionId, Offer> offers_;
  unsigned adoptions_ = 0;

  std::map<ConnectionId, SearchBranch> branches_;
  std::vector<LostBranch> lost_;
  SearchKnowledge knowledge_;
  HitShares shares_;
  std::optional<Result<Pattern>> pattern_;
};

// What a peer answers where it has nothing to say: the search is done there.
wire::Answer declineOf(const QueryId& id);

// 3 s and 250 ms a member, at most 60 s.
std::chrono::milliseconds searchBudget(std::uint64_t members);
// What is left of a budget for those one hop further.
std::chrono::milliseconds budgetBehind(std::chrono::milliseconds budget, std::uint32_t hopsLeft);

}  // namespace espalier::peer
