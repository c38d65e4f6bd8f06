// The links of a tree as a Boost.Graph graph: an edge from each parent to each child, in order of
// linking; each vertex has the parent, and the root and depth that follow from the links.
//
// Only forest.h changes a graph. Others search it (search.h) or read a peer's links (Links). Not
// thread-safe.
#pragma once

#include <boost/graph/adjacency_list.hpp>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <memory>
#include <utility>

#include "topo/node_index.h"

namespace espalier::topo {

struct Vertex {
  JoinOrder order{};
  NodeIndex parent = kNoNode;
  NodeIndex root = kNoNode;  // of its tree
  std::uint32_t depth = 0;
  std::uint32_t pathPosition = 0;   // in the FirstChildPath, if it is there
  std::uint8_t parentPosition = 0;  // how many of its children were linked before its parent
  bool isMember = false;            // otherwise the index can be reused
  bool isListed = false;            // in the SlotIndex
};

using Graph = boost::adjacency_list<boost::vecS, boost::vecS, boost::directedS, Vertex>;

// A graph that copies and moves as a value. Boost 1.74 has no real move for graphs, and g++ 12
// warns about its copy; so both are written here. After a move the old object can only be assigned
// to or destroyed.
class GraphValue {
 public:
  GraphValue() : graph_(std::make_unique<Graph>()) {}
  GraphValue(const GraphValue& other) : graph_(std::make_unique<Graph>(num_vertices(*other))) {
    for (std::size_t v = 0; v < num_vertices(*graph_); ++v) {
      (*graph_)[v] = (*other)[v];
      const auto [first, last] = adjacent_vertices(v, *other);
      for (auto child = first; child != last; ++child) add_edge(v, *child, *graph_);
    }
  }
  GraphValue(GraphValue&&) noexcept = default;
  GraphValue& operator=(GraphValue other) noexcept {
    graph_ = std::move(other.graph_);
    return *this;
  }

  Graph& operator*() { return *graph_; }
  const Graph& operator*() const { return *graph_; }

 private:
  std::unique_ptr<Graph> graph_;
};

// The children of a peer, or its children and its parent, in order of linking: a view, valid until
// the tree changes.
class Links {
 public:
  class Iterator;

  Links() = default;
  // `parent` (or kNoNode) stands before the child at `parentPosition`.
  Links(const Graph& graph, NodeIndex node, NodeIndex parent, std::size_t parentPosition)
      : children_(adjacent_vertices(number(node), graph).first),
        parent_(parent),
        parentPosition_(parentPosition),
        size_(out_degree(number(node), graph) + (parent == kNoNode ? 0 : 1)) {}

  std::size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  NodeIndex front() const { return (*this)[0]; }
  NodeIndex operator[](std::size_t i) const {
    if (parent_ != kNoNode) {
      if (i == parentPosition_) return parent_;
      if (i > parentPosition_) --i;
    }
    return NodeIndex(static_cast<std::uint32_t>(*(children_ + static_cast<std::ptrdiff_t>(i))));
  }
  Iterator begin() const;
  Iterator end() const;

 private:
  boost::graph_traits<Graph>::adjacency_iterator children_;
  NodeIndex parent_ = kNoNode;
  std::size_t parentPosition_ = 0;
  std::size_t size_ = 0;
};

class Links::Iterator {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = NodeIndex;
  using difference_type = std::ptrdiff_t;
  using pointer = const NodeIndex*;
  using reference = NodeIndex;

  Iterator() = default;
  NodeIndex operator*() const { return links_[position_]; }
  Iterator& operator++() {
    ++position_;
    return *this;
  }
  Iterator operator++(int) {
    Iterator before = *this;
    ++position_;
    return before;
  }
  bool operator==(const Iterator& other) const { return position_ == other.position_; }

 private:
  friend class Links;
  Iterator(const Links& links, std::size_t position) : links_(links), position_(position) {}

  Links links_;
  std::size_t position_ = 0;
};

inline Links::Iterator Links::begin() const {
  return {*this, 0};
}
inline Links::Iterator Links::end() const {
  return {*this, size_};
}

}  // namespace espalier::topo
