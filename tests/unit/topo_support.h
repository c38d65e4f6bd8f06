// Helpers for tests of trees: networks are written as texts, and peers have names.
#pragma once

#include <doctest/doctest.h>

#include <string>
#include <string_view>
#include <vector>

#include "tests/support/topo_reader.h"
#include "topo/forest.h"
#include "topo/forest_check.h"
#include "topo/topo_file.h"

namespace espalier::topo {

inline PeerId peer(std::string_view name) {
  return PeerId::parse(name).value();
}

inline Forest treeOf(std::string_view text, unsigned maxLinks) {
  const auto lines = parse(text);
  REQUIRE(lines.ok());
  auto tree = toTree(*lines, maxLinks);
  if (!tree) FAIL(tree.error().message);
  return std::move(*tree);
}

inline std::string textOf(const Forest& tree) {
  return format(toLines(tree));
}

inline NodeIndex at(const Forest& tree, std::string_view name) {
  const auto node = tree.find(peer(name));
  REQUIRE(node.has_value());
  return *node;
}

inline std::string nameOf(const Forest& tree, std::optional<NodeIndex> node) {
  return node ? tree.member(*node).id.text() : "nobody";
}

// "s1 s3": in the order given.
template <typename Nodes>
std::string namesOf(const Forest& tree, const Nodes& nodes) {
  std::string text;
  for (const NodeIndex node : nodes) text += (text.empty() ? "" : " ") + nameOf(tree, node);
  return text;
}

inline void checkSound(const Forest& tree) {
  const auto sound = checkInvariants(tree);
  CHECK_MESSAGE(sound.ok(), (sound.ok() ? "" : sound.error().message));
}

}  // namespace espalier::topo
