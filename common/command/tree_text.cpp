#include "common/command/tree_text.h"

#include <deque>
#include <unordered_map>
#include <utility>

#include "common/base/text.h"
#include "common/command/printing.h"

namespace espalier::command {
namespace {

using Index = std::size_t;

constexpr std::size_t kGoesOnColumns = 3;  // of " ──"

// Each peer's children, and the roots.
struct Forest {
  std::vector<std::vector<Index>> children;
  std::vector<Index> roots;
};

Forest forestOf(const std::vector<NetworkPeer>& peers) {
  std::unordered_map<PeerId, Index> indices;
  for (Index i = 0; i < peers.size(); ++i) indices.emplace(peers[i].id, i);
  Forest forest;
  forest.children.resize(peers.size());
  std::vector<bool> isSeen(peers.size());
  for (Index first = 0; first < peers.size(); ++first) {
    if (isSeen[first]) continue;
    forest.roots.push_back(first);
    isSeen[first] = true;
    for (std::deque<Index> queue{first}; !queue.empty(); queue.pop_front()) {
      auto& children = forest.children[queue.front()];
      for (const auto& link : peers[queue.front()].links) {
        const auto found = indices.find(link);
        if (found == indices.end() || isSeen[found->second]) continue;
        isSeen[found->second] = true;
        children.push_back(found->second);
        queue.push_back(found->second);
      }
    }
  }
  return forest;
}

// A branch that is still to be drawn.
struct Branch {
  Index first = 0;
  std::string indent;     // of the line
  std::string connector;  // behind it
  std::string below;      // the indent of what follows it
  std::size_t level = 0;
};

class TreeDrawing {
 public:
  TreeDrawing(const std::vector<NetworkPeer>& peers, std::size_t columns)
      : peers_(peers), columns_(columns), forest_(forestOf(peers)) {}

  std::string draw() {
    std::vector<Branch> left;
    for (auto root = forest_.roots.rbegin(); root != forest_.roots.rend(); ++root) {
      left.push_back({*root, "", "", "", 0});
    }
    while (!left.empty()) {
      const Branch branch = std::move(left.back());
      left.pop_back();
      const Index last = drawLine(branch);
      const auto& children = forest_.children[last];
      for (auto child = children.rbegin(); child != children.rend(); ++child) {
        left.push_back(childOf(branch, *child, child == children.rbegin()));
      }
    }
    return std::move(text_);
  }

 private:
  static Branch childOf(const Branch& above, Index child, bool isLast) {
    if (above.level >= kTreeLevelsShown) {
      return {child, above.below, "⋯ ", above.below, above.level};
    }
    return {child, above.below, isLast ? "└── " : "├── ", above.below + (isLast ? "    " : "│   "),
            above.level + 1};
  }

  // The peers from the branch's first to the next one that has not one child. Returns that one.
  Index drawLine(const Branch& branch) {
    const bool isRoot = branch.level == 0;
    Index peer = branch.first;
    std::string line = branch.indent + branch.connector + escaped(peers_[peer].id.text());
    std::size_t width = displayWidth(line);
    while (forest_.children[peer].size() == 1) {
      peer = forest_.children[peer].front();
      const std::string next = " ── " + escaped(peers_[peer].id.text());
      const std::size_t more = displayWidth(next);
      if (width + more + kGoesOnColumns > columns_) {
        text_ += line + " ──\n";
        line = branch.below + (isRoot ? "    " : "");
        width = displayWidth(line);
        line += next.substr(1);
      } else {
        line += next;
      }
      width += more;
    }
    text_ += line + "\n";
    return peer;
  }

  const std::vector<NetworkPeer>& peers_;
  const std::size_t columns_;
  const Forest forest_;
  std::string text_;
};

}  // namespace

std::string treeText(const std::vector<NetworkPeer>& peers, std::size_t columns) {
  return TreeDrawing(peers, columns).draw();
}

}  // namespace espalier::command
