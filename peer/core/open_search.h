// One search at one peer: the link it came from, the links it was sent to, and their answers.
//
//                    all branches are done, or the time is up
//        +-> open ----------------------------------------------> done --forgetAt()--> forgotten
//        |    | ^                                                 |  |
//        |    | +---------- a link came up, a late answer --------+  |
//        |    |                                                      |
//        |    +----------- the upstream's link is gone --------------+
//        |    v
//        +- orphaned      a link that offers the query is adopted as the new upstream
//
// A search that this peer asked has no upstream. It is never orphaned, and ends with a result
// instead of being forgotten.
//
//   upstream   the link that leads to the asker; answers are sent there
//   branch     a link that the query was sent to (search_branches.h)
//   offer      a link that sent the same query while another link was the upstream. An orphan
//              adopts an offer as its upstream.
//
// Invariants: an orphan sends no query, because two orphans would take each other for the path to
// the asker; answers are a function of sets that only grow (SearchKnowledge); each hop has less
// time than the hop before it, so the asker waits longest.
//
// Owned by SearchTable, called by Searches. Does no I/O, not thread-safe. A call costs O(links) and
// O(news).
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/wire/search.h"
#include "peer/core/effects.h"
#include "peer/core/member_count.h"
#include "peer/core/pattern.h"
#include "peer/core/search_branches.h"
#include "peer/core/search_knowledge.h"
#include "peer/core/search_link.h"

namespace espalier::peer {

// What all searches of a peer share: the peer itself, and its links.
struct SearchScene {
  wire::Contact self;
  SearchLinks links;
  // Queries that are not sent over a link, because they had no room in its outbox.
  std::vector<std::pair<ConnectionId, QueryId>> unsent;

  // Whether what the link says about a peer may count: a peer speaks for itself, and so does each
  // confirmed neighbour over its own link. Another neighbour may have made its id up, to hide the
  // peer that has it.
  bool maySpeakOf(ConnectionId link, const PeerId& peer) const;
};

class OpenSearch {
 public:
  enum class State { open, done, orphaned };

  // `scene` is borrowed.
  OpenSearch(SearchScene& scene, wire::Query&& query, std::optional<ConnectionId> upstream,
             TimePoint arrived);
  // Makes it a search of this peer's own.
  void ask(const MemberCount& count) { asked_ = std::make_unique<Asked>(Asked{count}); }

  // --- events
  // Sends the query to every link that has not got it, except upstream, or lets it wait in the
  // link's outbox.
  void relay(TimePoint now, Effects& fx);
  // The query is next in the outbox of the link. False: it is not to be sent any more.
  [[nodiscard]] bool sendWaiting(ConnectionId link, TimePoint now, Effects& fx);
  // There is no room for the query in the outbox of the link: who is behind it is missing.
  void unsent(ConnectionId link);
  // The link sent the query again or for the first time. False: it had sent it before.
  [[nodiscard]] bool offered(ConnectionId link, const wire::Query& query, TimePoint now,
                             Effects& fx);
  void linkUp(const PeerId& peer, TimePoint now, Effects& fx);
  // `behind`: the number of peers behind the link, which is no longer in the scene.
  void linkDown(ConnectionId link, std::uint64_t behind, TimePoint now, Effects& fx);
  // The neighbour has lost its path to the asker (wire::Lost).
  void lost(ConnectionId link, TimePoint now, Effects& fx);
  // The match job for this peer's own share has ended. False: it had ended before.
  [[nodiscard]] bool matched(std::vector<LocalHit> hits, std::uint64_t more, bool stillIndexing);
  // Ends a relayed search before its time, and names the missing peers upstream.
  void giveUp(Effects& fx);
  // To be called after anything was learned: sends news upstream, or shows them to the user. True:
  // a search that this peer asked has ended, and its result was reported.
  [[nodiscard]] bool progress(TimePoint now, Effects& fx);
  // True: the search is to be forgotten.
  [[nodiscard]] bool tick(TimePoint now, Effects& fx);
  TimePoint deadline() const;
  // Ends a search that this peer asked, with what is known so far.
  SearchResult result();

  // --- for answers (search_hits.h)
  SearchBranches& branches() { return branches_; }
  // The number of peers behind a link has grown.
  void recount() { branches_.recount(scene_.links, knowledge_); }
  void withdrawOffer(ConnectionId link) { offers_.erase(link); }
  SearchKnowledge& knowledge() { return knowledge_; }
  const SearchKnowledge& knowledge() const { return knowledge_; }
  // The pattern that hits are compared with, compiled at the first call. Null: the query's text is
  // not a valid pattern, so nothing matches it.
  const Pattern* pattern();

  State state() const;
  const wire::Query& query() const { return query_; }
  bool isMine() const { return asked_ != nullptr; }
  // Of a search of this peer's own, else null. Call progress() after a change.
  MemberCount* count() { return asked_ ? &asked_->count : nullptr; }
  const std::optional<ConnectionId>& upstream() const { return upstream_; }
  TimePoint arrived() const { return arrived_; }
  TimePoint shareEnds() const { return shareEnds_; }

 private:
  // Of a search that this peer asked.
  struct Asked {
    MemberCount count;
    // Set while all branches are done, but not all members have answered.
    std::optional<TimePoint> graceEnds = {};
  };
  struct Offer {
    TimePoint shareEnds;
    std::uint32_t hopsLeft = 0;
  };

  bool isOrphan() const { return !isMine() && !upstream_; }
  bool isComplete() const;
  TimePoint forgetAt() const;
  std::uint64_t covered() const;
  std::uint64_t searched() const;
  std::uint64_t mostPeers() const;
  void send(ConnectionId link, SearchBranch& branch, TimePoint now, Effects& fx);
  void adopt(ConnectionId link, const Offer& offer, TimePoint now, Effects& fx);
  void loseUpstream(TimePoint now, Effects& fx);
  void expire();
  void sendNews(TimePoint now, Effects& fx);
  void flush(Effects& fx);
  bool show(TimePoint now, Effects& fx);

  SearchScene& scene_;
  wire::Query query_;
  TimePoint arrived_;
  TimePoint shareEnds_;
  bool isExpired_ = false;  // the time is up: complete, even with branches pending
  bool isMatched_ = false;  // the match job for this peer's own share has ended
  bool saidDone_ = false;   // `done` was sent to this upstream
  unsigned adoptions_ = 0;
  std::optional<TimePoint> flushAt_;  // when coverage without hits is to be sent

  std::unique_ptr<Asked> asked_;  // null: another peer asks
  std::optional<ConnectionId> upstream_;
  std::map<ConnectionId, Offer> offers_;

  SearchBranches branches_;
  SearchKnowledge knowledge_;
  std::optional<Result<Pattern>> pattern_;
};

// An answer without content: `done`.
wire::Answer declineOf(const QueryId& id);

// 3 s and 250 ms a member, at most 60 s.
std::chrono::milliseconds searchBudget(std::uint64_t members);
// The budget that is passed on to the next hop.
std::chrono::milliseconds budgetBehind(std::chrono::milliseconds budget, std::uint32_t hopsLeft);

}  // namespace espalier::peer
