#include <doctest/doctest.h>

#include "tests/unit/topo_support.h"
#include "topo/forest.h"
#include "topo/placement.h"
#include "topo/topo_file.h"

using namespace espalier;
using namespace espalier::topo;

namespace {

Member member(std::string_view name, std::uint64_t order, std::string host = "127.0.0.1",
              std::uint16_t port = 5001) {
  return {peer(name), JoinOrder{order}, {std::move(host), port}};
}

// Adds s1 … sN as the rule places them.
Forest grown(unsigned maxLinks, Rule rule, unsigned peers) {
  Forest tree(maxLinks);
  for (unsigned i = 1; i <= peers; ++i) {
    const auto parent = place(tree, rule, {});
    const NodeIndex node = tree.add(member("s" + std::to_string(i), i));
    if (parent) REQUIRE(tree.link(node, *parent).ok());
  }
  return tree;
}

constexpr auto kSeven =
    "s1:  s2 s3\n"
    "s2:  s1 s4 s5\n"
    "s3:  s1 s6\n"
    "s4:  s2\n"
    "s5:  s2 s7\n"
    "s6:  s3\n"
    "s7:  s5\n";

}  // namespace

TEST_CASE("a new peer is a root until it is linked") {
  Forest tree(2);
  const NodeIndex s1 = tree.add(member("s1", 1));
  const NodeIndex s2 = tree.add(member("s2", 2));
  CHECK(namesOf(tree, tree.roots()) == "s1 s2");
  CHECK(tree.freeSlots(s2) == 2);

  REQUIRE(tree.link(s2, s1).ok());

  CHECK(namesOf(tree, tree.roots()) == "s1");
  CHECK(tree.parent(s2) == s1);
  CHECK(tree.depth(s2) == 1);
  CHECK(tree.freeSlots(s2) == 1);
  CHECK(tree.member(s2).endpoint.port == 5001);
  CHECK(tree.find(peer("s3")) == std::nullopt);
  checkSound(tree);
}

TEST_CASE("a link that would break the tree is refused with a sentence, and nothing changes") {
  Forest tree = treeOf("s1:  s2 s3\ns2:  s1 s4\ns3:  s1\ns4:  s2\ns5:\n", 2);
  const std::string before = textOf(tree);
  const auto refusal = [&](std::string_view child, std::string_view parent) {
    const auto result = tree.link(at(tree, child), at(tree, parent));
    REQUIRE_FALSE(result.ok());
    CHECK(result.error().code == ErrorCode::refused);
    return result.error().message;
  };

  CHECK(refusal("s5", "s1") == "cannot link s5 to s1: no free slot there");
  CHECK(refusal("s4", "s5") == "cannot link s4 to s5: it is linked to a parent already");
  CHECK(refusal("s1", "s4") == "cannot link s1 to s4: it would hang below itself");
  CHECK(refusal("s5", "s5") == "cannot link s5 to s5: it would hang below itself");
  CHECK(refusal("s1", "s5") == "cannot link s1 to s5: its own links are all taken");

  CHECK(textOf(tree) == before);
  checkSound(tree);
}

TEST_CASE("neighbours stand in order of linking, the parent at its place among them") {
  Forest tree(4);
  const NodeIndex s1 = tree.add(member("s1", 1));
  const NodeIndex s2 = tree.add(member("s2", 2));
  const NodeIndex s3 = tree.add(member("s3", 3));
  const NodeIndex s4 = tree.add(member("s4", 4));
  REQUIRE(tree.link(s3, s2).ok());
  REQUIRE(tree.link(s2, s1).ok());
  REQUIRE(tree.link(s4, s2).ok());
  CHECK(textOf(tree) == "s1:  s2\ns2:  s3 s1 s4\ns3:  s2\ns4:  s2\n");
  CHECK(namesOf(tree, tree.children(s2)) == "s3 s4");

  tree.unlink(s3);
  CHECK(namesOf(tree, tree.neighbours(s2)) == "s1 s4");
  REQUIRE(tree.link(s3, s2).ok());
  CHECK(namesOf(tree, tree.neighbours(s2)) == "s1 s4 s3");
  checkSound(tree);
}

TEST_CASE("a peer that is removed leaves its children as roots, its index to the next") {
  Forest tree = treeOf(kSeven, 3);
  const NodeIndex s2 = at(tree, "s2");
  tree.remove(s2);

  CHECK(textOf(tree) == "s1:  s3\ns3:  s1 s6\ns4:\ns5:  s7\ns6:  s3\ns7:  s5\n");
  CHECK(namesOf(tree, tree.roots()) == "s1 s4 s5");
  CHECK(tree.depth(at(tree, "s7")) == 1);
  CHECK(tree.find(peer("s2")) == std::nullopt);
  CHECK_FALSE(tree.isMember(s2));
  CHECK(tree.add(member("s8", 8)) == s2);
  checkSound(tree);
}

TEST_CASE("who is below whom") {
  const Forest tree = treeOf(std::string(kSeven) + "t1:  t2\nt2:  t1\n", 3);
  const auto isBelow = [&](auto a, auto b) { return tree.isBelow(at(tree, a), at(tree, b)); };
  CHECK(isBelow("s7", "s7"));
  CHECK(isBelow("s7", "s2"));
  CHECK(isBelow("s7", "s1"));
  CHECK_FALSE(isBelow("s2", "s7"));
  CHECK_FALSE(isBelow("s7", "s4"));
  CHECK_FALSE(isBelow("t2", "s1"));
  CHECK(nameOf(tree, tree.rootOf(at(tree, "t2"))) == "t1");
}

TEST_CASE("a copy of a tree lives on its own") {
  const Forest tree = treeOf(kSeven, 3);
  Forest copy = tree;
  copy.remove(at(copy, "s1"));
  Forest moved = std::move(copy);
  CHECK(textOf(tree) == kSeven);
  CHECK(namesOf(moved, moved.roots()) == "s2 s3");
  checkSound(tree);
  checkSound(moved);
}

TEST_CASE("shallowest fills the tree level by level, in order of joining") {
  CHECK(textOf(grown(2, Rule::shallowest, 5)) ==
        "s1:  s2 s3\n"
        "s2:  s1 s4\n"
        "s3:  s1 s5\n"
        "s4:  s2\n"
        "s5:  s3\n");
  CHECK(textOf(grown(3, Rule::shallowest, 8)) ==
        "s1:  s2 s3 s4\n"
        "s2:  s1 s5 s6\n"
        "s3:  s1 s7 s8\n"
        "s4:  s1\n"
        "s5:  s2\n"
        "s6:  s2\n"
        "s7:  s3\n"
        "s8:  s3\n");
}

TEST_CASE("classic hands each newcomer on to the oldest child of a full peer") {
  CHECK(textOf(grown(2, Rule::classic, 6)) ==
        "s1:  s2 s3\n"
        "s2:  s1 s4\n"
        "s3:  s1\n"
        "s4:  s2 s5\n"
        "s5:  s4 s6\n"
        "s6:  s5\n");
}

TEST_CASE("classic takes a place that became free on its way, and goes on from there") {
  Forest tree = grown(2, Rule::classic, 6);
  tree.remove(at(tree, "s3"));
  CHECK(nameOf(tree, place(tree, Rule::classic, {})) == "s1");
  REQUIRE(tree.link(tree.add(member("s7", 7)), at(tree, "s1")).ok());
  CHECK(nameOf(tree, place(tree, Rule::classic, {})) == "s6");

  // s7, the other child, is the oldest once s2 and what hangs below it are gone.
  tree.unlink(at(tree, "s2"));
  CHECK(nameOf(tree, place(tree, Rule::classic, {})) == "s1");
  REQUIRE(tree.link(at(tree, "s2"), at(tree, "s1")).ok());
  CHECK(nameOf(tree, place(tree, Rule::classic, {})) == "s7");
  checkSound(tree);
}

TEST_CASE("nearest goes by the longest prefix, then the lower port, then the id") {
  for (const bool indexed : {false, true}) {
    CAPTURE(indexed);
    Forest tree(4);
    if (indexed) tree.indexAddresses();
    const NodeIndex s1 = tree.add(member("s1", 1, "10.0.0.1", 5004));
    std::uint64_t order = 1;
    const auto add = [&](std::string_view name, std::string host, std::uint16_t port,
                         NodeIndex parent) {
      const NodeIndex node = tree.add(member(name, ++order, std::move(host), port));
      REQUIRE(tree.link(node, parent).ok());
      return node;
    };
    const NodeIndex s2 = add("s2", "10.0.0.9", 5002, s1);
    add("s3", "10.0.1.1", 5001, s1);
    add("s4", "2001:db8::1", 5003, s1);
    const NodeIndex s5 = add("s5", "example.org", 5000, s2);
    add("s6", "10.0.0.9", 4000, s5);
    add("s7", "192.168.0.1", 5000, s5);
    const auto nearest = [&](std::string host) {
      return nameOf(tree, place(tree, Rule::nearest, {std::move(host), 1}));
    };
    CHECK(nearest("10.0.0.9") == "s6");
    CHECK(nearest("10.0.0.1") == "s1");
    CHECK(nearest("10.0.1.200") == "s3");
    CHECK(nearest("::ffff:10.0.1.200") == "s3");
    CHECK(nearest("10.9.9.9") == "s6");
    CHECK(nearest("2001:db8::2") == "s4");
    CHECK(nearest("192.169.0.1") == "s7");
    CHECK(nearest("example.org") == "s6");
    CHECK(nearest("3fff::1%eth0") == "s4");  // shares three bits
    CHECK(nearest("fe80::1") == "s6");       // has no prefix in common with others

    // A full peer is passed over, and so is one that hangs below another root.
    tree.unlink(s5);
    CHECK(nearest("10.0.0.9") == "s2");
    add("s8", "host", 1, s1);
    CHECK(nearest("10.0.0.1") == "s2");
    checkSound(tree);
  }
}

TEST_CASE("an address is read as RFC 4291 writes it, and nothing else is an address") {
  using Family = AddressKey::Family;
  const auto family = [](std::string host) { return AddressKey::of({std::move(host), 1}).family; };
  const auto shared = [](std::string a, std::string b) {
    return sharedAddressBits(AddressKey::of({std::move(a), 1}), AddressKey::of({std::move(b), 2}));
  };
  for (const auto* name : {"",
                           "host",
                           "1.2.3",
                           "1.2.3.4.5",
                           "1.2.3.256",
                           "01.2.3.4",
                           "1.2.3.",
                           ".1.2.3",
                           "1:2",
                           ":::",
                           "1::2::3",
                           "1:2:3:4:5:6:7:8:9",
                           "12345::",
                           "g::",
                           "1:2:3:4:5:6:7:",
                           ":1:2:3:4:5:6:7",
                           "::1.2.3",
                           "1.2.3.4::",
                           "1:2:3:4:5:6:7:1.2.3.4",
                           "-1.2.3.4",
                           "1:2:3:4:5:6:7:8::"}) {
    CAPTURE(name);
    CHECK(family(name) == Family::name);
  }
  CHECK(family("0.0.0.0") == Family::ipv4);
  CHECK(family("::") == Family::ipv6);
  CHECK(family("1:2:3:4:5:6:7:8") == Family::ipv6);
  CHECK(family("1:2:3:4:5:6:7::") == Family::ipv6);
  CHECK(family("64:ff9b::1.2.3.4") == Family::ipv6);
  CHECK(family("::ffff:1.2.3.4") == Family::ipv4);
  CHECK(shared("1.2.3.4", "1.2.3.4") == 32);
  CHECK(shared("1.2.3.4", "::ffff:1.2.3.5") == 31);
  CHECK(shared("::1", "0:0:0:0:0:0:0:1") == 128);
  CHECK(shared("2001:db8::1", "2001:db8:8000::1") == 32);
  CHECK(shared("1.2.3.4", "::1") == 0);
  CHECK(shared("host", "host") == 0);
}

TEST_CASE("the first free slot below a peer is found breadth first, in order of linking") {
  const Forest tree = treeOf(kSeven, 3);
  const auto below = [&](auto top, const Accepts& accepts = nullptr) {
    return nameOf(tree, shallowestBelow(tree, at(tree, top), accepts));
  };
  CHECK(below("s1") == "s1");
  CHECK(below("s2") == "s4");
  CHECK(below("s2", [&](NodeIndex node) { return node != at(tree, "s4"); }) == "s5");
  CHECK(below("s2", [&](NodeIndex) { return false; }) == "nobody");
}

TEST_CASE("a placement has a name") {
  for (const Rule rule : {Rule::shallowest, Rule::classic, Rule::nearest}) {
    CHECK(parseRule(name(rule)).value() == rule);
  }
  CHECK(parseRule("Nearest").error().message ==
        "\"Nearest\" is no placement: shallowest, classic or nearest");
}

TEST_CASE("nearest goes by the port that a peer changed to") {
  Forest tree(8);
  tree.indexAddresses();
  const NodeIndex s1 = tree.add(member("s1", 1, "10.0.0.1", 5001));
  const NodeIndex s2 = tree.add(member("s2", 2, "10.0.0.2", 5002));
  REQUIRE(tree.link(s2, s1).ok());
  const Endpoint newcomer{"10.0.0.200", 1};
  CHECK(nameOf(tree, place(tree, Rule::nearest, newcomer)) == "s1");
  tree.setPort(s1, 5003);
  CHECK(nameOf(tree, place(tree, Rule::nearest, newcomer)) == "s2");
  CHECK(tree.member(s1).endpoint.port == 5003);
  checkSound(tree);
}
