// The master's side of the directory's copies.
#include "metaserver/core/cluster/publication.h"

#include <doctest/doctest.h>

#include "common/base/limits.h"
#include "tests/unit/directory_fixture.h"

using namespace espalier;
using namespace espalier::metaserver;
using namespace espalier::metaserver::cluster;

namespace {

std::vector<std::uint64_t> ordersOf(const std::vector<JoinOrder>& orders) {
  std::vector<std::uint64_t> numbers;
  for (const auto order : orders) numbers.push_back(number(order));
  return numbers;
}
std::vector<std::uint64_t> ordersOf(const std::vector<SharedRow>& rows) {
  std::vector<std::uint64_t> numbers;
  for (const auto& row : rows) numbers.push_back(number(row->contact.order));
  return numbers;
}
using Orders = std::vector<std::uint64_t>;

struct Answered {
  std::vector<wire::Delta> deltas;
  std::vector<wire::SnapshotPage> pages;
  std::vector<wire::Position> positions;
};

Answered sorted(const std::vector<wire::DirectoryMessage>& messages) {
  Answered answered;
  for (const auto& message : messages) {
    if (const auto* delta = std::get_if<wire::Delta>(&message)) answered.deltas.push_back(*delta);
    if (const auto* page = std::get_if<wire::SnapshotPage>(&message)) {
      answered.pages.push_back(*page);
    }
    if (const auto* end = std::get_if<wire::Position>(&message)) {
      answered.positions.push_back(*end);
    }
  }
  return answered;
}

Answered answerTo(const Publication& publication, std::uint64_t sequence, JoinOrder covered,
                  Epoch epoch = kFirstEpoch) {
  return sorted(publication.answer({wire::DirectoryVersion{epoch, sequence}, covered, 5}));
}

}  // namespace

TEST_CASE("each change is a delta, numbered, with count and digest after it") {
  Publication publication(kFirstEpoch);
  const auto first = publication.publish(put({row(1), row(2)}));
  REQUIRE(first.size() == 1);
  CHECK(first[0].after.version == wire::DirectoryVersion{kFirstEpoch, 1});
  CHECK(first[0].after.count == 2);
  CHECK(first[0].after.digest == publication.directory().sum().digest);
  CHECK(ordersOf(first[0].rows) == Orders{1, 2});
  const auto second = publication.publish(gone({1}));
  REQUIRE(second.size() == 1);
  CHECK(second[0].after.version.sequence == 2);
  CHECK(second[0].after.count == 1);
  CHECK(ordersOf(second[0].gone) == Orders{1});
}

TEST_CASE("what changes nothing is no delta") {
  Publication publication(kFirstEpoch);
  publication.publish(put({row(1)}));
  CHECK(publication.publish(put({row(1)})).empty());
  CHECK(publication.publish(gone({8})).empty());
  CHECK(publication.sequence() == 1);
}

TEST_CASE("a large change is cut into deltas that fit a frame") {
  Publication publication(kFirstEpoch);
  MemberChanges many;
  for (std::uint64_t order = 1; order <= 25; ++order) many.rows.push_back(largeRow(order));
  const auto deltas = publication.publish(many);
  REQUIRE(deltas.size() == 3);
  CHECK(deltas[0].rows.size() == 10);
  CHECK(deltas[2].after.version.sequence == 3);
  MemberChanges all;
  for (const auto& [order, row] : publication.directory().copy().rows()) {
    all.gone.push_back(order);
  }
  CHECK(publication.publish(all).size() == 1);
  MemberChanges small;
  for (std::uint64_t order = 1; order <= 10'000; ++order) small.rows.push_back(row(order));
  publication.publish(small);
  MemberChanges end;
  for (std::uint64_t order = 1; order <= 10'000; ++order) end.gone.push_back(JoinOrder{order});
  CHECK(publication.publish(end).size() == 3);
  CHECK(publication.directory().count() == 0);
}

TEST_CASE("after every single delta no order and no id is there twice") {
  Publication publication(kFirstEpoch);
  Directory copy;
  const auto follow = [&](const std::vector<wire::Delta>& deltas) {
    for (const auto& delta : deltas) {
      const auto sum = copy.check({delta.gone, delta.rows, delta.absentGone, delta.absent});
      REQUIRE_MESSAGE(sum.ok(), sum.error().message);
      copy.apply({delta.gone, delta.rows, delta.absentGone, delta.absent});
      CHECK(copy.sum() == *sum);
      CHECK(copy.summary(delta.after.version) == delta.after);
    }
  };
  follow(publication.publish(put({row(1), row(2), row(3)})));
  MemberChanges moved;  // 1 left, and its id came back as 4; 2 came back with its order
  moved.gone = {JoinOrder{1}, JoinOrder{2}};
  moved.rows = {row(4, "s1"), row(2, "s2")};
  follow(publication.publish(moved));
  CHECK(idsOf(copy.copy()) == Ids{"s2", "s3", "s1"});
  // What no registry says: an order that changes its id, an id that wanders, an order twice.
  follow(publication.publish(put({row(2, "x"), row(5, "s3"), row(6, "s3"), row(6, "y"), row(6)})));
  CHECK(idsOf(copy.copy()) == Ids{"x", "s1", "s6"});
}

TEST_CASE("changes from scratch become the differences only, and followers need no snapshot") {
  Publication publication(kFirstEpoch);
  publication.publish(put({row(1), row(2), row(3), row(4)}));
  MemberChanges first{true, {}, {row(1), row(3, "new")}, true};
  const auto deltas = publication.publish(first);
  REQUIRE(deltas.size() == 1);
  CHECK(ordersOf(deltas[0].gone) == Orders{3});
  CHECK(ordersOf(deltas[0].rows) == Orders{3});
  // 4 left, and its id came back as 9 while the pages are on their way. 2 is not mentioned.
  const auto more = publication.publish({false, {JoinOrder{7}}, {row(9, "s4")}, true});
  REQUIRE(more.size() == 1);
  CHECK(ordersOf(more[0].gone) == Orders{4});
  const auto last = publication.publish({false, {}, {}, false});
  REQUIRE(last.size() == 1);
  CHECK(ordersOf(last[0].gone) == Orders{2});
  CHECK(idsOf(publication.directory().copy()) == Ids{"s1", "new", "s4"});
  CHECK(publication.publish({false, {}, {}, false}).empty());
}

TEST_CASE("a follower that has a kept version gets the deltas after it, and where they end") {
  Publication publication(kFirstEpoch);
  for (std::uint64_t order = 1; order <= 5; ++order) publication.publish(put({row(order)}));
  const auto answer = answerTo(publication, 3, wire::kAllOrders);
  REQUIRE(answer.deltas.size() == 2);
  CHECK(answer.deltas[0].after.version.sequence == 4);
  CHECK(answer.pages.empty());
  REQUIRE(answer.positions.size() == 1);
  CHECK(answer.positions[0].answers == 5);
  CHECK(answer.positions[0].of ==
        publication.directory().summary(wire::DirectoryVersion{kFirstEpoch, 5}));
  CHECK(answerTo(publication, 5, wire::kAllOrders).deltas.empty());
}

TEST_CASE("deltas are kept within a bound of bytes, and who lacks more gets a snapshot") {
  Publication publication(kFirstEpoch);
  std::uint64_t sequence = 0;
  for (; publication.keptBytes() + 20'000 < limits::kDeltasKeptBytes; ++sequence) {
    MemberRow changed = largeRow(1);
    changed.generation = static_cast<std::uint32_t>(sequence);
    publication.publish(put({changed}));
  }
  CHECK(sequence > 300);
  CHECK(answerTo(publication, 1, wire::kAllOrders).pages.empty());
  publication.publish(put({row(1), largeRow(2), largeRow(3), largeRow(4), largeRow(5)}));
  CHECK(publication.keptBytes() <= limits::kDeltasKeptBytes);
  const auto answer = answerTo(publication, 1, wire::kAllOrders);
  CHECK(answer.deltas.empty());
  REQUIRE(answer.pages.size() == 1);
  CHECK(answer.pages[0].after == kNoOrder);
}

TEST_CASE("an answer has a bound of bytes, and its end tells that more is to be had") {
  Publication publication(kFirstEpoch);
  MemberChanges many;
  for (std::uint64_t order = 1; order <= 200; ++order) many.rows.push_back(largeRow(order));
  publication.publish(many);
  const auto deltas = answerTo(publication, 1, wire::kAllOrders);
  CHECK(deltas.deltas.size() == 8);
  CHECK(deltas.positions[0].of.version.sequence == 20);
  const auto pages = answerTo(publication, 20, kNoOrder);
  CHECK(pages.deltas.empty());
  REQUIRE(pages.pages.size() == 8);
  CHECK(pages.pages[7].upTo == JoinOrder{80});
  CHECK(ordersOf(pages.pages[1].rows) == Orders{11, 12, 13, 14, 15, 16, 17, 18, 19, 20});
  const auto rest = answerTo(publication, 19, JoinOrder{150});
  CHECK(rest.deltas.size() == 1);
  REQUIRE(rest.pages.size() == 5);
  CHECK(rest.pages[0].after == JoinOrder{150});
  CHECK(rest.pages[4].upTo == wire::kAllOrders);
  CHECK(rest.pages[4].of.count == 200);
}

TEST_CASE("a pull of an older epoch, or from beyond the sequence, begins a snapshot") {
  Publication publication(kSecondEpoch);
  publication.publish(put({row(1)}));
  for (const auto& answer : {answerTo(publication, 1, wire::kAllOrders, kFirstEpoch),
                             answerTo(publication, 2, wire::kAllOrders, kSecondEpoch),
                             answerTo(publication, 0, kNoOrder, kSecondEpoch)}) {
    CHECK(answer.deltas.empty());
    REQUIRE(answer.pages.size() == 1);
    CHECK(answer.pages[0].answers == 5);
    CHECK(answer.pages[0].upTo == wire::kAllOrders);
  }
}

TEST_CASE("a pull of a newer epoch is not answered: this one is over") {
  const Publication publication(kFirstEpoch);
  CHECK(publication.answer({wire::DirectoryVersion{kSecondEpoch, 0}, kNoOrder, 1}).empty());
}

TEST_CASE("an empty directory is one page") {
  const Publication publication(kFirstEpoch);
  const auto answer = answerTo(publication, 0, kNoOrder);
  REQUIRE(answer.pages.size() == 1);
  CHECK(answer.pages[0].rows.empty());
  CHECK(answer.pages[0].upTo == wire::kAllOrders);
}
