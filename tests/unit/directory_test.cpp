// A directory of members, its digest, and the changes that none can have.
#include "metaserver/core/cluster/directory.h"

#include <doctest/doctest.h>

#include <functional>

#include "common/base/limits.h"
#include "metaserver/core/cluster/digest.h"
#include "tests/unit/directory_fixture.h"

using namespace espalier;
using namespace espalier::metaserver;
using namespace espalier::metaserver::cluster;

namespace {

Directory of(std::vector<SharedRow> rows) {
  Directory made;
  for (auto& row : rows) made.put(std::move(row));
  return made;
}

bool canPut(const Directory& directory, std::vector<SharedRow> rows) {
  return directory.check({.rows = rows}).ok();
}

std::string whyNot(const Directory& directory, std::vector<JoinOrder> gone,
                   std::vector<SharedRow> rows) {
  const auto sum = directory.check({gone, rows});
  return sum ? "" : sum.error().message;
}

}  // namespace

TEST_CASE("the digest of an example is the same in all versions") {
  MemberRow example = row(3);
  example.neighbours = {named("s1"), named("peer-with-a-longer-name")};
  example.above = JoinOrder{1};
  example.reportedParent = 1;
  example.home = ServerNumber{7};
  example.generation = 9;
  CHECK(digestOf(example).low == 2'667'215'303'015'578'378ull);
  CHECK(digestOf(example).high == 10'752'299'071'941'691'417ull);
}

TEST_CASE("every field of a row changes its digest") {
  using Change = std::function<void(MemberRow&)>;
  const std::vector<Change> changes = {
      [](MemberRow& row) { row.contact.id = named("s4"); },
      [](MemberRow& row) { row.contact.order = JoinOrder{4}; },
      [](MemberRow& row) { row.contact.endpoint.host = "127.0.0.2"; },
      [](MemberRow& row) { row.contact.endpoint.port ^= 1; },
      [](MemberRow& row) { row.key.bytes[15] ^= 1; },
      [](MemberRow& row) { row.neighbours.pop_back(); },
      [](MemberRow& row) { std::swap(row.neighbours[0], row.neighbours[1]); },
      [](MemberRow& row) {
        row.neighbours = {named("s"), named("1s2")};
      },
      [](MemberRow& row) { row.above = JoinOrder{2}; },
      [](MemberRow& row) { row.reportedParent = 2; },
      [](MemberRow& row) { row.home = ServerNumber{8}; },
      [](MemberRow& row) { row.generation = 1; },
      [](MemberRow& row) { row.roomsRevision = 1; },
      [](MemberRow& row) { row.rooms = {*RoomName::parse("fleece")}; },
      [](MemberRow& row) {
        row.rooms = {*RoomName::parse("flee"), *RoomName::parse("ce")};
      },
  };
  MemberRow original = row(3);
  original.neighbours = {named("s1"), named("s2")};
  std::vector<wire::DirectoryDigest> seen = {digestOf(original)};
  for (const auto& change : changes) {
    MemberRow changed = original;
    change(changed);
    const auto digest = digestOf(changed);
    CHECK(std::find(seen.begin(), seen.end(), digest) == seen.end());
    seen.push_back(digest);
  }
}

TEST_CASE("the sum of digests carries from the low half to the high one, and back") {
  const wire::DirectoryDigest most{~0ull, 5};
  const wire::DirectoryDigest one{1, 0};
  CHECK(most + one == wire::DirectoryDigest{0, 6});
  CHECK(most + one - one == most);
  CHECK(wire::DirectoryDigest{} - one == wire::DirectoryDigest{~0ull, ~0ull});
}

TEST_CASE("a directory's digest depends on its rows, not on the way to them") {
  Directory one = of({row(1), row(2), row(3)});
  Directory other = of({row(3), row(2, "x"), row(9), row(1)});
  CHECK(one.sum() != other.sum());
  other.remove(JoinOrder{9});
  other.put(row(2));
  CHECK(one.sum() == other.sum());
  CHECK_FALSE(other.remove(JoinOrder{9}));
  CHECK(one.sum() == other.sum());
  CHECK(other.newest() == JoinOrder{9});
}

TEST_CASE("a check says what the sum would be") {
  Directory directory = of({row(1), row(2)});
  const std::vector<JoinOrder> gone = {JoinOrder{2}};
  const std::vector<SharedRow> rows = {row(1), row(3, "s2"), row(2, "new")};
  const auto sum = directory.check({gone, rows});
  REQUIRE(sum.ok());
  CHECK(directory.count() == 2);
  directory.apply({gone, rows});
  CHECK(directory.sum() == *sum);
  CHECK(idsOf(directory.copy()) == Ids{"s1", "new", "s2"});
  CHECK(directory.copy().find(named("s2"))->contact.order == JoinOrder{3});
}

TEST_CASE("what no directory can have is refused") {
  const Directory directory = of({row(1), row(2)});
  CHECK(canPut(directory, {row(1), row(3)}));
  CHECK(whyNot(directory, {}, {row(3), row(3, "x")}) == "member 3: two rows have its order");
  CHECK(whyNot(directory, {}, {row(3), row(4, "s3")}) == "member 4: two rows have its id");
  CHECK(whyNot(directory, {}, {row(3, "s1")}) == "member 3: its id is that of 1");
  CHECK(whyNot(directory, {}, {row(1, "x")}) == "member 1: it changes its id");
  CHECK(whyNot(directory, {JoinOrder{3}}, {}) == "member 3 is removed, but is not there");
  CHECK(whyNot(directory, {JoinOrder{1}, JoinOrder{1}}, {}) ==
        "member 1 is removed, but is not there");
  CHECK(whyNot(directory, {JoinOrder{1}}, {row(3, "s1")}).empty());
}

TEST_CASE("absent members are counted and summed by themselves; two may have one id") {
  const auto absentOf = [](std::uint64_t order, std::string_view id, bool isFree = false) {
    const MemberRow like = row(order, id);
    return wire::AbsentRow{like.contact, like.key, false, isFree};
  };
  Directory directory = of({row(1)});
  const auto members = directory.sum();
  directory.putAbsent(absentOf(2, "s2"));
  directory.putAbsent(absentOf(3, "s2", true));
  directory.putAbsent(absentOf(4, "s1"));
  CHECK(directory.sum().count == members.count);
  CHECK(directory.sum().digest == members.digest);
  CHECK(directory.sum().absentCount == 3);
  CHECK(directory.lost(9).size() == 2);
  CHECK(directory.lost(1).front().order == JoinOrder{4});

  const std::vector<JoinOrder> gone = {JoinOrder{2}};
  const std::vector<wire::AbsentRow> rows = {absentOf(3, "s2"), absentOf(5, "s5"),
                                             absentOf(2, "new")};
  const auto sum = directory.check({{}, {}, gone, rows});
  REQUIRE(sum.ok());
  CHECK(directory.sum() != *sum);
  directory.apply({{}, {}, gone, rows});
  CHECK(directory.sum() == *sum);
  for (const std::uint64_t order : {2, 3, 4, 5}) CHECK(directory.removeAbsent(JoinOrder{order}));
  CHECK_FALSE(directory.removeAbsent(JoinOrder{5}));
  CHECK(directory.sum() == members);

  const auto why = [&](std::vector<JoinOrder> without, std::vector<wire::AbsentRow> with) {
    const auto refused = directory.check({{}, {}, without, with});
    return refused ? "" : refused.error().message;
  };
  directory.putAbsent(absentOf(2, "s2"));
  CHECK(why({JoinOrder{3}}, {}) == "absent member 3 is removed, but is not there");
  CHECK(why({JoinOrder{1}}, {}) == "absent member 1 is removed, but is not there");
  CHECK(why({JoinOrder{2}, JoinOrder{2}}, {}) == "absent member 2 is removed, but is not there");
  CHECK(why({}, {absentOf(7, "a"), absentOf(7, "b")}) == "member 7: two have its order");
  CHECK(why({}, {{}}) == "member 0: its order is out of range");
}

TEST_CASE("a row of a form that no member has is refused, one at its limits is not") {
  const Directory directory;
  const auto refuses = [&](const std::function<void(MemberRow&)>& change) {
    MemberRow changed = row(3);
    change(changed);
    return !canPut(directory, {changed});
  };
  CHECK(canPut(directory, {largeRow(1)}));
  CHECK(refuses([](MemberRow& row) { row.contact.endpoint.port = 0; }));
  CHECK(refuses([](MemberRow& row) { row.contact.endpoint.host.clear(); }));
  CHECK(refuses([](MemberRow& row) { row.contact.endpoint.host = std::string(256, 'h'); }));
  CHECK(refuses([](MemberRow& row) { row.contact.id = PeerId(); }));
  CHECK(refuses([](MemberRow& row) { row.contact.order = kNoOrder; }));
  CHECK(refuses([](MemberRow& row) { row.contact.order = JoinOrder{limits::kJoinOrder + 1}; }));
  CHECK_FALSE(refuses([](MemberRow& row) { row.contact.order = JoinOrder{limits::kJoinOrder}; }));
  CHECK(refuses([](MemberRow& row) { row.neighbours.assign(65, named("s1")); }));
  CHECK(refuses([](MemberRow& row) { row.reportedParent = 1; }));
  CHECK(refuses([](MemberRow& row) { row.above = JoinOrder{3}; }));
}

TEST_CASE("the orders of all members are ranges, as many as a message may have") {
  Directory directory;
  CHECK(directory.orders().empty());
  for (const int order : {1, 2, 3, 7, 9}) directory.put(row(order));
  CHECK(directory.orders() == std::vector<wire::OrderRange>{{1, 3}, {7, 7}, {9, 9}});
  directory.remove(JoinOrder{2});
  CHECK(directory.orders() == std::vector<wire::OrderRange>{{1, 1}, {3, 3}, {7, 7}, {9, 9}});

  Directory large;
  int order = 1;
  for (std::size_t i = 0; i <= limits::kCoverageRanges; ++i) {
    large.put(row(order));
    order += i == 5 ? 2 : 3;  // the smallest gap
  }
  REQUIRE(large.orders().size() == limits::kCoverageRanges);
  CHECK(large.orders()[5] == wire::OrderRange{16, 18});
  CHECK(large.orders()[6] == wire::OrderRange{21, 21});

  // Three gaps are to be closed, that are together wider than a network can be.
  Directory wide;
  for (std::size_t i = 0; i < limits::kCoverageRanges + 3; ++i) {
    wide.put(row(1 + static_cast<int>(i) * 500'000));
  }
  CHECK(wide.orders().empty());
}

TEST_CASE("the largest row has the bytes that the limits allow for") {
  MemberRow largest = largeRow(1);
  largest.contact.id = named(std::string(limits::kPeerIdBytes, 'i'));
  for (std::size_t i = 0; i < limits::kRoomsOfPeer; ++i) {
    largest.rooms.push_back(*RoomName::parse(std::string(limits::kPeerIdBytes, 'r')));
  }
  CHECK(rowBytes(largest) == limits::kDirectoryRowBytes);
}
