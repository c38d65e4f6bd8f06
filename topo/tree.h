// The network: peers, their links, and who hangs below whom. A forest, as the metaserver sees it
// while links come and go; one tree when all is calm.
//
//   add ──> lone root ──link──> child ──unlink, or its parent is removed──> root of what is below
//   it
//
// Invariants (checkInvariants() names the one that is broken): no cycles; every peer has at most
// maxLinks() links, the one to its parent included; each component has one root; depth() and
// rootOf() agree with the links; peers with a free slot are found by the three placements.
//
// Held as a Boost.Graph graph whose vertices stay (their indices are used again), because removing
// one of a vector renumbers the rest. A NodeIndex is meant for one decision: a peer that is removed
// leaves its index to the next. Passing one that no member has is a bug of the caller: it asserts.
//
// A value: copies are independent. Not thread-safe. Cost: add, find, link of a lone root, and all
// that placements ask are O(1) or O(log n), some 0.3 microseconds at a million peers; link and
// unlink of a root with s peers below it O(s), because each has a new depth; isBelow O(depth).
#pragma once

#include <cstddef>
#include <deque>
#include <optional>
#include <unordered_map>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "topo/address_index.h"
#include "topo/first_child_path.h"
#include "topo/id_index.h"
#include "topo/links.h"
#include "topo/node_index.h"
#include "topo/slot_index.h"

namespace espalier::topo {

struct Member {
  PeerId id;
  JoinOrder order{};  // unique in the tree
  Endpoint endpoint;

  bool operator==(const Member&) const = default;
};

class Tree {
 public:
  // At least 2 and at most limits::kMaxLinks.
  explicit Tree(unsigned maxLinks);
  // The tree in which member i has exactly `neighbours[i]` in this order of linking, where
  // NodeIndex i is that member; the first member of each component is its root. Errors (code
  // `protocol`): not a forest, links that only one end knows, too many links, an id twice. O(n).
  static Result<Tree> fromLinks(unsigned maxLinks, std::vector<Member> members,
                                const std::vector<std::vector<NodeIndex>>& neighbours);

  // From now on nearestSlot() costs O(address bits) instead of O(n), and every change somewhat
  // more.
  void indexAddresses();

  // The new peer is a root without children. Its id must not be in the tree.
  NodeIndex add(Member member);
  // Its children become roots, in order of linking.
  void remove(NodeIndex node);
  // The member listens on another port from now on.
  void setPort(NodeIndex node, std::uint16_t port);
  // `child` becomes the youngest child of `parent`. Errors (code `refused`), after which nothing
  // has changed: `child` has a parent already, `parent` is below `child` or is it, no free slot at
  // one of the two.
  Result<void> link(NodeIndex child, NodeIndex parent);
  // From its parent; the child becomes a root. It must have a parent.
  void unlink(NodeIndex child);

  unsigned maxLinks() const { return maxLinks_; }
  std::size_t size() const { return ids_.size(); }
  bool empty() const { return size() == 0; }
  std::optional<NodeIndex> find(const PeerId& id) const;
  bool isMember(NodeIndex node) const;
  const Member& member(NodeIndex node) const;  // valid until it is removed

  std::optional<NodeIndex> parent(NodeIndex node) const;
  Links children(NodeIndex node) const;    // in order of linking, like neighbours
  Links neighbours(NodeIndex node) const;  // the parent at its place in that order
  unsigned degree(NodeIndex node) const;
  unsigned freeSlots(NodeIndex node) const { return maxLinks_ - degree(node); }
  std::size_t depth(NodeIndex node) const { return vertex(node).depth; }  // 0 at a root
  NodeIndex rootOf(NodeIndex node) const { return vertex(node).root; }
  // Whether `top` is `node` or above it.
  bool isBelow(NodeIndex node, NodeIndex top) const;

  std::vector<NodeIndex> roots() const;           // by order of joining
  std::vector<NodeIndex> membersByOrder() const;  // O(n), O(n log n) where indices were recycled
  // The root that joined first: of the tree that newcomers are placed in. "The network" below.
  std::optional<NodeIndex> oldestRoot() const;

  // What the placements of placement.h stand on; nothing only if the tree is empty.
  std::optional<NodeIndex> shallowestSlot() const;
  std::optional<NodeIndex> classicSlot() const;
  std::optional<NodeIndex> nearestSlot(const Endpoint& newcomer) const;

  // O(n log n). The message says at which peer what is wrong.
  Result<void> checkInvariants() const;

  // What forEach of Boost.Graph's algorithms wants; an edge goes from parent to child. Vertices
  // that are no member have no edges.
  const Graph& graph() const { return *graph_; }
  // Every index that a member can have is below it.
  std::size_t indexEnd() const { return num_vertices(*graph_); }

 private:
  friend class TreeChecker;

  Vertex& vertex(NodeIndex node);
  const Vertex& vertex(NodeIndex node) const;
  Result<void> mayLink(NodeIndex child, NodeIndex parent) const;
  void moveTree(NodeIndex top, NodeIndex newRoot, std::uint32_t newDepth, bool unlistFirst);
  void list(NodeIndex node);
  void unlist(NodeIndex node);
  void listIfFree(NodeIndex node);
  void pruneSlots(NodeIndex root);
  void pruneRoots();
  void extendPath();
  AddressIndex::IsLess idOrder() const;
  bool isRootEntry(OldestFirst::Entry entry) const;

  unsigned maxLinks_;
  GraphValue graph_;
  std::deque<Member> members_;       // by vertex; apart, so that links and depths stay together
  std::vector<NodeIndex> recycled_;  // vertices that are no member
  IdIndex ids_;
  OldestFirst roots_;
  // By root, for components of two peers or more: a lone root is its own only place.
  std::unordered_map<NodeIndex, SlotIndex> slots_;
  NodeIndex oldestRoot_ = kNoNode;
  FirstChildPath path_;                    // from oldestRoot_
  std::optional<AddressIndex> addresses_;  // of the listed peers below oldestRoot_
  std::vector<NodeIndex> work_;            // empty between calls; keeps its memory
};

}  // namespace espalier::topo
