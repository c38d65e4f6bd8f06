// The network: the peers, their links, and which peer is below which. It is a forest, because the
// metaserver learns of links one by one. Without faults it is one tree.
//
//   add() --> lone root --link()--> child
//               ^                     |
//               +-- unlink(), or its parent is removed (it keeps everything below it)
//
// Invariants (forest_check.h checks them): no cycles; a peer has at most maxLinks() links, the one
// to its parent included; a component has one root; depth() and rootOf() agree with the links; the
// three placements find every peer with a free slot.
//
// The links are a Boost.Graph graph (graph.h). Vertices are never removed, because that renumbers
// the others; their indices are reused. So use a NodeIndex for one decision only. An index that no
// member has asserts.
//
// A value: copies are independent. Not thread-safe. Used by the registry, by copies of it for
// commands, and by plans (plan.h). Cost: add, find, link of a lone root, and what the placements
// ask are O(log n), at most 2 µs together at a million peers (bench/attach); link and unlink of a
// root with s peers below it are O(s log n), because each of them has a new depth.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <optional>
#include <set>
#include <utility>
#include <vector>

#include "common/base/endpoint.h"
#include "common/base/ids.h"
#include "common/base/result.h"
#include "topo/address_index.h"
#include "topo/first_child_path.h"
#include "topo/graph.h"
#include "topo/id_index.h"
#include "topo/node_index.h"
#include "topo/slot_index.h"

namespace espalier::topo {

struct Member {
  PeerId id;
  JoinOrder order{};  // unique in the tree
  Endpoint endpoint;

  bool operator==(const Member&) const = default;
};

class Forest {
 public:
  // At least limits::kMinLinks and at most limits::kMaxLinks.
  explicit Forest(unsigned maxLinks);

  // From now on nearestSlot() costs O(address bits) instead of O(n), and every change costs more.
  void indexAddresses();

  // The new peer is a root without children. Its id must not be in the tree.
  NodeIndex add(Member member);
  // Its children become roots, in order of linking.
  void remove(NodeIndex node);
  // The member listens on another port from now on.
  void setPort(NodeIndex node, std::uint16_t port);
  // `child` becomes the youngest child of `parent`. Errors (code `refused`), after which nothing
  // has changed: `child` has a parent already, `parent` is `child` or below it, one of the two has
  // no free slot.
  Result<void> link(NodeIndex child, NodeIndex parent);
  // The child becomes a root. It must have a parent.
  void unlink(NodeIndex child);

  unsigned maxLinks() const { return maxLinks_; }
  std::size_t size() const { return ids_.size(); }
  bool empty() const { return size() == 0; }
  std::optional<NodeIndex> find(const PeerId& id) const;
  bool isMember(NodeIndex node) const;
  const Member& member(NodeIndex node) const;  // valid until it is removed

  std::optional<NodeIndex> parent(NodeIndex node) const;
  Links children(NodeIndex node) const;    // in order of linking, as neighbours
  Links neighbours(NodeIndex node) const;  // the children and the parent
  unsigned degree(NodeIndex node) const;
  unsigned freeSlots(NodeIndex node) const { return maxLinks_ - degree(node); }
  std::size_t depth(NodeIndex node) const { return vertex(node).depth; }  // 0 at a root
  NodeIndex rootOf(NodeIndex node) const { return vertex(node).root; }
  // Whether `top` is `node` or above it. O(depth).
  bool isBelow(NodeIndex node, NodeIndex top) const;

  std::vector<NodeIndex> roots() const;           // by order of joining
  std::vector<NodeIndex> membersByOrder() const;  // O(n), O(n log n) where indices were reused
  // The root that joined first. Its component is the one in which newcomers are placed.
  std::optional<NodeIndex> oldestRoot() const;

  // The placements (placement.h). Empty only if the tree is.
  std::optional<NodeIndex> shallowestSlot() const;
  std::optional<NodeIndex> classicSlot() const;
  std::optional<NodeIndex> nearestSlot(const Endpoint& newcomer) const;

  // The number of peers that have got a new root or depth so far: what link() and unlink() cost.
  std::uint64_t moved() const { return moved_; }

  // For searches (search.h). Vertices without a member have no edges.
  const Graph& graph() const { return *graph_; }
  // All indices of members are below it.
  std::size_t indexEnd() const { return num_vertices(*graph_); }

 private:
  friend class ForestChecker;

  Vertex& vertex(NodeIndex node) { return (*graph_)[number(node)]; }
  const Vertex& vertex(NodeIndex node) const { return (*graph_)[number(node)]; }
  Result<void> mayLink(NodeIndex child, NodeIndex parent) const;
  void moveSubtree(NodeIndex top, NodeIndex newRoot, std::uint32_t newDepth);
  SlotIndex::Slot slotOf(NodeIndex node) const;
  void list(NodeIndex node);
  void unlist(NodeIndex node);
  void updateListing(NodeIndex node);
  void updateOldestRoot();
  void extendPath();
  AddressIndex::IsLess idOrder() const;

  unsigned maxLinks_;
  GraphValue graph_;
  std::deque<Member> members_;  // by vertex; not in the graph, so that links and depths are close
  std::vector<NodeIndex> recycled_;  // vertices without a member
  IdIndex ids_;
  std::set<std::pair<JoinOrder, NodeIndex>> roots_;
  SlotIndex slots_;
  NodeIndex oldestRoot_ = kNoNode;
  std::uint64_t moved_ = 0;
  FirstChildPath path_;                    // from oldestRoot_
  std::optional<AddressIndex> addresses_;  // of the listed peers below oldestRoot_
};

}  // namespace espalier::topo
