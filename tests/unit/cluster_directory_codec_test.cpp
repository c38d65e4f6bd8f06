// What is refused of the messages of the directory.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <string>

#include "common/base/limits.h"
#include "common/wire/cluster_codec.h"
#include "tests/unit/cluster_codec_fixture.h"

using namespace espalier;
using test::decodesWhen;
using test::rowOf;
using test::summaryOf;

namespace {

template <typename Change>
bool rowDecodesWhen(Change change) {
  const bool ofPage =
      decodesWhen(wire::SnapshotPage{1, summaryOf(2), {}, wire::kAllOrders, {rowOf(3)}},
                  [&](auto& frame) { change(*frame.mutable_page()->mutable_rows(0)); });
  const bool ofDelta = decodesWhen(wire::Delta{summaryOf(2), {}, {rowOf(3)}}, [&](auto& frame) {
    change(*frame.mutable_delta()->mutable_rows(0));
  });
  CHECK(ofPage == ofDelta);
  return ofPage;
}

template <typename Change>
bool summaryDecodesWhen(Change change) {
  const bool ofPosition = decodesWhen(wire::Position{summaryOf(2), 0}, [&](auto& frame) {
    change(*frame.mutable_position()->mutable_of());
  });
  const bool ofPage =
      decodesWhen(wire::SnapshotPage{1, summaryOf(2), {}, wire::kAllOrders, {}},
                  [&](auto& frame) { change(*frame.mutable_page()->mutable_of()); });
  const bool ofDelta = decodesWhen(wire::Delta{summaryOf(2), {}, {}}, [&](auto& frame) {
    change(*frame.mutable_delta()->mutable_after());
  });
  CHECK(ofPosition == ofPage);
  CHECK(ofPosition == ofDelta);
  return ofPosition;
}

}  // namespace

TEST_CASE("a row beyond its limits is refused") {
  const auto with = [](auto set) { return rowDecodesWhen(set); };
  CHECK_FALSE(with([](auto& r) { r.clear_contact(); }));
  CHECK(with([](auto& r) { r.mutable_contact()->set_order(limits::kJoinOrder); }));
  for (const std::uint64_t order : {std::uint64_t{0}, limits::kJoinOrder + 1, ~std::uint64_t{0}}) {
    CHECK_FALSE(with([&](auto& r) { r.mutable_contact()->set_order(order); }));
  }
  CHECK_FALSE(with([](auto& r) { r.mutable_contact()->set_port(0); }));
  CHECK_FALSE(with([](auto& r) { r.mutable_contact()->set_host(""); }));
  CHECK_FALSE(with([](auto& r) { r.mutable_contact()->set_id(""); }));
  for (const std::size_t bytes : {0, 15, 17}) {
    CHECK_FALSE(with([&](auto& r) { r.set_key(std::string(bytes, 'k')); }));
  }
  const auto links = [](unsigned count) {
    return [=](auto& r) {
      for (unsigned i = 0; i < count; ++i) r.add_neighbours(fmt::format("n{}", i));
    };
  };
  CHECK(with(links(limits::kMaxLinks)));
  CHECK_FALSE(with(links(limits::kMaxLinks + 1)));
  CHECK_FALSE(with([](auto& r) { r.add_neighbours(""); }));
  CHECK_FALSE(with([](auto& r) {
    for (const char* id : {"a", "b", "a"}) r.add_neighbours(id);
  }));
  const auto parentIs = [&](unsigned parent) {
    return with([&](auto& r) {
      links(2)(r);
      r.set_reported_parent(parent);
    });
  };
  CHECK(parentIs(2));
  CHECK_FALSE(parentIs(3));
  CHECK_FALSE(parentIs(256));  // not cut to 0
  CHECK(with([](auto& r) { r.set_above(limits::kJoinOrder); }));
  CHECK_FALSE(with([](auto& r) { r.set_above(limits::kJoinOrder + 1); }));
  CHECK_FALSE(with([](auto& r) { r.set_above(3); }));  // itself
  CHECK(with([](auto& r) { r.set_home(0xffff); }));
  CHECK_FALSE(with([](auto& r) { r.set_home(0x1'0000); }));
}

TEST_CASE("a summary beyond its limits is refused, and so is a message without one") {
  const auto with = [](auto set) { return summaryDecodesWhen(set); };
  CHECK(with([](auto& s) { s.set_count(limits::kMembers); }));
  CHECK_FALSE(with([](auto& s) { s.set_count(limits::kMembers + 1); }));
  CHECK(with([](auto& s) { s.set_absent_count(limits::kAbsentCopied); }));
  CHECK_FALSE(with([](auto& s) { s.set_absent_count(limits::kAbsentCopied + 1); }));
  CHECK(with([](auto& s) { s.set_newest(limits::kJoinOrder); }));
  CHECK_FALSE(with([](auto& s) { s.set_newest(limits::kJoinOrder + 1); }));
  CHECK_FALSE(with([](auto& s) { s.set_newest(~0ull); }));
  CHECK(with([](auto& s) { s.mutable_version()->set_sequence(limits::kSequenceNumbers - 1); }));
  CHECK_FALSE(with([](auto& s) { s.mutable_version()->set_sequence(limits::kSequenceNumbers); }));
  CHECK(with([](auto& s) { s.mutable_version()->set_epoch_counter(limits::kEpochCounter); }));
  CHECK_FALSE(
      with([](auto& s) { s.mutable_version()->set_epoch_counter(limits::kEpochCounter + 1); }));
  CHECK(with([](auto& s) { s.mutable_version()->set_epoch_number(0xffff); }));
  CHECK_FALSE(with([](auto& s) { s.mutable_version()->set_epoch_number(0x1'0000); }));

  CHECK_FALSE(decodesWhen(wire::Position{summaryOf(2), 0},
                          [](auto& f) { f.mutable_position()->clear_of(); }));
  CHECK_FALSE(decodesWhen(wire::SnapshotPage{1, summaryOf(2), {}, wire::kAllOrders, {}},
                          [](auto& f) { f.mutable_page()->clear_of(); }));
  CHECK_FALSE(decodesWhen(wire::Delta{summaryOf(2), {}, {}},
                          [](auto& f) { f.mutable_delta()->clear_after(); }));
}

TEST_CASE("an absent member beyond its limits is refused, and one that is there twice") {
  const auto rowOfAbsent = [](std::uint64_t order) {
    const auto like = rowOf(order);
    return wire::AbsentRow{like.contact, like.key, true, false};
  };
  const auto with = [&](auto change) {
    const bool ofPage =
        decodesWhen(wire::SnapshotPage{1, summaryOf(2), {}, wire::kAllOrders, {}, {rowOfAbsent(3)}},
                    [&](auto& frame) { change(*frame.mutable_page()->mutable_absent(0)); });
    const bool ofDelta =
        decodesWhen(wire::Delta{summaryOf(2), {}, {}, {}, {rowOfAbsent(3)}},
                    [&](auto& frame) { change(*frame.mutable_delta()->mutable_absent(0)); });
    CHECK(ofPage == ofDelta);
    return ofPage;
  };
  CHECK(with([](auto&) {}));
  CHECK_FALSE(with([](auto& r) { r.clear_contact(); }));
  CHECK_FALSE(with([](auto& r) { r.mutable_contact()->set_order(0); }));
  CHECK_FALSE(with([](auto& r) { r.mutable_contact()->set_order(limits::kJoinOrder + 1); }));
  CHECK_FALSE(with([](auto& r) { r.mutable_contact()->set_port(0); }));
  for (const std::size_t bytes : {0, 15, 17}) {
    CHECK_FALSE(with([&](auto& r) { r.set_key(std::string(bytes, 'k')); }));
  }
  const auto decodes = [](const wire::ClusterMessage& message) {
    return wire::decodeCluster(wire::encode(message)).ok();
  };
  CHECK(decodes(wire::Delta{summaryOf(2), {}, {}, {JoinOrder{3}}, {rowOfAbsent(3)}}));
  CHECK_FALSE(decodes(wire::Delta{summaryOf(2), {}, {}, {}, {rowOfAbsent(3), rowOfAbsent(3)}}));
  CHECK_FALSE(decodes(wire::Delta{summaryOf(2), {}, {}, {JoinOrder{3}, JoinOrder{3}}, {}}));
  CHECK_FALSE(decodes(wire::Delta{summaryOf(2), {}, {}, {kNoOrder}, {}}));
  const auto page = [&](std::vector<wire::AbsentRow> absent) {
    return decodes(
        wire::SnapshotPage{1, summaryOf(2), JoinOrder{3}, JoinOrder{6}, {}, std::move(absent)});
  };
  CHECK(page({rowOfAbsent(4), rowOfAbsent(6)}));
  CHECK_FALSE(page({rowOfAbsent(3)}));
  CHECK_FALSE(page({rowOfAbsent(7)}));
  CHECK_FALSE(page({rowOfAbsent(6), rowOfAbsent(4)}));
}

TEST_CASE("a page has rising rows between its ends, and the number of a pull") {
  const wire::SnapshotPage page{1, summaryOf(2), JoinOrder{3}, JoinOrder{6}, {rowOf(4), rowOf(6)}};
  const auto with = [&](auto set) {
    return decodesWhen(page, [&](auto& frame) { set(*frame.mutable_page()); });
  };
  CHECK_FALSE(with([](auto& p) { p.set_answers(0); }));
  CHECK_FALSE(with([](auto& p) { p.set_after(4); }));
  CHECK_FALSE(with([](auto& p) { p.set_up_to(5); }));
  CHECK(with([](auto& p) { p.set_up_to(limits::kJoinOrder); }));
  CHECK(with([](auto& p) { p.set_up_to(~0ull); }));
  CHECK_FALSE(with([](auto& p) { p.set_up_to(limits::kJoinOrder + 1); }));
  CHECK_FALSE(with([](auto& p) { p.set_up_to(~0ull - 1); }));
  CHECK_FALSE(with([](auto& p) { p.mutable_rows()->SwapElements(0, 1); }));
  CHECK_FALSE(with([](auto& p) { p.mutable_rows(1)->mutable_contact()->set_order(4); }));
  CHECK_FALSE(with([](auto& p) { p.mutable_rows(1)->mutable_contact()->set_id("s4"); }));
  const auto empty = [&](std::uint64_t after, std::uint64_t upTo) {
    return with([&](auto& p) {
      p.clear_rows();
      p.set_after(after);
      p.set_up_to(upTo);
    });
  };
  CHECK(empty(3, 4));
  CHECK_FALSE(empty(3, 3));
  CHECK_FALSE(empty(3, 0));
  CHECK(empty(limits::kJoinOrder, ~0ull));
  CHECK_FALSE(empty(limits::kJoinOrder + 1, ~0ull));
  CHECK_FALSE(empty(~0ull, ~0ull));
}

TEST_CASE("a delta has each order and each id once, and follows another state") {
  const wire::Delta delta{summaryOf(1), {JoinOrder{9}, JoinOrder{2}}, {rowOf(9), rowOf(4)}};
  const auto with = [&](auto set) {
    return decodesWhen(delta, [&](auto& frame) { set(*frame.mutable_delta()); });
  };
  CHECK_FALSE(with([](auto& d) { d.mutable_after()->mutable_version()->set_sequence(0); }));
  CHECK_FALSE(with([](auto& d) { d.mutable_after()->clear_version(); }));
  CHECK(with([](auto& d) { d.add_gone(limits::kJoinOrder); }));
  CHECK_FALSE(with([](auto& d) { d.add_gone(limits::kJoinOrder + 1); }));
  CHECK_FALSE(with([](auto& d) { d.add_gone(~0ull); }));
  CHECK_FALSE(with([](auto& d) { d.add_gone(0); }));
  CHECK_FALSE(with([](auto& d) { d.add_gone(9); }));
  CHECK_FALSE(with([](auto& d) { d.mutable_rows(1)->mutable_contact()->set_order(9); }));
  CHECK_FALSE(with([](auto& d) { d.mutable_rows(1)->mutable_contact()->set_id("s9"); }));
}

TEST_CASE("a pull has a number, and covers orders that there are, or all") {
  const auto with = [](auto set) {
    return decodesWhen(wire::Pull{{1, ServerNumber{7}, 2}, JoinOrder{3}, 1},
                       [&](auto& frame) { set(*frame.mutable_pull()); });
  };
  CHECK_FALSE(with([](auto& p) { p.set_number(0); }));
  CHECK(with([](auto& p) { p.set_number(~0ull); }));
  CHECK(with([](auto& p) { p.set_covered(0); }));
  CHECK(with([](auto& p) { p.set_covered(limits::kJoinOrder); }));
  CHECK_FALSE(with([](auto& p) { p.set_covered(limits::kJoinOrder + 1); }));
  CHECK_FALSE(with([](auto& p) { p.set_covered(~0ull - 1); }));
  CHECK(with([](auto& p) { p.set_covered(~0ull); }));
  CHECK(with([](auto& p) { p.clear_have(); }));
  CHECK(with([](auto& p) { p.mutable_have()->set_sequence(limits::kSequenceNumbers - 1); }));
  CHECK_FALSE(with([](auto& p) { p.mutable_have()->set_sequence(limits::kSequenceNumbers); }));
  CHECK(with([](auto& p) { p.mutable_have()->set_epoch_counter(limits::kEpochCounter); }));
  CHECK_FALSE(
      with([](auto& p) { p.mutable_have()->set_epoch_counter(limits::kEpochCounter + 1); }));
  CHECK_FALSE(with([](auto& p) { p.mutable_have()->set_epoch_number(0x1'0000); }));
}
