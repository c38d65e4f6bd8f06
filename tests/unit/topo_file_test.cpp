#include <doctest/doctest.h>

#include "common/base/limits.h"
#include "tests/unit/topo_support.h"
#include "topo/dot.h"

using namespace espalier;
using namespace espalier::topo;

namespace {

std::string whyNot(std::string_view text) {
  const auto lines = parse(text);
  REQUIRE_FALSE(lines.ok());
  CHECK(lines.error().code == ErrorCode::protocol);
  return lines.error().message;
}

std::string whyNoTree(std::string_view text, unsigned maxLinks) {
  const auto lines = parse(text);
  REQUIRE(lines.ok());
  const auto tree = toTree(*lines, maxLinks);
  REQUIRE_FALSE(tree.ok());
  CHECK(tree.error().code == ErrorCode::protocol);
  return tree.error().message;
}

}  // namespace

TEST_CASE("topo.txt has two spaces after the colon, one between neighbours, none for a lone peer") {
  const std::vector<TopoLine> lines = {{peer("s1"), {peer("s2"), peer("größe")}},
                                       {peer("s2"), {peer("s1")}},
                                       {peer("größe"), {peer("s1")}},
                                       {peer("s4"), {}}};
  const std::string text = "s1:  s2 größe\ns2:  s1\ngröße:  s1\ns4:\n";
  CHECK(format(lines) == text);
  CHECK(parse(text).value() == lines);
  CHECK(parse("").value().empty());
  CHECK(format({}).empty());
}

TEST_CASE("files by a person or by the original program are read, too") {
  CHECK(format(parse("s1: s2   s3 \ns2:s1\ns3:  s1").value()) == "s1:  s2 s3\ns2:  s1\ns3:  s1\n");
}

TEST_CASE("a malformed topo.txt is refused with the number of the line") {
  CHECK(whyNot("s1:\ns2\n") == "line 2: a ':' after the peer's id is missing");
  CHECK(whyNot("\n") == "line 1: a ':' after the peer's id is missing");
  CHECK(whyNot(":  s1\n") == "line 1: \"\" is no peer id: it is empty");
  CHECK(whyNot("s1:  s2:\n") == "line 1: \"s2:\" is no peer id: it has a ':' or a '/'");
  CHECK(whyNot("s1:\r\n") ==
        "line 1: \"\\r\" is no peer id: it has a space or a control character");
  CHECK(whyNot("s1:\n\ts2:\n").starts_with("line 2: \"\\ts2\" is no peer id"));
  CHECK(whyNot("s1:  s1\n") == "line 1: a peer linked to itself");
  CHECK(whyNot("s1:  s2 s2\n") == "line 1: s2 is there twice");
  CHECK(whyNot("s1:\ns2:\ns1:\n") == "line 3: s1 has a line already");
  CHECK_FALSE(parse(std::string("s1:  s\0002\n", 10)).ok());

  std::string many = "s:";
  for (unsigned i = 0; i < limits::kMaxLinks; ++i) many += " n" + std::to_string(i);
  CHECK(parse(many).ok());
  CHECK(whyNot(many + " one") == "line 1: more than 64 neighbours");
}

TEST_CASE("lines that are not a forest are refused") {
  CHECK(whyNoTree("s1:  s2\n", 2) == "line 1: s2 has no line");
  CHECK(whyNoTree("s1:  s2\ns2:\n", 2) == "s1 is linked to s2, which does not know");
  CHECK(whyNoTree("s1:\ns2:  s1\n", 2) == "s2 is linked to s1, which does not know");
  CHECK(whyNoTree("a:  b c\nb:  a c\nc:  a b\n", 2) == "a cycle at b and c");
  CHECK(whyNoTree("a:  b c d\nb:  a\nc:  a\nd:  a\n", 2) == "a has 3 links, more than 2");
}

TEST_CASE("lines that are a forest keep their order of linking in the tree") {
  const auto text =
      "s1:  s3 s2\n"
      "s2:  s4 s1\n"
      "s3:  s1\n"
      "s4:  s2\n"
      "t1:\n";
  const Forest tree = treeOf(text, 3);
  CHECK(textOf(tree) == text);
  CHECK(namesOf(tree, tree.roots()) == "s1 t1");
  CHECK(tree.member(at(tree, "s4")).order == JoinOrder{4});
  checkSound(tree);
}

TEST_CASE("Graphviz gets each link once, and ids as they are") {
  CHECK(toDot(parse("s1:  s2 a\"\\&\ns2:  s1\na\"\\&:  s1\nlone:  ghost\n").value()) ==
        "graph G {\n"
        "node [shape=box];\n"
        "0[label=\"s1\"];\n"
        "1[label=\"s2\"];\n"
        "2[label=\"a\\\"\\\\&amp;\"];\n"
        "3[label=\"lone\"];\n"
        "4[label=\"ghost\", style=dashed];\n"
        "0--1 ;\n"
        "0--2 ;\n"
        "3--4 ;\n"
        "}\n");
  CHECK(toDot({}) == "graph G {\nnode [shape=box];\n}\n");
}
