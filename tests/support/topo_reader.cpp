#include "tests/support/topo_reader.h"

#include <fmt/format.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "common/base/limits.h"

namespace espalier::topo {
namespace {

Error broken(std::size_t line, std::string_view why) {
  return {ErrorCode::protocol, fmt::format("line {}: {}", line, why)};
}

// Takes the next word from `rest`, with the spaces before it.
std::string_view takeWord(std::string_view& rest) {
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  const std::string_view word = rest.substr(0, rest.find(' '));
  rest.remove_prefix(word.size());
  return word;
}

Result<TopoLine> parseLine(std::string_view text, std::size_t number) {
  const auto colon = text.find(':');
  if (colon == std::string_view::npos)
    return broken(number, "a ':' after the peer's id is missing");
  auto id = PeerId::parse(text.substr(0, colon));
  if (!id) return broken(number, id.error().message);
  TopoLine line{std::move(*id), {}};
  std::string_view rest = text.substr(colon + 1);
  for (std::string_view word = takeWord(rest); !word.empty(); word = takeWord(rest)) {
    if (line.neighbours.size() == limits::kMaxLinks) {
      return broken(number, fmt::format("more than {} neighbours", limits::kMaxLinks));
    }
    auto neighbour = PeerId::parse(word);
    if (!neighbour) return broken(number, neighbour.error().message);
    if (*neighbour == line.id) return broken(number, "a peer linked to itself");
    if (std::find(line.neighbours.begin(), line.neighbours.end(), *neighbour) !=
        line.neighbours.end()) {
      return broken(number, fmt::format("{} is there twice", neighbour->text()));
    }
    line.neighbours.push_back(std::move(*neighbour));
  }
  return line;
}

Error noForest(std::string message) {
  return {ErrorCode::protocol, std::move(message)};
}

using Neighbours = std::vector<std::vector<std::size_t>>;  // by position of the line

// The parent of each peer, its own position for a root. Breadth first from the first line of each
// component.
Result<std::vector<std::size_t>> parentsOf(std::span<const TopoLine> lines,
                                           const Neighbours& neighbours, unsigned maxLinks) {
  constexpr std::size_t kUnknown = ~std::size_t{0};
  const auto name = [&](std::size_t peer) -> const std::string& { return lines[peer].id.text(); };
  std::vector<std::size_t> parents(lines.size(), kUnknown);
  for (std::size_t root = 0; root < lines.size(); ++root) {
    if (parents[root] != kUnknown) continue;
    parents[root] = root;
    std::vector<std::size_t> queue{root};
    for (std::size_t next = 0; next < queue.size(); ++next) {
      const std::size_t peer = queue[next];
      if (neighbours[peer].size() > maxLinks) {
        return noForest(fmt::format("{} has {} links, more than {}", name(peer),
                                    neighbours[peer].size(), maxLinks));
      }
      for (const std::size_t other : neighbours[peer]) {
        if (other == parents[peer]) continue;
        const auto& back = neighbours[other];
        if (std::find(back.begin(), back.end(), peer) == back.end()) {
          return noForest(
              fmt::format("{} is linked to {}, which does not know", name(peer), name(other)));
        }
        if (parents[other] != kUnknown) {
          return noForest(fmt::format("a cycle at {} and {}", name(peer), name(other)));
        }
        parents[other] = peer;
        queue.push_back(other);
      }
    }
  }
  return parents;
}

}  // namespace

Result<std::vector<TopoLine>> parse(std::string_view text) {
  std::vector<TopoLine> lines;
  std::unordered_set<PeerId> ids;
  while (!text.empty()) {
    const std::size_t number = lines.size() + 1;
    if (number > limits::kMembers) {
      return broken(number, fmt::format("more than {} peers", limits::kMembers));
    }
    const std::string_view oneLine = text.substr(0, text.find('\n'));
    text.remove_prefix(std::min(oneLine.size() + 1, text.size()));
    auto line = parseLine(oneLine, number);
    if (!line) return line.error();
    if (!ids.insert(line->id).second) {
      return broken(number, fmt::format("{} has a line already", line->id.text()));
    }
    lines.push_back(std::move(*line));
  }
  return lines;
}

Result<Forest> toTree(std::span<const TopoLine> lines, unsigned maxLinks) {
  std::unordered_map<PeerId, std::size_t> positions;
  Forest tree(maxLinks);
  std::vector<NodeIndex> nodes;
  for (const TopoLine& line : lines) {
    positions.emplace(line.id, nodes.size());
    nodes.push_back(tree.add({line.id, JoinOrder{nodes.size() + 1}, {}}));
  }
  Neighbours neighbours(lines.size());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    for (const PeerId& id : lines[i].neighbours) {
      const auto found = positions.find(id);
      if (found == positions.end()) return broken(i + 1, fmt::format("{} has no line", id.text()));
      neighbours[i].push_back(found->second);
    }
  }
  const auto parents = parentsOf(lines, neighbours, maxLinks);
  if (!parents) return parents.error();

  // Each peer's links must be made in the order of its line. A link is made when it is the next one
  // of both its ends. A forest always has such a link.
  std::vector<std::size_t> made(lines.size());
  const auto isNext = [&](std::size_t peer, std::size_t other) {
    return made[peer] < neighbours[peer].size() && neighbours[peer][made[peer]] == other;
  };
  std::vector<std::size_t> candidates(lines.size());
  for (std::size_t i = 0; i < lines.size(); ++i) candidates[i] = i;
  while (!candidates.empty()) {
    const std::size_t peer = candidates.back();
    candidates.pop_back();
    while (made[peer] < neighbours[peer].size()) {
      const std::size_t other = neighbours[peer][made[peer]];
      if (!isNext(other, peer)) break;
      const bool isChild = (*parents)[peer] == other;
      const auto linked =
          isChild ? tree.link(nodes[peer], nodes[other]) : tree.link(nodes[other], nodes[peer]);
      if (!linked) return linked.error();
      ++made[peer];
      ++made[other];
      candidates.push_back(other);
    }
  }
  return tree;
}

std::vector<TopoLine> toLines(const Forest& tree) {
  std::vector<TopoLine> lines;
  lines.reserve(tree.size());
  for (const NodeIndex node : tree.membersByOrder()) {
    TopoLine& line = lines.emplace_back();
    line.id = tree.member(node).id;
    for (const NodeIndex neighbour : tree.neighbours(node)) {
      line.neighbours.push_back(tree.member(neighbour).id);
    }
  }
  return lines;
}

}  // namespace espalier::topo
