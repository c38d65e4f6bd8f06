#include "topo/topo_file.h"

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

// The text up to the next space, which it takes from `rest` together with spaces before it.
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

}  // namespace

std::string format(std::span<const TopoLine> lines) {
  std::string text;
  for (const TopoLine& line : lines) {
    text += line.id.text();
    text += ':';
    if (!line.neighbours.empty()) text += ' ';
    for (const PeerId& neighbour : line.neighbours) {
      text += ' ';
      text += neighbour.text();
    }
    text += '\n';
  }
  return text;
}

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

Result<Tree> toTree(std::span<const TopoLine> lines, unsigned maxLinks) {
  std::unordered_map<PeerId, NodeIndex> nodes;
  std::vector<Member> members;
  for (const TopoLine& line : lines) {
    nodes.emplace(line.id, NodeIndex(static_cast<std::uint32_t>(members.size())));
    members.push_back({line.id, JoinOrder{members.size() + 1}, {}});
  }
  std::vector<std::vector<NodeIndex>> neighbours(lines.size());
  for (std::size_t i = 0; i < lines.size(); ++i) {
    for (const PeerId& id : lines[i].neighbours) {
      const auto found = nodes.find(id);
      if (found == nodes.end()) return broken(i + 1, fmt::format("{} has no line", id.text()));
      neighbours[i].push_back(found->second);
    }
  }
  return Tree::fromLinks(maxLinks, std::move(members), neighbours);
}

std::vector<TopoLine> toLines(const Tree& tree) {
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
