// The pages of changes that the copy of the registry takes.
#include "metaserver/core/change_log.h"

#include <doctest/doctest.h>

using namespace espalier;
using namespace espalier::metaserver;

namespace {

using Node = ChangeLog::Node;
constexpr Node kA{0};
constexpr Node kB{1};
constexpr JoinOrder kFirst{1};
constexpr JoinOrder kSecond{2};
constexpr JoinOrder kThird{3};

const std::map<JoinOrder, Node> kBoth{{kFirst, kA}, {kSecond, kB}};

}  // namespace

TEST_CASE("the first page begins from scratch, with every member by order") {
  ChangeLog log;
  log.changed(kB, kSecond);
  const auto page = log.take(1, kBoth);
  CHECK(page.fromScratch);
  CHECK(page.changed == std::vector{kA});
  CHECK(page.more);
  const auto next = log.take(1, kBoth);
  CHECK_FALSE(next.fromScratch);
  CHECK(next.changed == std::vector{kB});
  CHECK_FALSE(next.more);
}

TEST_CASE("a member that changes often is listed once, and again after it was taken") {
  ChangeLog log;
  log.take(9, kBoth);
  log.changed(kA, kFirst);
  log.changed(kA, kFirst);
  CHECK(log.take(9, kBoth).changed == std::vector{kA});
  CHECK(log.take(9, kBoth).changed.empty());
  log.changed(kA, kFirst);
  CHECK(log.take(9, kBoth).changed == std::vector{kA});
}

TEST_CASE("a removed member is listed only as gone, and the new member of its node by itself") {
  ChangeLog log;
  log.take(9, kBoth);
  log.changed(kA, kFirst);
  log.gone(kA, kFirst);
  log.changed(kA, kThird);
  const auto page = log.take(9, {{kSecond, kB}, {kThird, kA}});
  CHECK(page.gone == std::vector{kFirst});
  CHECK(page.changed == std::vector{kA});
}
