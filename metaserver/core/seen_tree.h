// The tree as the metaserver sees it: the links that both ends have reported, and those that are
// reserved for a referral. Also each member's last report, from which topo.txt is made.
//
// A link to a parent:
//
//   none --reserve()--> reserved --both ends report it--> held --the parent is removed--> none
//     ^                    |                                |
//     +---- release() -----+--------------------------------+
//
// A reserved link counts as a link for all later placements. Reports override reservations. What
// only the child reports changes nothing: otherwise a member could take slots, and move peers, by
// naming any member its parent. A peer that reports no parent keeps its link until its parent's
// death is noticed: the plan for that death starts from there.
//
// Invariants (check()): those of topo::Forest; a reserved link leads to a parent; no member reports
// a link twice or to itself. restore() keeps one more, if slots are free: two members
// that report each other as child and parent are linked, unless that closes a cycle of such links:
// then the one that was reported last is left out. It runs after each report of either, and with
// each tick for all roots, because the parent may have had no free slot.
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
#include "metaserver/core/member_changes.h"
#include "topo/forest.h"

namespace espalier::metaserver {

class SeenTree {
 public:
  using Node = topo::NodeIndex;

  struct Report {
    std::optional<PeerId> parent;
    std::vector<PeerId> neighbours;  // in order of linking; each once, not itself

    bool operator==(const Report&) const = default;
  };

  explicit SeenTree(unsigned maxLinks) : tree_(maxLinks) {}
  void indexAddresses() { tree_.indexAddresses(); }

  Node add(topo::Member member, const InstanceHash& instance = {});
  // Of an empty tree: becomes the one that these rows, by order, are of. A link that its ends do
  // not report counts as reserved, because rows do not tell.
  void load(const std::vector<MemberRow>& rows);
  // Its children become roots whose links are not reserved.
  void remove(Node node);
  void setPort(Node node, std::uint16_t port);
  void setInstance(Node node, const InstanceHash& instance);

  // Replaces its last report, and restores the invariants. In `neighbours` only the first of each
  // id counts, and its own id is ignored. False: it repeats its last report.
  bool report(Node node, std::optional<PeerId> parent, const std::vector<PeerId>& neighbours);
  // False if one of the two has no free slot; then nothing has changed.
  bool reserve(Node node, Node parent);
  // Removes the link to its parent, which it must have.
  void release(Node node);
  // Makes the link of this peer to its parent agree with their reports.
  void restore(Node node);
  // The same for all members without a parent: a slot for their links may be free now.
  void restoreRoots();

  const topo::Forest& tree() const { return tree_; }
  const std::map<JoinOrder, Node>& byOrder() const { return byOrder_; }
  const Report& reported(Node node) const { return members_[topo::number(node)].report; }
  // Whether `to`, if it is a member, reports a link to `from`.
  bool isMutual(Node from, const PeerId& to) const;
  bool isReserved(Node node) const { return members_[topo::number(node)].isReserved; }
  std::size_t reservedCount() const { return reserved_; }
  wire::Contact contact(Node node) const;
  // For a copy; without the key.
  MemberRow row(Node node) const;
  // The members after `after` by order of joining, with the links that both ends have reported:
  // about `mostBytes` of a frame, at least one member. O(members returned).
  wire::TopologyEntry entry(Node node) const;
  // The answer to a request: of one member, or a page of all.
  std::vector<wire::TopologyEntry> entries(const wire::TopologyRequest& wanted,
                                           std::size_t mostBytes, bool& more) const;
  std::vector<wire::TopologyEntry> entries(JoinOrder after, std::size_t mostBytes,
                                           bool& more) const;

  ChangeLog& changes() { return changes_; }
  // O(n log n). The message says what is wrong.
  Result<void> check() const;

 private:
  struct Member {
    Report report;
    bool isReserved = false;
    InstanceHash instance = {};  // as it told; zero: not told
  };

  Member& member(Node node) { return members_[topo::number(node)]; }
  bool isConfirmed(Node child, Node parent) const;
  std::optional<Node> unconfirmedBetween(Node node, Node top) const;
  bool makeRoom(Node node, Node keep);
  void linkBelow(Node parent, std::vector<Node> children);
  void changed(Node node) { changes_.changed(node, tree_.member(node).order); }
  void setReserved(Node node, bool reserved);

  topo::Forest tree_;
  std::vector<Member> members_;  // by node
  std::map<JoinOrder, Node> byOrder_;
  std::size_t reserved_ = 0;
  ChangeLog changes_;
};

}  // namespace espalier::metaserver
