// Breadth-first searches of a tree with boost::breadth_first_visit.
//
// Children are visited in order of linking. The graph must be a tree below the start: then no
// vertex is reached twice and no colours are needed. A real colour map would cost O(n) to
// initialise in each search. Used by forest, placement and plan; no I/O.
//
// Not recursive: a network may be a line of a million peers. The callback may change the properties
// of vertices (root, depth), but no links. Cost: O(vertices visited).
#pragma once

#include <boost/graph/breadth_first_search.hpp>
#include <boost/property_map/property_map.hpp>
#include <cstddef>
#include <optional>
#include <vector>

#include "topo/graph.h"

namespace espalier::topo {

// A colour map in which every vertex is white at any time.
struct AlwaysWhite {
  using key_type = boost::graph_traits<Graph>::vertex_descriptor;
  using value_type = boost::default_color_type;
  using reference = value_type;
  using category = boost::read_write_property_map_tag;
};
inline boost::default_color_type get(AlwaysWhite, AlwaysWhite::key_type) {
  return boost::white_color;
}
inline void put(AlwaysWhite, AlwaysWhite::key_type, boost::default_color_type) {}

// A Buffer of Boost.Graph: the vertices that are still to be visited. After stop() it is empty,
// which ends the search.
class SearchQueue {
 public:
  using value_type = AlwaysWhite::key_type;

  void push(value_type vertex) { vertices_.push_back(vertex); }
  void pop() { ++next_; }
  value_type top() const { return vertices_[next_]; }
  bool empty() const { return stopped_ || next_ == vertices_.size(); }
  void stop() { stopped_ = true; }

 private:
  std::vector<value_type> vertices_;
  std::size_t next_ = 0;
  bool stopped_ = false;
};

// Calls `examine(node)` for each vertex that a search examines.
template <typename Examine>
class ExamineVisitor : public boost::default_bfs_visitor {
 public:
  explicit ExamineVisitor(Examine& examine) : examine_(&examine) {}
  void examine_vertex(AlwaysWhite::key_type vertex, const Graph&) const {
    (*examine_)(NodeIndex(static_cast<std::uint32_t>(vertex)));
  }

 private:
  Examine* examine_;
};

// Calls `visit(node)` for `top` and everything below it, a parent always before its children.
template <typename Visit>
void visitBreadthFirst(const Graph& graph, NodeIndex top, Visit visit) {
  SearchQueue queue;
  boost::breadth_first_visit(graph, number(top), queue, ExamineVisitor<Visit>(visit),
                             AlwaysWhite());
}

// The first of `top` and everything below it for which `matches(node)` is true.
template <typename Matches>
std::optional<NodeIndex> findBreadthFirst(const Graph& graph, NodeIndex top,
                                          const Matches& matches) {
  SearchQueue queue;
  std::optional<NodeIndex> found;
  auto examine = [&](NodeIndex node) {
    if (!matches(node)) return;
    found = node;
    queue.stop();
  };
  boost::breadth_first_visit(graph, number(top), queue, ExamineVisitor<decltype(examine)>(examine),
                             AlwaysWhite());
  return found;
}

}  // namespace espalier::topo
