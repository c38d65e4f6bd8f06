#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>

#include "tests/unit/topo_support.h"
#include "topo/plan.h"
#include "topo/topo_file.h"

using namespace espalier;
using namespace espalier::topo;

namespace {

std::vector<NodeIndex> nodesOf(const Forest& tree, std::initializer_list<const char*> names) {
  std::vector<NodeIndex> nodes;
  for (const auto* name : names) nodes.push_back(at(tree, name));
  return nodes;
}

// A line each, then the network as in topo.txt.
std::string describeFailure(const Forest& tree, const std::vector<NodeIndex>& dead) {
  const Plan plan = planFailure(tree, dead);
  const auto name = [&](NodeIndex node) -> const std::string& {
    return tree.member(node).id.text();
  };
  std::string text;
  if (plan.newRoot) text += fmt::format("{} would become the root\n", name(*plan.newRoot));
  for (const auto& [orphan, parent] : plan.attachments) {
    text += fmt::format("{} would attach to {}\n", name(orphan), name(parent));
  }
  if (text.empty()) text = "nobody would have to move\n";
  const std::string network = format(toLines(apply(tree, plan, dead)));
  return text + (network.empty() ? "empty network\n" : network);
}

std::string killed(std::string_view network, unsigned maxLinks,
                   std::initializer_list<const char*> names) {
  const Forest tree = treeOf(network, maxLinks);
  const auto dead = nodesOf(tree, names);
  checkSound(apply(tree, planFailure(tree, dead), dead));
  return describeFailure(tree, dead);
}

constexpr auto kLine =
    "s1:  s2\n"
    "s2:  s1 s3\n"
    "s3:  s2 s4\n"
    "s4:  s3 s5\n"
    "s5:  s4\n";

// What five peers look like under the default rules: the first is in the middle.
constexpr auto kGrown =
    "s1:  s2 s3\n"
    "s2:  s1 s4\n"
    "s3:  s1 s5\n"
    "s4:  s2\n"
    "s5:  s3\n";

constexpr auto kBushy =
    "s1:  s2 s3 s4\n"
    "s2:  s1 s5 s6\n"
    "s3:  s1 s7\n"
    "s4:  s1\n"
    "s5:  s2\n"
    "s6:  s2 s8\n"
    "s7:  s3\n"
    "s8:  s6\n";

}  // namespace

TEST_CASE("a line that loses one peer is a line again") {
  CHECK(killed(kLine, 2, {"s1"}) ==
        "s2 would become the root\n"
        "s2:  s3\n"
        "s3:  s2 s4\n"
        "s4:  s3 s5\n"
        "s5:  s4\n");
  CHECK(killed(kLine, 2, {"s2"}) ==
        "s3 would attach to s1\n"
        "s1:  s3\n"
        "s3:  s4 s1\n"
        "s4:  s3 s5\n"
        "s5:  s4\n");
  CHECK(killed(kLine, 2, {"s3"}) ==
        "s4 would attach to s2\n"
        "s1:  s2\n"
        "s2:  s1 s4\n"
        "s4:  s5 s2\n"
        "s5:  s4\n");
  CHECK(killed(kLine, 2, {"s4"}) ==
        "s5 would attach to s3\n"
        "s1:  s2\n"
        "s2:  s1 s3\n"
        "s3:  s2 s5\n"
        "s5:  s3\n");
  CHECK(killed(kLine, 2, {"s5"}) ==
        "nobody would have to move\n"
        "s1:  s2\n"
        "s2:  s1 s3\n"
        "s3:  s2 s4\n"
        "s4:  s3\n");
}

TEST_CASE("the root of two branches is followed by its older child, which takes the other one in") {
  CHECK(killed(kGrown, 2, {"s1"}) ==
        "s2 would become the root\n"
        "s3 would attach to s2\n"
        "s2:  s4 s3\n"
        "s3:  s5 s2\n"
        "s4:  s2\n"
        "s5:  s3\n");
  CHECK(killed(kGrown, 2, {"s2"}) ==
        "s4 would attach to s1\n"
        "s1:  s3 s4\n"
        "s3:  s1 s5\n"
        "s4:  s1\n"
        "s5:  s3\n");
}

TEST_CASE("several deaths in a line at once leave one line") {
  CHECK(killed(kLine, 2, {"s2", "s4"}) ==
        "s3 would attach to s1\n"
        "s5 would attach to s3\n"
        "s1:  s3\n"
        "s3:  s1 s5\n"
        "s5:  s3\n");
  CHECK(killed(kLine, 2, {"s1", "s2", "s4"}) ==
        "s3 would become the root\n"
        "s5 would attach to s3\n"
        "s3:  s5\n"
        "s5:  s3\n");
  CHECK(killed(kGrown, 2, {"s1", "s2", "s3"}) ==
        "s4 would become the root\n"
        "s5 would attach to s4\n"
        "s4:  s5\n"
        "s5:  s4\n");
  CHECK(killed(kLine, 2, {"s1", "s2", "s3", "s4", "s5"}) ==
        "nobody would have to move\n"
        "empty network\n");
}

TEST_CASE("orphans go to the first free slot below their nearest living ancestor, oldest first") {
  CHECK(killed(kBushy, 3, {"s2"}) ==
        "s5 would attach to s1\n"
        "s6 would attach to s3\n"  // s1 is full again
        "s1:  s3 s4 s5\n"
        "s3:  s1 s7 s6\n"
        "s4:  s1\n"
        "s5:  s1\n"
        "s6:  s8 s3\n"
        "s7:  s3\n"
        "s8:  s6\n");
  CHECK(killed(kBushy, 3, {"s1", "s6"}) ==
        "s2 would become the root\n"
        "s3 would attach to s2\n"  // at the places that s1 and s6 left
        "s4 would attach to s2\n"
        "s8 would attach to s3\n"  // of s2's children the one that joined first
        "s2:  s5 s3 s4\n"
        "s3:  s7 s2 s8\n"
        "s4:  s2\n"
        "s5:  s2\n"
        "s7:  s3\n"
        "s8:  s3\n");
}

TEST_CASE("an orphan keeps a link for its next parent while others attach below it") {
  // The children of both dead peers joined before their grandparent s9, which is an orphan itself.
  const auto network =
      "s1:  s2\n"
      "s2:  s1 s9\n"
      "s3:  a\n"
      "s4:  a\n"
      "s5:  b\n"
      "s6:  b\n"
      "s9:  s2 a b\n"
      "a:  s9 s3 s4\n"
      "b:  s9 s5 s6\n";
  CHECK(killed(network, 3, {"s2", "a", "b"}) ==
        "s3 would attach to s9\n"
        "s4 would attach to s9\n"
        "s5 would attach to s3\n"
        "s6 would attach to s3\n"
        "s9 would attach to s1\n"
        "s1:  s9\n"
        "s3:  s9 s5 s6\n"
        "s4:  s9\n"
        "s5:  s3\n"
        "s6:  s3\n"
        "s9:  s3 s4 s1\n");
}

TEST_CASE("a component beside the network stays one, and its root is not the network's") {
  const auto network = std::string(kLine) + "t1:  t2 t3\nt2:  t1\nt3:  t1\n";
  const Forest tree = treeOf(network, 2);
  const auto dead = nodesOf(tree, {"t1"});
  const Plan plan = planFailure(tree, dead);
  CHECK(plan.newRoot == std::nullopt);
  CHECK(plan.attachments == std::vector<Attachment>{{at(tree, "t3"), at(tree, "t2")}});
  CHECK(namesOf(tree, apply(tree, plan, dead).roots()) == "s1 t2");
}

TEST_CASE("the order in which deaths are named does not matter, nor that one is named twice") {
  const Forest tree = treeOf(kBushy, 3);
  const auto once = planFailure(tree, nodesOf(tree, {"s1", "s2", "s6"}));
  const auto twice = planFailure(tree, nodesOf(tree, {"s6", "s1", "s2", "s1"}));
  CHECK(once.attachments == twice.attachments);
  CHECK(once.newRoot == twice.newRoot);
}
