// The tree as the metaserver sees it: the links that children have reported, and those that are
// reserved for a referral. Also what each member last reported, from which topo.txt is made.
//
// A link to a parent:
//
//   none --reserve()--> reserved --reported by the child--> held --the parent is removed--> none
//     ^                    |                                  |
//     +---- release() -----+----------------------------------+
//
// A reserved link counts as a link for all that are placed later. What peers report overrides what
// is reserved. A peer that reports no parent keeps its link until its parent's death is noticed:
// the plan for that death starts from there.
//
// Invariants (check()): those of topo::Forest; a reserved link leads to a parent; nobody reports a
// link twice or to itself. restore() keeps another one as far as there is room: a peer that reports
// a member as its parent is linked to it. It runs after each report, and with each tick for all
// roots, because the parent may have joined later, or have had no room.
//
// Does no I/O. Not thread-safe. Owned by the registry, which is its only user beside Placement.
// O(log n) for a lone peer; else O(the subtree that moves).
#pragma once

#include <cstddef>
#include <map>
#include <optional>
#include <vector>

#include "common/base/result.h"
#include "common/wire/registry.h"
#include "metaserver/core/change_log.h"
#include "topo/forest.h"

namespace espalier::metaserver {

class SeenTree {
 public:
  using Node = topo::NodeIndex;

  struct Report {
    std::optional<PeerId> parent;
    std::vector<PeerId> neighbours;  // in order of linking; nobody twice, and not itself
  };

  explicit SeenTree(unsigned maxLinks) : tree_(maxLinks) {}
  void indexAddresses() { tree_.indexAddresses(); }

  Node add(topo::Member member);
  // Its children become roots whose links are not reserved.
  void remove(Node node);
  void setPort(Node node, std::uint16_t port);

  // Replaces what it reported before, and restores the invariants. Of `neighbours` only the first
  // of each id counts, and not its own.
  void report(Node node, std::optional<PeerId> parent, const std::vector<PeerId>& neighbours);
  // Whether there was room for the link at both ends. Else nothing has changed.
  bool reserve(Node node, Node parent);
  // The link to its parent, which it must have, is gone.
  void release(Node node);
  // Makes the link of this peer to its parent agree with what it reports.
  void restore(Node node);
  // The same for all that have no parent: there may be room for their links now.
  void restoreRoots();

  const topo::Forest& tree() const { return tree_; }
  const std::map<JoinOrder, Node>& byOrder() const { return byOrder_; }
  const Report& reported(Node node) const { return members_[topo::number(node)].report; }
  bool isReserved(Node node) const { return members_[topo::number(node)].isReserved; }
  std::size_t reservedCount() const { return reserved_; }
  wire::Contact contact(Node node) const;
  // The members after `after` by order of joining, with the links that both ends have reported;
  // some `mostBytes` of frame, at least one member. O(members returned).
  std::vector<wire::TopologyEntry> entries(JoinOrder after, std::size_t mostBytes,
                                           bool& more) const;

  ChangeLog& changes() { return changes_; }
  // O(n log n). The message says what is wrong.
  Result<void> check() const;

 private:
  struct Member {
    Report report;
    bool isReserved = false;
  };

  Member& member(Node node) { return members_[topo::number(node)]; }
  bool isMutual(Node from, const PeerId& to) const;
  bool reportsParent(Node child, Node parent) const;
  bool makeRoom(Node node, Node keep);
  void changed(Node node) { changes_.changed(node, tree_.member(node).order); }
  void setReserved(Node node, bool reserved);

  topo::Forest tree_;
  std::vector<Member> members_;  // by node
  std::map<JoinOrder, Node> byOrder_;
  std::size_t reserved_ = 0;
  ChangeLog changes_;
};

}  // namespace espalier::metaserver
