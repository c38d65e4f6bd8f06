// Where each member belongs: the referrals that peers get, and the slots that are reserved for
// them.
//
// A peer without a parent is referred to a slot, which is reserved for it: for a newcomer the slot
// of the placement rule (topo/placement.h), for an orphan that of the plan for the death of its
// parent (topo/plan.h), whichever of the orphans asks first. A reservation lapses after some time.
// A slot that failed a peer is not given to that peer again, until every slot has failed it.
//
// A member without a parent that does not ask is told its slot unasked (tick()).
//
// Invariants (check()): those of SeenTree; a member is in `parentless_` exactly if it reports no
// parent; a reservation will lapse.
//
// Does no I/O. Not thread-safe. Owned by the registry. O(log n) for a newcomer; O(the subtrees that
// move) for a death.
#pragma once

#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <vector>

#include "common/base/clock.h"
#include "common/base/result.h"
#include "common/wire/registry.h"
#include "metaserver/core/seen_tree.h"
#include "topo/placement.h"

namespace espalier::metaserver {

class Placement {
 public:
  using Node = topo::NodeIndex;

  // What a member is to be told unasked.
  struct Told {
    Node node;
    wire::Referral referral;
  };

  Placement(SeenTree& seen, topo::Rule rule);

  // The member reports its links. A newcomer reports none.
  void report(Node node, const std::optional<PeerId>& parent, const std::vector<PeerId>& neighbours,
              TimePoint now);
  // The answer to a member that has no parent, or lost it.
  wire::Referral referralFor(Node node, const wire::Seek& seek, TimePoint now);
  wire::Referral below(Node parent) const;
  // The member is gone, and its node too. Its orphans get the slots of the plan; those that are
  // returned were still on their way to it and do not know that they are orphans.
  std::vector<Told> remove(Node node, TimePoint now);
  // Reservations lapse; members that have been without a parent for too long are told a slot.
  std::vector<Told> tick(TimePoint now);

  // O(n log n). The message says what is wrong.
  Result<void> check() const;

 private:
  struct Member {
    std::vector<PeerId> failed;     // peers that it could not attach to, the latest
    std::uint64_t reservation = 0;  // the number of its latest one
    TimePoint toldFrom{};           // when it is told a slot unasked, if it has no parent by then
  };
  struct Lapse {
    TimePoint at;
    Node node;
    std::uint64_t reservation;
  };

  Member& member(Node node);
  wire::Referral referToTree(Node node, TimePoint now);
  std::optional<wire::Referral> planned(Node node, Node lost);
  void reserve(Node node, Node parent, TimePoint now);
  bool failed(Node node, Node parent);

  SeenTree& seen_;
  const topo::Rule rule_;
  std::vector<Member> members_;     // by node
  std::set<JoinOrder> parentless_;  // as reported
  std::deque<Lapse> lapses_;        // in order of time
  std::uint64_t reservations_ = 0;  // so far
};

}  // namespace espalier::metaserver
