// Tree::fromLinks, apart from tree.cpp for its length.
#include <fmt/format.h>

#include <algorithm>
#include <cassert>

#include "topo/tree.h"

namespace espalier::topo {
namespace {

Error broken(std::string message) {
  return {ErrorCode::protocol, std::move(message)};
}

}  // namespace

Result<Tree> Tree::fromLinks(unsigned maxLinks, std::vector<Member> members,
                             const std::vector<std::vector<NodeIndex>>& neighbours) {
  assert(members.size() == neighbours.size());
  Tree tree(maxLinks);
  const auto name = [&](NodeIndex node) -> const std::string& {
    return tree.members_[number(node)].id.text();
  };
  for (Member& one : members) {
    if (tree.find(one.id)) return broken(fmt::format("{} is there twice", one.id.text()));
    const auto node = NodeIndex(static_cast<std::uint32_t>(add_vertex(*tree.graph_)));
    tree.ids_.insert(IdIndex::hash(one.id), node);
    tree.vertex(node).order = one.order;
    tree.vertex(node).isMember = true;
    tree.members_.push_back(std::move(one));
  }

  // Breadth first from the first of each component; who is reached twice closes a cycle.
  std::vector<NodeIndex> reached;
  reached.reserve(tree.size());
  for (std::uint32_t i = 0; i < neighbours.size(); ++i) {
    if ((*tree.graph_)[i].root != kNoNode) continue;
    (*tree.graph_)[i].root = NodeIndex(i);
    tree.roots_.insert({(*tree.graph_)[i].order, NodeIndex(i)});
    reached.push_back(NodeIndex(i));
    for (std::size_t next = reached.size() - 1; next < reached.size(); ++next) {
      const NodeIndex node = reached[next];
      const auto& links = neighbours[number(node)];
      if (links.size() > maxLinks) {
        return broken(
            fmt::format("{} has {} links, more than {}", name(node), links.size(), maxLinks));
      }
      bool sawParent = false;
      for (const NodeIndex other : links) {
        if (other == tree.vertex(node).parent && !sawParent) {
          sawParent = true;
          continue;
        }
        const auto& back = neighbours[number(other)];
        const auto found = std::find(back.begin(), back.end(), node);
        if (found == back.end()) {
          return broken(
              fmt::format("{} is linked to {}, which does not know", name(node), name(other)));
        }
        Vertex& child = tree.vertex(other);
        if (child.root != kNoNode) {
          return broken(fmt::format("a cycle at {} and {}", name(node), name(other)));
        }
        child.root = tree.vertex(node).root;
        child.parent = node;
        child.parentPosition =
            static_cast<std::uint8_t>(std::min<std::ptrdiff_t>(found - back.begin(), 255));
        child.depth = tree.vertex(node).depth + 1;
        add_edge(number(node), number(other), *tree.graph_);
        reached.push_back(other);
      }
    }
  }
  for (const NodeIndex node : reached) tree.listIfFree(node);
  for (const NodeIndex node : reached) {
    if (tree.vertex(node).parent == kNoNode) tree.pruneSlots(node);
  }
  tree.pruneRoots();
  return tree;
}

}  // namespace espalier::topo
