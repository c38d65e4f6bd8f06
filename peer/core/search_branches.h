// The branches of one search at one peer: the links that the query was sent to, and what is still
// expected from them.
//
//   unasked --ask()--> pending --an answer with `done`, drop()--> done
//      ^                  |  |                             |
//      +----withdraw()----+--|-----------------------------+
//                            |
//                            +--lose()--> lost --limits::kSearchGrace is over--> missing
//                                          |
//                                          +--returned(): its peer has a new link--> forgotten
//
// A lost branch is one whose link went down while it was pending. Its peer may come back on another
// link, which then is a new branch. A branch that is done is dropped when its link goes down.
//
// What a branch says counts only for the peers behind its link. So a branch that lies about who has
// answered or is missing takes nothing from another branch.
//
// Bounds: one branch for each link; at most limits::kBranchesDown lost branches, the oldest of
// which becomes missing when another one is lost; hits by HitShares (hit_shares.h).
//
// Part of OpenSearch. Does no I/O, not thread-safe. A call costs O(links) or less.
#pragma once

#include <cstdint>
#include <map>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/wire/search.h"
#include "peer/core/hit_shares.h"
#include "peer/core/search_knowledge.h"
#include "peer/core/search_link.h"

namespace espalier::peer {

struct SearchBranch {
  PeerId peer;
  JoinOrder order{};
  bool asked = false;      // it was to be sent there since this peer last got an upstream
  bool waits = false;      // asked, but the query waits in the outbox of the link
  bool everAsked = false;  // the query was sent there at some time: answers are accepted
  bool done = false;
  std::uint64_t heard = 0;   // join orders that count and that this branch was the first to report
  Coverage waiting;          // reported, but more than there are peers behind the link
  std::uint64_t hits = 0;    // its hits that are kept
  std::uint64_t weight = 0;  // of these hits (hit_shares.h)
  std::uint64_t names = 0;   // ids that this branch was the first to name

  // When the branch was added.
  std::uint64_t peersAtFirst = 1;
  std::uint64_t arrivedAtFirst = 0;

  bool isPending() const { return asked && !done; }
  void ask();
  void sent();
  // The number of peers that have been behind the link since then, those that have left included:
  // so many may have answered.
  std::uint64_t peers(const SearchLink& link) const {
    return peersAtFirst + link.arrived() - arrivedAtFirst;
  }
  // What is missing if the branch sends no further answer. `behind`: the number of its peers,
  // including the neighbour.
  wire::Missing missing(std::uint64_t behind, const Coverage& coverage) const;
};

class SearchBranches {
 public:
  // The branch of the link; a new one is unasked.
  SearchBranch& add(ConnectionId id, const SearchLink& link);
  // The link is no branch: it is the upstream now.
  void remove(ConnectionId link) { branches_.erase(link); }
  // Null unless the query was sent over that link at some time.
  SearchBranch* everAsked(ConnectionId link);
  // Null unless the query waits to be sent there.
  SearchBranch* waiting(ConnectionId link);
  // Makes all branches unasked. Returns those that the query was sent to.
  std::vector<ConnectionId> withdraw();
  // No branch is pending, and none is lost.
  bool areDone() const;

  // --- lost branches
  // The link went down. `behind`: the number of its peers.
  void lose(ConnectionId link, std::uint64_t behind, TimePoint now, SearchKnowledge& knowledge);
  // The peer has a link again.
  void returned(const PeerId& peer);
  // Records lost branches as missing whose grace is over.
  void tick(TimePoint now, SearchKnowledge& knowledge);
  TimePoint deadline() const;

  // The search has ended: records pending and lost branches as missing, and forgets the lost ones.
  void expire(const SearchLinks& links, SearchKnowledge& knowledge);

  // --- coverage
  // The branch says that the peers of these orders have answered. It counts for as many as are
  // behind the link; one of them is the neighbour. Further orders wait until more peers are known
  // there. At most link.speakers() wait.
  void cover(SearchBranch& branch, const SearchLink& link, const Coverage& claimed,
             SearchKnowledge& knowledge);
  // Counts what waited, after the number of peers behind a link has grown.
  void recount(const SearchLinks& links, SearchKnowledge& knowledge);
  // What may be true of the missing peers that the branches named: no branch names more than have
  // not answered behind it.
  std::vector<wire::Missing> believed(const SearchLinks& links, const SearchKnowledge& knowledge);

  // --- hits
  bool mayKeepHit(const SearchBranch& branch, const SearchLink& link) const;
  void countHit(SearchBranch& branch, std::size_t nameBytes = 0);

 private:
  struct Lost {
    wire::Missing missing;
    TimePoint until;
  };

  std::map<ConnectionId, SearchBranch> branches_;
  std::vector<Lost> lost_;  // oldest first
  HitShares shares_;
};

}  // namespace espalier::peer
