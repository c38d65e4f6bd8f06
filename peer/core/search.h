// Searches: those this peer asks, answers and relays. A component of Peer (component.h).
//
//   SearchTable    the open ones, bounded; when each is due
//   OpenSearch     one of them: its states, branches, news
//   SearchLink     a link: how much it may ask and answer
//   learnAnswer    what of an answer is believed (search_hits.h)
//
// A query goes to every link but the one it came on (its *upstream*). Each peer answers for itself
// once, in coverage, a set of join orders; hits go upstream at once. A query that is known from a
// live upstream is declined: `done`, without content.
//
// Heals. An open query goes to links that come up. A peer that loses its upstream adopts another
// link that offered the same query, else it says Lost to those it asked, who do likewise; so a part
// of the tree that was cut off waits until any of its peers is offered the query again, and turns
// around from there.
//
// Invariants: what goes upstream is a function of sets that only grow, so answers that come twice
// change nothing; coverage of a peer is never sent before its hits; the asker's `searched` is never
// more than its `members`; tables, queues and hits have bounds in limits.h, and what a peer sends
// beyond them, or that makes no sense, is ignored and told once a link.
//
// Counting members. A search starts at once with the tree's own count and does not wait for the
// metaserver. That count may be out of date: for a peer that has just joined, while a part of the
// tree is cut off, after the root has changed, for as long as heartbeats take to tell it. So the
// metaserver is asked beside the query when the tree's count is not what the metaserver said last,
// and at the end when the number of peers that answered is not the count. Until it answers, for
// limits::kSearchGrace at most, the search does not end as complete. Without the metaserver the
// count is the tree's; peers that answer or are named as missing beyond it raise it. So N == M is
// told only when nobody within reach knows of a further member (member_count.h).
//
// Time: an asker's budget is 3 s and 250 ms a member, 60 s at most; each hop keeps 200 ms (10 % of
// a short one) for itself, so the far end gives up before the near one. Messages with coverage
// alone wait 50 ms for more of their kind; hits and `done` never wait.
//
// Does no I/O; not thread-safe; time and randomness are handed in. An event costs O(links) and
// O(log open queries), plus O(open queries) when a link comes or goes.
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
#include "peer/core/search_link.h"
#include "peer/core/search_result.h"
#include "peer/core/search_table.h"

namespace espalier::peer {

class Searches final : public Component {
 public:
  // `random` is borrowed.
  Searches(wire::Contact self, Random& random) : scene_{std::move(self), {}}, random_(random) {}

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
  // Ends a search that this peer asked, with what there is so far.
  std::optional<SearchResult> cancel(const QueryId& id);

  // --- the count of members of this peer's own searches
  // Whether one of them wants the metaserver to be asked. O(searches of this peer's own).
  bool wantsMembers() { return mineAre(MemberCount::State::doubted); }
  // The metaserver was asked.
  void membersAsked();
  bool awaitsMembers() { return mineAre(MemberCount::State::asked); }
  // The metaserver's answer, to those that wait for it; nothing: it cannot be asked, or is gone.
  void membersTold(const std::optional<wire::Members>& members, TimePoint now, Effects& fx);

  std::size_t openCount() const { return table_.size(); }

 private:
  void receivedQuery(ConnectionId id, SearchLink& link, const wire::Query& query, TimePoint now,
                     Effects& fx);
  void receivedAnswer(ConnectionId id, SearchLink& link, const wire::Answer& answer, TimePoint now,
                      Effects& fx);
  void receivedKnown(ConnectionId id, SearchLink& link, SearchTable::Place known,
                     const wire::Query& query, TimePoint now, Effects& fx);
  void admit(ConnectionId id, SearchLink& link, const wire::Query& query, TimePoint now,
             Effects& fx);
  void refuse(ConnectionId id, const wire::Query& query, Effects& fx);
  void serveQueue(ConnectionId id, SearchLink& link, TimePoint now, Effects& fx);
  OpenSearch& open(const wire::Query& query, std::optional<ConnectionId> upstream,
                   TimePoint arrived, Effects& fx);
  bool mineAre(MemberCount::State state);
  // After anything was learned.
  void progress(SearchTable::Place entry, TimePoint now, Effects& fx);

  SearchScene scene_;  // before the table, whose searches refer to it
  Random& random_;
  SearchTable table_;
  std::set<QueryId> counting_;  // this peer's own, whose count may still change
};

}  // namespace espalier::peer
