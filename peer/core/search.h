// Searches that this peer asks, answers and relays. A component of Peer (component.h).
//
//   SearchTable      the open searches, within bounds, and when each is due
//   OpenSearch       one search: its states, its upstream, its news
//   SearchBranches   the links that a search was sent to
//   SearchLink       a link: how many queries and hits it may send
//   QueryOutbox      the queries that wait to be sent over a link, and whose go first
//   learnAnswer      checks an answer (search_hits.h)
//   MemberCount      the number of members that a search of this peer expects
//
// A query is sent over every link except its *upstream*, the link that it was received on. Each
// peer answers once for itself, by its join order in the coverage. Hits are sent upstream at once.
// A query that is received again while its upstream is alive is declined: `done`, without content.
//
// Heals. An open query is also sent over links that come up. A peer that loses its upstream adopts
// another link that offered the same query. If there is none, it sends Lost over the links that it
// asked, and their peers do the same. So a part of the tree that was cut off waits until one of its
// peers is offered the query again. Then answers flow to that peer.
//
// Invariants: answers are a function of sets that only grow, so an answer that is received twice
// changes nothing; the coverage of a peer is never sent before its hits; the asker's `searched` is
// at most its `members`; tables, queues and hits have bounds in limits.h. Messages that exceed them
// or are implausible are ignored, and warned of once a link.
//
// Counting members (member_count.h). A search starts at once with the tree's count of members. That
// count may be out of date until heartbeats have spread it: for a peer that has just joined, while
// a part of the tree is cut off, and after the root has changed. So the metaserver is asked beside
// each query. Until it answers, but at most for limits::kSearchGrace, the search does not end as
// complete. Without a metaserver, peers that answer or are named as missing raise the tree's count.
// So a search reports N of N only if no peer within reach knows a further member.
//
// Time: the asker's budget is 3 s and 250 ms for each member, at most 60 s. Each hop keeps 200 ms
// of it, or 10 % of a short budget, so a far peer gives up before a near one. Messages with
// coverage alone are delayed by 50 ms to collect more; hits and `done` are not delayed.
//
// Does no I/O, not thread-safe; time and randomness are handed in. An event costs O(links) and
// O(log open searches), plus O(open searches) when a link comes or goes.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string_view>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/random.h"
#include "common/base/result.h"
#include "common/wire/search.h"
#include "peer/core/component.h"
#include "peer/core/member_count.h"
#include "peer/core/open_search.h"
#include "peer/core/query_meter.h"
#include "peer/core/search_link.h"
#include "peer/core/search_result.h"
#include "peer/core/search_table.h"

namespace espalier::peer {

class Searches final : public Component {
 public:
  // `random` is borrowed.
  Searches(wire::Contact self, Random& random) : scene_{std::move(self), {}, {}}, random_(random) {}

  // --- Component
  void linkUp(const TreeLink& link, TimePoint now, Effects& fx) override;
  void linkDown(ConnectionId link, TimePoint now, Effects& fx) override;
  void peersBehind(ConnectionId link, std::uint64_t count) override;
  void confirmed(ConnectionId link, bool isConfirmed) override;
  // Until drained(), hits for the link are counted instead of sent.
  void congested(ConnectionId link) override;
  void drained(ConnectionId link) override;
  // Takes Query, Answer and Lost.
  bool received(ConnectionId link, const wire::LinkMessage& message, TimePoint now,
                Effects& fx) override;
  void selfChanged(const wire::Contact& self) override { scene_.self = self; }
  void tick(TimePoint now, Effects& fx) override;
  TimePoint deadline() const override;

  // A match job has ended. `more`: matches beyond `hits`. Unknown ids are ignored.
  void matched(const QueryId& id, std::vector<LocalHit> hits, std::uint64_t more,
               bool stillIndexing, TimePoint now, Effects& fx);

  // `count`: how many members the network has, this peer included. Fails when too many searches are
  // open.
  Result<QueryId> ask(PatternKind kind, std::string_view text, const MemberCount& count,
                      TimePoint now, Effects& fx);
  // Ends a search that this peer asked. Returns what is known so far.
  std::optional<SearchResult> cancel(const QueryId& id);

  // --- the count of members, for searches that this peer asked
  // Whether one of them needs the metaserver's count. O(these searches).
  bool wantsMembers() { return mineAre(MemberCount::State::unasked); }
  // The metaserver was asked, with a request of that number.
  void membersAsked(std::uint64_t request = 0);
  bool awaitsMembers() { return mineAre(MemberCount::State::asked); }
  // The metaserver's answer, for the searches that wait for it. Nothing: there is no metaserver.
  void membersTold(const std::optional<wire::Members>& members, TimePoint now, Effects& fx);

  std::size_t openCount() const { return table_.size(); }

 private:
  void receivedQuery(ConnectionId id, SearchLink& link, const wire::Query& query, TimePoint now,
                     Effects& fx);
  void receivedAnswer(ConnectionId id, SearchLink& link, const wire::Answer& answer, TimePoint now,
                      Effects& fx);
  void receivedKnown(ConnectionId id, SearchLink& link, SearchTable::Place known,
                     const wire::Query& query, TimePoint now, Effects& fx);
  void admit(ConnectionId id, SearchLink& link, wire::Query&& query, TimePoint now, Effects& fx);
  void refuse(ConnectionId id, const wire::Query& query, Effects& fx);
  void sendWaiting(TimePoint now, Effects& fx);
  void serveQueue(ConnectionId id, SearchLink& link, TimePoint now, Effects& fx);
  OpenSearch& open(wire::Query&& query, std::optional<ConnectionId> upstream, TimePoint arrived,
                   Effects& fx);
  void recount(TimePoint now, Effects& fx);
  bool mineAre(MemberCount::State state);
  // To be called after a search has learned anything.
  void progress(SearchTable::Place entry, TimePoint now, Effects& fx);

  SearchScene scene_;  // declared before the table, whose searches refer to it
  Random& random_;
  SearchTable table_;
  QueryMeter meter_;            // of this peer's user
  bool hasGrown_ = false;       // a number of peers behind a link, since the last recount()
  TimePoint recountAt_{};       // not before this
  std::set<QueryId> counting_;  // searches of this peer whose count may still change
};

}  // namespace espalier::peer
