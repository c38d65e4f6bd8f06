#include "common/wire/cluster_codec.h"

#include <doctest/doctest.h>
#include <fmt/format.h>
#include <rapidcheck.h>

#include <algorithm>
#include <string>
#include <variant>
#include <vector>

#include "common/base/limits.h"
#include "metaserver/core/cluster/publication.h"
#include "tests/unit/cluster_codec_fixture.h"

using namespace espalier;
using namespace std::chrono_literals;
using test::decodes;
using test::decodesWhen;
using test::rowOf;
using test::someEpoch;
using test::someSequence;
using test::someServer;
using test::summaryOf;

namespace {

// --- random messages

std::vector<ServerNumber> someHeard() {
  std::vector<ServerNumber> heard(test::numberOf<std::size_t>(0, limits::kMetaservers - 1));
  std::uint16_t last = 0;
  for (auto& server : heard) {  // rising, so that each is there once
    last = static_cast<std::uint16_t>(last + 1 + *rc::gen::inRange(0, 999));
    server = ServerNumber{last};
  }
  return heard;
}

wire::DirectoryVersion someVersion(std::uint64_t least) {
  return {someEpoch(), someSequence(least)};
}

wire::ServerState someState(ServerNumber number) {
  return {*ServerName::parse("m" + test::textOf(0, limits::kPeerIdBytes - 1)),
          number,
          {test::someHost(), test::numberOf<std::uint16_t>(1, 0xffff)},
          std::chrono::milliseconds(test::numberOf<std::int64_t>(0, (1ll << 53) - 1)),
          test::numberOf<std::uint32_t>(0, limits::kServerPriority),
          static_cast<std::uint32_t>(test::numberOf<std::uint64_t>(0, limits::kMembers)),
          static_cast<std::uint32_t>(test::numberOf<std::uint64_t>(0, limits::kMembers)),
          *rc::gen::arbitrary<bool>(),
          *rc::gen::arbitrary<bool>(),
          *rc::gen::arbitrary<bool>(),
          someSequence(1),
          someEpoch(),
          someHeard(),
          *rc::gen::arbitrary<bool>() ? wire::NetworkId() : test::rawOf<wire::NetworkId>(),
          *rc::gen::arbitrary<bool>(),
          *rc::gen::arbitrary<bool>() ? wire::DirectoryVersion() : someVersion(0),
          test::numberOf<std::uint16_t>(0, 0xffff),
          std::string(test::numberOf<std::size_t>(0, limits::kServerVersionBytes),
                      static_cast<char>(test::numberOf<int>('!', '~')))};
}

JoinOrder someOrder(std::uint64_t least) {
  return JoinOrder{test::numberOf<std::uint64_t>(least, limits::kJoinOrder)};
}

wire::DirectorySummary someSummary(std::uint64_t least) {
  return {someVersion(least),
          test::numberOf<std::uint64_t>(0, limits::kMembers),
          someOrder(0),
          {test::someNumber(), test::someNumber()},
          *rc::gen::arbitrary<bool>(),
          test::numberOf<std::uint64_t>(0, limits::kAbsentCopied),
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
  row.generation = test::numberOf<std::uint32_t>(0, ~0u);
  row.since = std::chrono::milliseconds(test::someCount());
  row.isRated = *rc::gen::arbitrary<bool>();
  for (auto i = test::numberOf<std::size_t>(0, limits::kRoomsOfPeer); i > 0; --i) {
    row.rooms.push_back(*RoomName::parse(fmt::format("r{}", 100 - i)));
  }
  row.roomsRevision = test::someNumber();
  return row;
}

std::vector<wire::SharedRow> someRows() {
  std::vector<wire::SharedRow> rows;
  for (auto i = test::numberOf<std::uint64_t>(0, 4); i > 0; --i) rows.push_back(someRow(5 - i));
  return rows;
}

std::vector<wire::AbsentRow> someAbsent() {
  std::vector<wire::AbsentRow> rows;
  for (auto i = test::numberOf<std::uint64_t>(0, 4); i > 0; --i) {
    rows.push_back({test::someContact(), test::rawOf<InstanceKey>(), *rc::gen::arbitrary<bool>(),
                    *rc::gen::arbitrary<bool>()});
    rows.back().contact.order = JoinOrder{1005 - i};
  }
  return rows;
}

using Nonce = Bytes<16, struct NonceTag>;

// The names say `i`, so that they differ.
std::vector<wire::Setting> someSettings() {
  std::vector<wire::Setting> settings(test::numberOf<std::size_t>(0, limits::kSettings));
  for (std::size_t i = 0; i < settings.size(); ++i) {
    settings[i].name = static_cast<char>('a' + i) + test::textOf(0, limits::kSettingNameBytes - 1);
    settings[i].value = test::bytesOf(0, limits::kSettingValueBytes);
  }
  return settings;
}

bool mayHaveRoute(const wire::ClusterMessage& message) {
  return !std::holds_alternative<wire::Introduction>(message) &&
         !std::holds_alternative<wire::Beat>(message) &&
         !std::holds_alternative<wire::Proof>(message);
}

std::optional<wire::Route> routeFor(const wire::ClusterMessage& message) {
  return mayHaveRoute(message) ? test::maybeRoute() : std::nullopt;
}

wire::ClusterMessage someClusterMessage() {
  switch (test::numberOf(0, 11)) {
    case 0:
      return wire::Introduction{someState(someServer(1)), test::rawOf<Nonce>().bytes,
                                someSettings(), test::someNumber()};
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
      return wire::SnapshotPage{test::numberOf<std::uint64_t>(1, ~0ull),
                                someSummary(0),
                                JoinOrder{test::numberOf<std::uint64_t>(0, 1000)},
                                upTo,
                                someRows(),
                                someAbsent()};
    }
    case 3:
      return wire::Delta{someSummary(1),
                         {JoinOrder{7}, someOrder(8), JoinOrder{1}},
                         someRows(),
                         {JoinOrder{3}, someOrder(4)},
                         someAbsent()};
    case 4:
      return wire::Pull{someVersion(0),
                        *rc::gen::arbitrary<bool>() ? wire::kAllOrders : someOrder(0),
                        test::numberOf<std::uint64_t>(1, ~0ull)};
    case 5:
      return wire::Proof{test::rawOf<Digest>().bytes};
    case 6:
      return wire::Handover{someVersion(0)};
    case 7:
      return wire::Appoint{};
    case 8:
      return wire::Have{*rc::gen::arbitrary<bool>() ? wire::DirectoryVersion() : someVersion(0)};
    case 9:
      return wire::StatisticsRequest{test::numberOf<std::uint32_t>(0, 366), test::someNumber()};
    case 10:
      return test::someStatistics();
    default:
      return wire::Position{someSummary(0), test::someNumber()};
  }
}

// --- spoilt messages

wire::ServerState stateOf(std::uint16_t number) {
  wire::ServerState state;
  state.name = *ServerName::parse(fmt::format("m{}", number));
  state.number = ServerNumber{number};
  state.address = {"127.0.0.1", 5000};
  state.sequence = 1;
  return state;
}

wire::Introduction introduction() {
  return {stateOf(3), {}, {{"election", "oldest"}, {"links", "2"}}, 1};
}

// The limits of a state hold wherever there is one.
template <typename Change>
bool stateDecodesWhen(Change change) {
  const bool ofIntroduction = decodesWhen(
      introduction(), [&](auto& frame) { change(*frame.mutable_introduction()->mutable_state()); });
  const wire::Beat beat{stateOf(3), {stateOf(4)}};
  const bool ofOwn =
      decodesWhen(beat, [&](auto& frame) { change(*frame.mutable_beat()->mutable_own()); });
  const bool ofOther =
      decodesWhen(beat, [&](auto& frame) { change(*frame.mutable_beat()->mutable_others(0)); });
  CHECK(ofIntroduction == ofOwn);
  CHECK(ofIntroduction == ofOther);
  return ofIntroduction;
}

}  // namespace

TEST_CASE("every message between metaservers reads back as it was written") {
  CHECK(rc::check([] {
    const auto message = someClusterMessage();
    const auto route = routeFor(message);
    const auto back = wire::decodeCluster(wire::encode(message, route));
    if (!back) RC_FAIL(back.error().message);
    RC_ASSERT(back->message == message);
    RC_ASSERT(back->route == route);
  }));
}

TEST_CASE("of damaged bytes comes an error, or a message that reads back as itself") {
  CHECK(rc::check([] {
    const auto message = someClusterMessage();
    test::checkDecoded(test::damaged(wire::encode(message, routeFor(message))));
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
    state.network = *wire::NetworkId::fromRaw("the largest one.");
    state.isFounded = true;
    state.have = {state.epoch, limits::kSequenceNumbers - 1};
    state.serverPort = 0xffff;
    state.version = std::string(limits::kServerVersionBytes, 'v');
    return state;
  };
  wire::Introduction alone{largest(0xffff), {}, {}, ~0ull};
  CHECK(decodes(wire::encode(alone)));
  CHECK(wire::encode(alone).size() <= limits::kServerStateBytes + sizeof alone.nonce);
  for (std::size_t i = 0; i < limits::kSettings; ++i) {
    alone.settings.push_back({std::string(limits::kSettingNameBytes, static_cast<char>('a' + i)),
                              std::string(limits::kSettingValueBytes, '\xff')});
  }
  CHECK(decodes(wire::encode(alone)));
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
    row.generation = ~0u;
    changes.rows.push_back(row);
  }
  Publication publication({limits::kEpochCounter, ServerNumber{0xffff}});
  const auto checkSent = [](const wire::ClusterMessage& message) {
    const wire::Route route{ServerNumber{0xffff}, ServerNumber{0xfffe}, limits::kMetaservers};
    const auto bytes = wire::encode(message, route);
    CHECK(bytes.size() <= limits::kFrameBytes);
    const auto back = wire::decodeCluster(bytes);
    REQUIRE(back.ok());
    CHECK(back->message == message);
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
  CHECK(with([](auto& s) { s.set_server_port(0xffff); }));
  CHECK_FALSE(with([](auto& s) { s.set_server_port(0x1'0000u); }));
  CHECK(with([](auto& s) { s.set_version(std::string(limits::kServerVersionBytes, '~')); }));
  for (const std::string& version :
       {std::string(limits::kServerVersionBytes + 1, '1'), std::string("0.1 0"),
        std::string("\x1b[2J"), std::string("1\n"), std::string("\xff")}) {
    CHECK_FALSE(with([&](auto& s) { s.set_version(version); }));
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
  CHECK(with([](auto& s) { s.set_network("a network's name"); }));
  for (const std::size_t bytes : {1, 15, 17}) {
    CHECK_FALSE(with([&](auto& s) { s.set_network(std::string(bytes, 'n')); }));
  }
  CHECK(with([](auto& s) { s.mutable_have()->set_sequence(limits::kSequenceNumbers - 1); }));
  CHECK_FALSE(with([](auto& s) { s.mutable_have()->set_sequence(limits::kSequenceNumbers); }));
  CHECK_FALSE(
      with([](auto& s) { s.mutable_have()->set_epoch_counter(limits::kEpochCounter + 1); }));
  CHECK_FALSE(with([](auto& s) { s.mutable_have()->set_epoch_number(0x1'0000); }));
}

TEST_CASE("an introduction has a nonce of 16 bytes, and each of at most 16 settings once") {
  const auto with = [](auto set) {
    return decodesWhen(introduction(), [&](auto& frame) { set(*frame.mutable_introduction()); });
  };
  for (const std::size_t bytes : {0, 15, 17}) {
    CHECK_FALSE(with([&](auto& i) { i.set_nonce(std::string(bytes, 'n')); }));
  }
  const auto named = [&](const std::string& name, const std::string& value) {
    return with([&](auto& i) {
      i.mutable_settings(1)->set_name(name);
      i.mutable_settings(1)->set_value(value);
    });
  };
  CHECK(named(std::string(limits::kSettingNameBytes, 'n'), ""));
  CHECK_FALSE(named(std::string(limits::kSettingNameBytes + 1, 'n'), ""));
  CHECK_FALSE(named("", "2"));
  CHECK_FALSE(named("election", "oldest"));
  CHECK(named("links", std::string(limits::kSettingValueBytes, '\0')));
  CHECK_FALSE(named("links", std::string(limits::kSettingValueBytes + 1, 'v')));
  const auto many = [&](std::size_t count) {
    return with([&](auto& i) {
      i.clear_settings();
      for (std::size_t k = 0; k < count; ++k) i.add_settings()->set_name(std::string(k + 1, 's'));
    });
  };
  CHECK(many(0));
  CHECK(many(limits::kSettings));
  CHECK_FALSE(many(limits::kSettings + 1));
}

TEST_CASE("a proof has 32 bytes") {
  const auto ofSize = [](std::size_t bytes) {
    return decodesWhen(wire::Proof{},
                       [&](auto& f) { f.mutable_proof()->set_mac(std::string(bytes, 'm')); });
  };
  CHECK(ofSize(32));
  for (const std::size_t bytes : {0, 31, 33}) CHECK_FALSE(ofSize(bytes));
}

TEST_CASE("a handover and what a follower has name versions, or none") {
  const auto inBoth = [](auto set) {
    const bool last = decodesWhen(wire::Handover{{{1, ServerNumber{7}}, 2}},
                                  [&](auto& f) { set(*f.mutable_handover()->mutable_last()); });
    CHECK(last == decodesWhen(wire::Have{{{1, ServerNumber{7}}, 2}},
                              [&](auto& f) { set(*f.mutable_have()->mutable_version()); }));
    return last;
  };
  CHECK(inBoth([](auto& v) { v.set_sequence(limits::kSequenceNumbers - 1); }));
  CHECK_FALSE(inBoth([](auto& v) { v.set_sequence(limits::kSequenceNumbers); }));
  CHECK(inBoth([](auto& v) { v.set_epoch_counter(limits::kEpochCounter); }));
  CHECK_FALSE(inBoth([](auto& v) { v.set_epoch_counter(limits::kEpochCounter + 1); }));
  CHECK_FALSE(inBoth([](auto& v) { v.set_epoch_number(0x1'0000); }));
  CHECK(decodesWhen(wire::Handover{}, [](auto& f) { f.mutable_handover()->clear_last(); }));
  CHECK(decodesWhen(wire::Have{}, [](auto& f) { f.mutable_have()->clear_version(); }));
}

TEST_CASE("a route has both ends and at most 16 hops, and none is of what is about a connection") {
  const auto with = [](auto set) {
    return decodesWhen(wire::Appoint{}, [&](auto& frame) {
      frame.mutable_route()->set_from(7);
      frame.mutable_route()->set_to(9);
      set(*frame.mutable_route());
    });
  };
  CHECK(with([](auto&) {}));
  CHECK(with([](auto& r) { r.set_hops(limits::kMetaservers); }));
  CHECK_FALSE(with([](auto& r) { r.set_hops(limits::kMetaservers + 1); }));
  CHECK_FALSE(with([](auto& r) { r.set_hops(256); }));  // not cut to 0
  for (const unsigned number : {0u, 0x1'0000u, 0x1'0007u}) {
    CHECK_FALSE(with([&](auto& r) { r.set_from(number); }));
    CHECK_FALSE(with([&](auto& r) { r.set_to(number); }));
  }
  CHECK_FALSE(with([](auto& r) { r.Clear(); }));
  const auto routed = [](auto& frame) {
    frame.mutable_route()->set_from(7);
    frame.mutable_route()->set_to(9);
  };
  CHECK(decodesWhen(wire::Position{summaryOf(2), 0}, routed));
  CHECK_FALSE(decodesWhen(introduction(), routed));
  CHECK_FALSE(decodesWhen(wire::Beat{stateOf(3), {}}, routed));
  CHECK_FALSE(decodesWhen(wire::Proof{}, routed));
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
  CHECK_FALSE(
      decodesWhen(introduction(), [](auto& f) { f.mutable_introduction()->clear_state(); }));
}

TEST_CASE("a message of no kind and one beyond a frame are refused, unknown fields are skipped") {
  const std::string unknown("\xf2\x3f\x01x", 4);  // field 1022
  CHECK_FALSE(decodes(""));
  CHECK_FALSE(decodes(unknown));
  CHECK_FALSE(decodes(std::string(limits::kFrameBytes + 1, '\0')));
  const wire::ClusterMessage position = wire::Position{summaryOf(2), 5};
  CHECK(wire::decodeCluster(wire::encode(position) + unknown)->message == position);
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
