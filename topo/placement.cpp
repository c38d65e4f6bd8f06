#include "topo/placement.h"

#include <fmt/format.h>

#include <array>
#include <utility>

#include "common/base/text.h"
#include "topo/search.h"

namespace espalier::topo {
namespace {

constexpr std::array<std::pair<Rule, std::string_view>, 3> kNames = {{
    {Rule::shallowest, "shallowest"},
    {Rule::classic, "classic"},
    {Rule::nearest, "nearest"},
}};

}  // namespace

Result<Rule> parseRule(std::string_view text) {
  for (const auto& [rule, itsName] : kNames) {
    if (text == itsName) return rule;
  }
  return Error{
      ErrorCode::usage,
      fmt::format("\"{}\" is no placement: shallowest, classic or nearest", escaped(text))};
}

std::string_view name(Rule rule) {
  for (const auto& [one, itsName] : kNames) {
    if (one == rule) return itsName;
  }
  return "";
}

std::optional<NodeIndex> place(const Forest& tree, Rule rule, const Endpoint& newcomer) {
  switch (rule) {
    case Rule::shallowest:
      return tree.shallowestSlot();
    case Rule::classic:
      return tree.classicSlot();
    case Rule::nearest:
      return tree.nearestSlot(newcomer);
  }
  return std::nullopt;
}

std::optional<NodeIndex> shallowestBelow(const Forest& tree, NodeIndex top,
                                         const Accepts& accepts) {
  return findBreadthFirst(tree.graph(), top, [&](NodeIndex node) {
    return tree.freeSlots(node) > 0 && (!accepts || accepts(node));
  });
}

}  // namespace espalier::topo
