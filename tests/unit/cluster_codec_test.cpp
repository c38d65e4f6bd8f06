#include "common/wire/cluster_codec.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <rapidcheck.h>

#include <algorithm>
#include <string>
#include <variant>
#include <vector>

#include "cluster.pb.h"
#include "common/base/limits.h"
#include "common/base/text.h"
#include "metaserver/core/cluster/publication.h"
#include "tests/unit/wire_generators.h"

using namespace espalier;
using namespace std::chrono_literals;

namespace {

// --- random messages

std::uint64_t someSequence(std::uint64_t least) {
  return test::numberOf<std::uint64_t>(least, limits::kSequenceNumbers - 1);
}

ServerNumber someServer(std::uint16_t least) {
  return ServerNumber{test::numberOf<std::uint16_t>(least, 0xffff)};
}

std::vector<ServerNumber> someHeard() {
  std::vector<ServerNumber> heard(test::numberOf<std::size_t>(0, limits::kMetaservers - 1));
  std::uint16_t last = 0;
  for (auto& server : heard) {  // rising, so that each is there once
    last = static_cast<std::uint16_t>(last + 1 + *rc::gen::inRange(0, 999));
    server = ServerNumber{last};
  }
  return heard;
}

wire::ServerState someState(ServerNumber number) {
  return {*ServerName::parse("m" + test::textOf(0, limits::kPeerIdBytes - 1)),
          number,
          {test::someHost(), test::numberOf<std::uint16_t>(1, 0xffff)},
          std::chrono::milliseconds(test::numberOf<std::int64_t>(0, (1ll << 53) - 1)),
          test::numberOf<std::uint32_t>(0, limits::kServerPriority),
          static_cast<std::uint32_t>(test::numberOf<std::uint64_t>(0, limits::kMembers)),
          *rc::gen::arbitrary<bool>(),
          *rc::gen::arbitrary<bool>(),
          someSequence(1),
          {test::numberOf<std::uint32_t>(0, limits::kEpochCounter), someServer(0)},
          someHeard()};
}

wire::DirectoryVersion someVersion(std::uint64_t least) {
  return {{test::numberOf<std::uint32_t>(0, limits::kEpochCounter), someServer(0)},
          someSequence(least)};
}

JoinOrder someOrder(std::uint64_t least) {
  return JoinOrder{test::numberOf<std::uint64_t>(least, limits::kJoinOrder)};
}

wire::DirectorySummary someSummary(std::uint64_t least) {
  return {someVersion(least),
          test::numberOf<std::uint64_t>(0, limits::kMembers),
          someOrder(0),
          {test::someNumber(), test::someNumber()}};
}

// The order and the id say `index`, so that those of several rows differ and rise.
wire::DirectoryRow someRow(std::uint64_t index) {
  wire::DirectoryRow row;
  row.contact = test::someContact();
  row.contact.order = JoinOrder{1000 + index};
  row.contact.id = *PeerId::parse(fmt::format("r{}", index));
  row.key = test::rawOf<InstanceKey>();
  const auto links = test::numberOf(0u, limits::kMaxLinks);
  for (unsigned i = 0; i < links; ++i) {
    row.neighbours.push_back(*PeerId::parse(fmt::format("n{}", i)));
  }
  row.above = JoinOrder{test::numberOf<std::uint64_t>(0, 999)};
  row.reportedParent = test::numberOf<std::uint8_t>(0, static_cast<std::uint8_t>(links));
  row.home = someServer(0);
  row.incarnation = test::numberOf<std::uint32_t>(0, ~0u);
  row.generation = test::numberOf<std::uint32_t>(0, ~0u);
  return row;
}

std::vector<wire::DirectoryRow> someRows() {
  std::vector<wire::DirectoryRow> rows;
  for (auto i = test::numberOf<std::uint64_t>(0, 4); i > 0; --i) rows.push_back(someRow(5 - i));
  return rows;
}

wire::ClusterMessage someClusterMessage() {
  switch (test::numberOf(0, 5)) {
    case 0:
      return wire::Introduction{someState(someServer(1)), test::someNumber()};
    case 1: {
      wire::Beat beat{someState(ServerNumber{0xffff}), {}};
      const auto others = test::numberOf<std::size_t>(0, limits::kMetaservers - 1);
      for (std::size_t i = 1; i <= others; ++i) {
        beat.others.push_back(someState(ServerNumber{static_cast<std::uint16_t>(i)}));
      }
      return beat;
    }
    case 2: {
      const JoinOrder upTo = *rc::gen::arbitrary<bool>() ? wire::kAllOrders : someOrder(1004);
      return wire::SnapshotPage{test::numberOf<std::uint64_t>(1, ~0ull), someSummary(0),
                                JoinOrder{test::numberOf<std::uint64_t>(0, 1000)}, upTo,
                                someRows()};
    }
    case 3:
      return wire::Delta{someSummary(1), {JoinOrder{7}, someOrder(8), JoinOrder{1}}, someRows()};
    case 4:
      return wire::Pull{someVersion(0),
                        *rc::gen::arbitrary<bool>() ? wire::kAllOrders : someOrder(0),
                        test::numberOf<std::uint64_t>(1, ~0ull)};
    default:
      return wire::Position{someSummary(0), test::someNumber()};
  }
}

// --- spoilt messages

bool isPrintable(const std::string& text) {
  return isUtf8(text) && std::none_of(text.begin(), text.end(),
                                      [](char c) { return static_cast<unsigned char>(c) < 0x20; });
}

bool decodes(const std::string& bytes) {
  const auto message = wire::decodeCluster(bytes);
  if (message) return true;
  CHECK(message.error().code == ErrorCode::protocol);
  CHECK(isPrintable(message.error().message));
  return false;
}

// Changes the protobuf form of a good message, and says whether it still decodes.
template <typename Change>
bool decodesWhen(const wire::ClusterMessage& message, Change change) {
  proto::ClusterFrame frame;
  REQUIRE(frame.ParseFromString(wire::encode(message)));
  REQUIRE(decodes(frame.SerializeAsString()));
  change(frame);
  return decodes(frame.SerializeAsString());
}

wire::ServerState stateOf(std::uint16_t number) {
  wire::ServerState state;
  state.name = *ServerName::parse(fmt::format("m{}", number));
  state.number = ServerNumber{number};
  state.address = {"127.0.0.1", 5000};
  state.sequence = 1;
  return state;
}

wire::DirectoryRow rowOf(std::uint64_t order) {
  wire::DirectoryRow row;
  row.contact = {*PeerId::parse(fmt::format("s{}", order)), JoinOrder{order}, {"127.0.0.1", 5003}};
  return row;
}

wire::DirectorySummary summaryOf(std::uint64_t sequence) {
  return {{1, ServerNumber{7}, sequence}, 3, JoinOrder{9}, {1, 2}};
}

// The limits of a state hold wherever there is one.
template <typename Change>
bool stateDecodesWhen(Change change) {
  const bool ofIntroduction = decodesWhen(wire::Introduction{stateOf(3), 1}, [&](auto& frame) {
    change(*frame.mutable_introduction()->mutable_state());
  });
  const wire::Beat beat{stateOf(3), {stateOf(4)}};
  const bool ofOwn =
      decodesWhen(beat, [&](auto& frame) { change(*frame.mutable_beat()->mutable_own()); });
  const bool ofOther =
      decodesWhen(beat, [&](auto& frame) { change(*frame.mutable_beat()->mutable_others(0)); });
  CHECK(ofIntroduction == ofOwn);
  CHECK(ofIntroduction == ofOther);
  return ofIntroduction;
}

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

TEST_CASE("every message between metaservers reads back as it was written") {
  CHECK(rc::check([] {
    const auto message = someClusterMessage();
    const auto bytes = wire::encode(message);
    const auto back = wire::decodeCluster(bytes);
    if (!back) RC_FAIL(back.error().message);
    RC_ASSERT(*back == message);
  }));
}

TEST_CASE("of damaged bytes comes an error, or a message that reads back as itself") {
  CHECK(rc::check([] {
    auto bytes = wire::encode(someClusterMessage());
    if (*rc::gen::arbitrary<bool>()) {
      bytes.resize(*rc::gen::inRange<std::size_t>(0, bytes.size() + 1));
    }
    for (int i = *rc::gen::inRange(0, 4); i > 0 && !bytes.empty(); --i) {
      bytes[*rc::gen::inRange<std::size_t>(0, bytes.size())] ^=
          static_cast<char>(1 << *rc::gen::inRange(0, 8));
    }
    const auto message = wire::decodeCluster(bytes);
    if (!message) return RC_ASSERT(message.error().code == ErrorCode::protocol);
    const auto again = wire::decodeCluster(wire::encode(*message));
    RC_ASSERT(again.ok());
    RC_ASSERT(*again == *message);
  }));
}

TEST_CASE("the largest introduction and the largest beat fit a frame") {
  const auto largest = [](std::uint16_t number) {
    wire::ServerState state;
    state.name = *ServerName::parse(std::string(limits::kPeerIdBytes, 'm'));
    state.number = ServerNumber{number};
    state.address = {test::longHost(), 0xffff};
    state.started = std::chrono::milliseconds((1ll << 53) - 1);
    state.priority = limits::kServerPriority;
    state.peers = limits::kMembers;
    state.drains = true;
    state.appointed = true;
    state.sequence = limits::kSequenceNumbers - 1;
    state.epoch = {limits::kEpochCounter, ServerNumber{0xffff}};
    for (std::uint16_t i = 1; i < limits::kMetaservers; ++i) {
      state.heard.push_back(ServerNumber{static_cast<std::uint16_t>(60'000 + i)});
    }
    return state;
  };
  const auto alone = wire::encode(wire::Introduction{largest(0xffff), ~0ull});
  CHECK(decodes(alone));
  CHECK(alone.size() <= limits::kServerStateBytes);
  wire::Beat beat{largest(0xffff), {}};
  for (std::uint16_t i = 1; i < limits::kMetaservers; ++i) {
    beat.others.push_back(largest(static_cast<std::uint16_t>(60'000 + i)));
  }
  const auto bytes = wire::encode(beat);
  CHECK(decodes(bytes));
  CHECK(bytes.size() <= limits::kMetaservers * limits::kServerStateBytes);
  CHECK(bytes.size() <= limits::kFrameBytes);
}

TEST_CASE("the bytes of a row are never more than the estimate by which the master cuts") {
  CHECK(rc::check([] {
    wire::SnapshotPage page{1, {}, {}, wire::kAllOrders, {}};
    const auto before = wire::encode(page).size();
    page.rows = {someRow(1)};
    RC_ASSERT(wire::encode(page).size() - before <=
              metaserver::cluster::rowBytes(page.rows.front()));
  }));
}

TEST_CASE("what a master sends about the largest members fits frames and decodes") {
  using metaserver::MemberChanges;
  using metaserver::cluster::Publication;
  MemberChanges changes;
  for (std::uint64_t i = 0; i < 40; ++i) {
    wire::DirectoryRow row = rowOf(limits::kJoinOrder - 40 + i);
    row.contact.id = *PeerId::parse(fmt::format("{:x>64}", i));
    row.contact.endpoint = {test::longHost(), 0xffff};
    for (unsigned link = 0; link < limits::kMaxLinks; ++link) {
      row.neighbours.push_back(*PeerId::parse(fmt::format("{:y>64}", link)));
    }
    row.above = JoinOrder{limits::kJoinOrder - 50};
    row.reportedParent = limits::kMaxLinks;
    row.home = ServerNumber{0xffff};
    row.incarnation = row.generation = ~0u;
    changes.rows.push_back(row);
  }
  Publication publication({limits::kEpochCounter, ServerNumber{0xffff}});
  const auto checkSent = [](const wire::ClusterMessage& message) {
    const auto bytes = wire::encode(message);
    CHECK(bytes.size() <= limits::kFrameBytes);
    const auto back = wire::decodeCluster(bytes);
    REQUIRE(back.ok());
    CHECK(*back == message);
  };
  const auto deltas = publication.publish(std::move(changes));
  CHECK(deltas.size() > 3);
  for (const auto& delta : deltas) checkSent(delta);
  for (const auto& message : publication.answer({{}, kNoOrder, ~0ull})) {
    std::visit([&](const auto& one) { checkSent(one); }, message);
  }

  MemberChanges many;
  MemberChanges ended;
  for (std::uint64_t i = 1; i <= 20'000; ++i) {
    wire::DirectoryRow row = rowOf(limits::kJoinOrder - 100 - i);
    row.contact.id = *PeerId::parse(fmt::format("many{}", i));
    many.rows.push_back(row);
    ended.gone.push_back(row.contact.order);
  }
  publication.publish(std::move(many));
  for (const auto& delta : publication.publish(std::move(ended))) checkSent(delta);
}

TEST_CASE("a state of a metaserver beyond its limits is refused") {
  const auto with = [](auto set) { return stateDecodesWhen(set); };
  CHECK(with([](auto& s) { s.set_name(std::string(limits::kPeerIdBytes, 'm')); }));
  CHECK_FALSE(with([](auto& s) { s.set_name(std::string(limits::kPeerIdBytes + 1, 'm')); }));
  for (const char* name : {"", ".m", "a b", "a:b", "a/b", "\xff", "a\x1b[2J"}) {
    CHECK_FALSE(with([&](auto& s) { s.set_name(name); }));
  }
  CHECK(with([](auto& s) { s.set_number(0xffff); }));
  for (const unsigned number : {0u, 0x1'0000u, 0x1'0003u, ~0u}) {
    CHECK_FALSE(with([&](auto& s) { s.set_number(number); }));
  }
  CHECK(with([](auto& s) { s.set_host(test::longHost()); }));
  for (const std::string& host : {std::string(), std::string("a b"), std::string("fe80::1%eth0"),
                                  std::string("[::1]"), "a" + test::longHost()}) {
    CHECK_FALSE(with([&](auto& s) { s.set_host(host); }));
  }
  CHECK(with([](auto& s) { s.set_port(1); }));
  CHECK(with([](auto& s) { s.set_port(0xffff); }));
  for (const unsigned port : {0u, 0x1'0000u, 0x1'0001u}) {
    CHECK_FALSE(with([&](auto& s) { s.set_port(port); }));
  }
  CHECK(with([](auto& s) { s.set_started_ms((1ull << 53) - 1); }));
  CHECK_FALSE(with([](auto& s) { s.set_started_ms(1ull << 53); }));
  CHECK_FALSE(with([](auto& s) { s.set_started_ms(~0ull); }));
  CHECK(with([](auto& s) { s.set_priority(limits::kServerPriority); }));
  CHECK_FALSE(with([](auto& s) { s.set_priority(limits::kServerPriority + 1); }));
  CHECK(with([](auto& s) { s.set_peers(limits::kMembers); }));
  CHECK_FALSE(with([](auto& s) { s.set_peers(limits::kMembers + 1); }));
  CHECK(with([](auto& s) { s.set_sequence(limits::kSequenceNumbers - 1); }));
  CHECK_FALSE(with([](auto& s) { s.set_sequence(limits::kSequenceNumbers); }));
  CHECK_FALSE(with([](auto& s) { s.set_sequence(0); }));
  CHECK(with([](auto& s) { s.set_epoch_counter(limits::kEpochCounter); }));
  CHECK_FALSE(with([](auto& s) { s.set_epoch_counter(limits::kEpochCounter + 1); }));
  CHECK(with([](auto& s) { s.set_epoch_number(0xffff); }));
  CHECK_FALSE(with([](auto& s) { s.set_epoch_number(0x1'0000); }));
}

TEST_CASE("the numbers that a metaserver hears rise, are numbers, and are at most 15") {
  const auto hears = [](const std::vector<std::uint32_t>& heard) {
    return stateDecodesWhen([&](auto& s) {
      for (const auto number : heard) s.add_heard(number);
    });
  };
  CHECK(hears({1, 2, 0xffff}));
  CHECK_FALSE(hears({0}));
  CHECK_FALSE(hears({0, 1}));
  CHECK_FALSE(hears({1, 1}));
  CHECK_FALSE(hears({1, 3, 2}));
  CHECK_FALSE(hears({0x1'0000}));
  CHECK_FALSE(hears({1, 0x1'0002}));  // not cut to 2
  std::vector<std::uint32_t> heard;
  for (std::uint32_t i = 1; i < limits::kMetaservers; ++i) heard.push_back(i);
  CHECK(hears(heard));
  heard.push_back(limits::kMetaservers);
  CHECK_FALSE(hears(heard));
}

TEST_CASE("a beat without its sender, about too many, or about one twice, is refused") {
  const auto aboutMany = [](unsigned count) {
    return decodesWhen(wire::Beat{stateOf(100), {stateOf(1)}}, [&](auto& frame) {
      auto& beat = *frame.mutable_beat();
      for (unsigned i = 2; i <= count; ++i) {
        *beat.add_others() = beat.others(0);
        beat.mutable_others()->rbegin()->set_number(i);
      }
    });
  };
  CHECK(aboutMany(limits::kMetaservers - 1));
  CHECK_FALSE(aboutMany(limits::kMetaservers));
  const wire::Beat beat{stateOf(3), {stateOf(5), stateOf(4)}};
  CHECK_FALSE(
      decodesWhen(beat, [](auto& f) { f.mutable_beat()->mutable_others(1)->set_number(5); }));
  CHECK_FALSE(
      decodesWhen(beat, [](auto& f) { f.mutable_beat()->mutable_others(1)->set_number(3); }));
  CHECK_FALSE(decodesWhen(beat, [](auto& f) { f.mutable_beat()->clear_own(); }));
  CHECK_FALSE(decodesWhen(wire::Introduction{stateOf(3), 1},
                          [](auto& f) { f.mutable_introduction()->clear_state(); }));
}

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

TEST_CASE("a message of no kind and one beyond a frame are refused, unknown fields are skipped") {
  const std::string unknown("\xf2\x3f\x01x", 4);  // field 1022
  CHECK_FALSE(decodes(""));
  CHECK_FALSE(decodes(unknown));
  CHECK_FALSE(decodes(std::string(limits::kFrameBytes + 1, '\0')));
  const wire::ClusterMessage position = wire::Position{summaryOf(2), 5};
  CHECK(*wire::decodeCluster(wire::encode(position) + unknown) == position);
}

TEST_CASE("what decodes encodes to a frame again, also where protobuf writes a byte more") {
  // A list of one number, in the form without the list's length.
  const std::string gone("\x10\x05", 2);
  const auto payloadOf = [&](std::size_t bytes) {
    const std::size_t bodyBytes = bytes - 4;  // the delta's tag and length
    wire::Delta delta{summaryOf(1), {}, {}};
    proto::ClusterFrame frame;
    for (std::uint64_t i = 1; frame.delta().ByteSizeLong() + 200 < bodyBytes; ++i) {
      delta.rows.push_back(rowOf(1'000'000 + i));
      REQUIRE(frame.ParseFromString(wire::encode(delta)));
    }
    for (auto& row : *frame.mutable_delta()->mutable_rows()) {
      auto& id = *row.mutable_contact()->mutable_id();
      const auto missing = bodyBytes - gone.size() - frame.delta().ByteSizeLong();
      id += std::string(std::min(missing, limits::kPeerIdBytes - id.size()), 'x');
    }
    const std::string body = frame.delta().SerializeAsString() + gone;
    REQUIRE(body.size() == bodyBytes);
    std::string payload("\x22", 1);
    payload += static_cast<char>(bodyBytes | 0x80);
    payload += static_cast<char>(bodyBytes >> 7 | 0x80);
    payload += static_cast<char>(bodyBytes >> 14);
    return payload + body;
  };
  CHECK_FALSE(decodes(payloadOf(limits::kFrameBytes)));
  const auto fits = wire::decodeCluster(payloadOf(limits::kFrameBytes - 1));
  REQUIRE(fits.ok());
  CHECK(wire::encode(*fits).size() == limits::kFrameBytes);
}
