// Decides where each member attaches: makes the referrals, and reserves slots for them.
//
// A peer without a parent is referred to a slot, which is reserved for it. A newcomer gets the slot
// of the placement rule (topo/placement.h). An orphan gets the slot of the plan for the death of
// its parent (topo/plan.h), which does not depend on the order in which orphans ask. A reservation
// expires after some time. A parent to which a member failed to attach is not offered to it again,
// until all slots have failed. Beyond limits::kFailedReferrals failures only their number counts:
// so many slots are passed over, the shallowest first.
//
// A member without a parent that does not ask gets a referral unasked (tick()).
//
// Invariants (check()): those of SeenTree; a member is in `parentless_` exactly if it reports no
// parent; every reservation has an entry in `lapses_`.
//
// Does no I/O. Not thread-safe. Owned by the registry. O(log n) for a newcomer; O(the subtrees that
// move) for a death, or for the next slot of a member that could not attach.
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

  // A referral that is sent unasked.
  struct Told {
    Node node;
    wire::Referral referral;
  };

  Placement(SeenTree& seen, topo::Rule rule);

  // Of an empty tree: SeenTree::load().
  void load(const std::vector<MemberRow>& rows, TimePoint now);
  // The member reports its links. A newcomer reports none. False: it repeats its last report.
  bool report(Node node, const std::optional<PeerId>& parent, const std::vector<PeerId>& neighbours,
              TimePoint now);
  // The answer to a member without a parent. Reserves the slot.
  wire::Referral referralFor(Node node, const wire::Seek& seek, TimePoint now);
  // The referral of a member whose slot below `parent` is reserved already.
  wire::Referral below(Node parent) const;
  // Removes the member and its node. Its orphans get the slots of the plan. The returned ones were
  // still attaching to it, and do not know that they are orphans.
  std::vector<Told> remove(Node node, TimePoint now);
  // Lets reservations expire. Returns referrals for members that have been without a parent for
  // long.
  std::vector<Told> tick(TimePoint now);

  // O(n log n). The message says what is wrong.
  Result<void> check() const;

 private:
  // The peers to which a member could not attach.
  struct Failed {
    std::vector<PeerId> latest;
    std::size_t count = 0;
  };
  struct Member {
    Failed failed;
    std::uint64_t reservation = 0;  // the serial number of its latest one
    TimePoint toldFrom{};           // when it gets a referral unasked, if it still has no parent
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
  void letLapse(Node node, TimePoint now);
  bool failed(Node node, Node parent);

  SeenTree& seen_;
  const topo::Rule rule_;
  std::vector<Member> members_;     // by node
  std::set<JoinOrder> parentless_;  // as the members report
  std::deque<Lapse> lapses_;        // in order of time
  std::uint64_t reservations_ = 0;  // so far
};

}  // namespace espalier::metaserver
