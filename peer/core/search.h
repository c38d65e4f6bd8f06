// Searches: those this peer asks, answers and relays.
//
// A query goes to every link but the one it came on (its *upstream*). Each peer answers for itself
// once, in coverage, a set of join orders; hits go upstream at once. A query at a peer:
//
//                          upstream's link is gone, no other link offered the query
//      ask, Query --> open ---------------------------------------------> orphaned
//                      | ^                                                    |
//      all behind done | | late link, late answer                    a link offers it: adopted,
//      or share of the v |                                           all that is known goes there
//      time is up     done  --share + linger--> forgotten (the id is remembered for a while)
//
// Heals. An open query goes to links that come up. A peer that loses its upstream adopts another
// link that offered the same query, else it says Lost to those it asked, who do likewise; so a part
// of the tree that was cut off waits until any of its peers is offered the query again, and turns
// around from there. A query that is known from a live upstream is declined: `done`, without
// content.
//
// Invariants: what goes upstream is a function of sets that only grow, so answers that come twice
// change nothing; coverage of a peer is never sent before its hits; the asker's `searched` is never
// more than its `members`; tables, queues and hits have bounds in limits.h, and what a peer sends
// beyond them, or that makes no sense, is ignored and told once a link.
//
// A hit is kept and passed on only if it matches the query, as a holder would match it, and of what
// a link brings only as much as the peers behind it could send, with a share of the whole that no
// other link can use up: so who lies takes no room from others (search_hits.cpp).
//
// Time: an asker's budget is 3 s and 250 ms a member, 60 s at most; each hop keeps 200 ms (10 % of
// a short one) for itself, so the far end gives up before the near one. Messages with coverage
// alone wait 50 ms for more of their kind; hits and `done` never wait.
//
// Does no I/O; not thread-safe; time and randomness are handed in. An event costs O(links) and
// O(log open queries), plus O(open queries) when a link comes or goes.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "common/base/clock.h"
#include "common/base/endpoint.h"
#include "common/base/ids.h"
#include "common/base/random.h"
#include "common/base/result.h"
#include "common/wire/search.h"
#include "peer/core/component.h"
#include "peer/core/search_open.h"
#include "peer/core/search_result.h"

namespace espalier::peer {

class Searches final : public Component {
 public:
  // `random` is borrowed.
  Searches(wire::Contact self, Random& random) : self_(std::move(self)), random_(random) {}

  // --- Component
  void linkUp(const TreeLink& link, TimePoint now, Effects& fx) override;
  void linkDown(ConnectionId link, TimePoint now, Effects& fx) override;
  void peersBehind(ConnectionId link, std::uint64_t count) override;
  // Until drained() hits are counted instead of sent.
  void congested(ConnectionId link) override;
  void drained(ConnectionId link) override;
  // Takes Query, Answer and Lost.
  bool received(ConnectionId link, const wire::LinkMessage& message, TimePoint now,
                Effects& fx) override;
  void selfChanged(const wire::Contact& self) override { self_ = self; }
  void tick(TimePoint now, Effects& fx) override;
  TimePoint deadline() const override;

  // A match job has ended. `more`: matches beyond `hits`. Unknown ids are ignored.
  void matched(const QueryId& id, std::vector<LocalHit> hits, std::uint64_t more,
               bool stillIndexing, TimePoint now, Effects& fx);

  // `members`: of the network now, this peer included. `newest`: the highest join order now, so
  // that who joins later is not counted; kNoOrder if not known. Fails when too many searches are
  // open.
  Result<QueryId> ask(PatternKind kind, std::string_view text, std::uint64_t members,
                      JoinOrder newest, TimePoint now, Effects& fx);
  // Ends a search that this peer asked, with what there is so far.
  std::optional<SearchResult> cancel(const QueryId& id);

  std::size_t openCount() const { return open_.size(); }

 private:
  struct QueuedQuery {
    wire::Query query;
    TimePoint arrived;
  };
  struct Link {
    PeerId peer;
    JoinOrder order{};
    std::uint64_t behind = 0;
    bool isCongested = false;
    double tokens = 0;
    TimePoint refilled;
    std::deque<QueuedQuery> queue;  // beyond the token bucket
    double steps = 0;               // of matching its hits, left in a bucket of their own
    TimePoint stepsRefilled;
    std::uint64_t refused = 0;   // since it began to flood
    std::set<std::string> told;  // what it was blamed for, each once
  };
  using OpenMap = std::map<QueryId, OpenSearch>;

  // Links (search.cpp), and what they send (search_receive.cpp).
  void receivedQuery(ConnectionId id, Link& link, const wire::Query& query, TimePoint now,
                     Effects& fx);
  void receivedAnswer(ConnectionId id, Link& link, const wire::Answer& answer, TimePoint now,
                      Effects& fx);
  void receivedLost(ConnectionId id, const wire::Lost& lost, TimePoint now, Effects& fx);
  void receivedKnown(ConnectionId id, Link& link, OpenSearch& open, const wire::Query& query,
                     TimePoint now, Effects& fx);
  void admit(ConnectionId id, Link& link, const wire::Query& query, TimePoint now, Effects& fx);
  void refuse(ConnectionId id, const wire::Query& query, Effects& fx);
  void serveQueue(ConnectionId id, Link& link, TimePoint now, Effects& fx);
  bool takeToken(Link& link, TimePoint now);
  void tell(Link& link, const std::string& what, Effects& fx);
  bool makeRoom(std::optional<ConnectionId> link, Effects& fx);
  OpenSearch& open(const wire::Query& query, std::optional<ConnectionId> upstream,
                   TimePoint arrived, Effects& fx);

  // What of an answer is believed (search_hits.cpp).
  enum class Judgement { fits, impossible, unasked, tooCostly, tooMany };
  void learn(OpenSearch& open, Link& link, SearchBranch& branch, const wire::Answer& answer,
             TimePoint now, Effects& fx);
  void learnHit(OpenSearch& open, Link& link, SearchBranch& branch, const wire::Hit& hit,
                TimePoint now, Effects& fx);
  static Judgement judge(OpenSearch& open, Link& link, const wire::Hit& hit, TimePoint now);
  static std::uint64_t dealtOut(const OpenSearch& open);
  static bool hasRoom(const OpenSearch& open, const Link& link, const SearchBranch& branch);
  static void count(OpenSearch& open, SearchBranch& branch);

  // One open search (search_relay.cpp).
  void relay(OpenSearch& open, TimePoint now, Effects& fx);
  void adopt(OpenSearch& open, ConnectionId link, const SearchOffer& offer, TimePoint now,
             Effects& fx);
  void loseUpstream(OpenSearch& open, TimePoint now, Effects& fx);
  void loseBranch(OpenSearch& open, ConnectionId link, std::uint64_t behind, TimePoint now);
  void expire(OpenSearch& open);
  // After anything was learned: sends or shows what is new. True when a search of ours has ended.
  bool progress(OpenSearch& open, TimePoint now, Effects& fx);
  void schedule(OpenSearch& open);
  void sendNews(OpenSearch& open, TimePoint now, Effects& fx);
  void flush(OpenSearch& open, Effects& fx);
  bool show(OpenSearch& open, TimePoint now, Effects& fx);
  bool tickOpen(OpenSearch& open, TimePoint now, Effects& fx);
  void boundKeptHits(OpenSearch& changed);
  SearchResult resultOf(OpenSearch& open);

  void forget(OpenMap::iterator open);
  void remember(const QueryId& id);

  wire::Contact self_;
  Random& random_;
  std::map<ConnectionId, Link> links_;
  OpenMap open_;
  std::set<std::pair<TimePoint, QueryId>> agenda_;  // of each open search its scheduledAt
  std::size_t keptBytes_ = 0;                       // the sum of countedBytes
  std::set<QueryId> remembered_;
  std::deque<QueryId> rememberedOrder_;  // oldest first
};

// 3 s and 250 ms a member, at most 60 s.
std::chrono::milliseconds searchBudget(std::uint64_t members);
// What is left of a budget for those one hop further.
std::chrono::milliseconds budgetBehind(std::chrono::milliseconds budget, std::uint32_t hopsLeft);

}  // namespace espalier::peer
