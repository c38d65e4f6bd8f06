// How `get` treats false hits: names that were not searched for, names of a root, sizes.
#include <doctest/doctest.h>

#include "tests/unit/given_command.h"

using namespace espalier;
using namespace espalier::test;

namespace {

std::string hex(std::uint8_t root) {
  return toHex(rootOf(root).view());
}

std::vector<std::string> savedBy(Given& given, const std::string& line) {
  given.service.fetched.clear();
  (void)given.run(line);
  std::vector<std::string> names;
  for (const auto& request : given.service.fetched) names.push_back(request.file.name);
  return names;
}

}  // namespace

TEST_CASE("get saves only files that its name or glob matches, whatever peers report") {
  Given given;
  given.service.unasked = {file(".profile", 1, 7, {"liar"}), file("x/f3.txt", 1, 8, {"liar"}),
                           file("f3.exe", 1, 9, {"liar"})};
  CHECK(savedBy(given, "get f3.txt") == std::vector<std::string>{"f3.txt"});
  CHECK(savedBy(given, "get 'f?.txt'") == std::vector<std::string>{"f3.txt"});
  CHECK(savedBy(given, "get docs/").empty());
  CHECK(savedBy(given, "get " + hex(3)) == std::vector<std::string>{"f3.txt"});
}

TEST_CASE("a root is saved under the last part of a name that can be used") {
  Given given;
  const auto called = [&](const std::vector<std::string>& names) {
    given.service.files.clear();
    for (const auto& name : names) given.service.files.push_back(file(name, 5, 5, {"s1"}));
    return savedBy(given, "get " + hex(5));
  };
  using Names = std::vector<std::string>;
  CHECK(called({"docs/deep/f5.txt"}) == Names{"f5.txt"});
  CHECK(called({".ssh/authorized_keys"}) == Names{"authorized_keys"});
  CHECK(called({".profile", "a/../../.bashrc", "f5.txt"}) == Names{"f5.txt"});
  CHECK(called({".profile", "a/..", "b/", "x/.espalier", "bell\a"}).empty());
  // Given one by the user it needs none.
  given.service.fetched.clear();
  CHECK(given.run("get " + hex(5) + " -o mine.txt").outcome.exitCode() == 0);
  CHECK(given.service.fetched.size() == 1);
}

TEST_CASE("the user chooses one of several names of a root, if there is a user to ask") {
  Given given;
  given.service.files = {file("a.txt", 5, 5, {"s1", "s2"}), file("docs/b.txt", 5, 5, {"s3"}),
                         file("c/a.txt", 5, 5, {"s4"})};
  CHECK(savedBy(given, "get " + hex(5)) == std::vector<std::string>{"a.txt"});
  std::vector<std::string> questions;
  given.context.ask = [&](const std::string& question) -> std::optional<std::string> {
    questions.push_back(question);
    return "2";
  };
  CHECK(savedBy(given, "get " + hex(5)) == std::vector<std::string>{"b.txt"});
  CHECK(given.service.fetched[0].file.holders.size() == 4);
  REQUIRE(questions.size() == 1);
  CHECK(questions[0] == hex(5) +
                            " has 2 names:\n1  a.txt\n2  b.txt\n"
                            "which one (1 to 2, Enter for none)> ");
}

TEST_CASE("one root of several sizes is one file, and all sizes are tried") {
  Given given;
  given.service.files = {file("f5.txt", 1ull << 44, 5, {"liar", "s1"}),
                         file("f5.txt", 12, 5, {"s1"}), file("f5.txt", 13, 5, {"liar"})};
  CHECK(savedBy(given, "get f5.txt") == std::vector<std::string>{"f5.txt"});
  const auto& request = given.service.fetched[0];
  CHECK(request.file.sizeBytes == 1ull << 44);
  REQUIRE(request.others.size() == 2);
  CHECK(request.others[0].sizeBytes == 12);
  CHECK(request.others[1].sizeBytes == 13);
}

TEST_CASE(
    "a peer that is said to be at two places is asked for its list where the network has it") {
  Given given;
  auto honest = file("a.txt", 12, 1, {"s1"});
  auto lie = file("b.txt", 12, 2, {"s1"});
  lie.holders[0].endpoint = {"9.9.9.9", 9};
  given.service.files = {honest, lie};
  given.service.moreOf = {{id("s1"), 1}};
  (void)given.run("get '*'");
  REQUIRE(given.service.listedAt.size() == 1);
  CHECK(given.service.listedAt[0].endpoint == Endpoint{});
  given.service.files = {honest};
  (void)given.run("get '*'");
  REQUIRE(given.service.listedAt.size() == 2);
  CHECK(given.service.listedAt[1].endpoint == honest.holders[0].endpoint);
}

TEST_CASE("a claim to have more of a name that was found does not keep a get from being done") {
  Given given;
  given.service.moreOf = {{id("liar"), 1}};
  CHECK(given.run("get f3.txt").outcome.exitCode() == 0);
  CHECK(given.service.listedAt.empty());
}
