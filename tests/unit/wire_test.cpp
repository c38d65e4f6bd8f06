#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <string>

#include "common/base/limits.h"
#include "common/base/text.h"
#include "common/wire/hello.h"
#include "common/wire/link_codec.h"
#include "common/wire/registry_codec.h"
#include "hello.pb.h"
#include "link.pb.h"
#include "registry.pb.h"
#include "tests/unit/wire_generators.h"

using namespace espalier;
using namespace std::chrono_literals;

namespace {

const std::string kLongId(limits::kPeerIdBytes, 'x');
const std::string kLongHost = test::longHost();

wire::Contact largestContact() {
  return {*PeerId::parse(kLongId), JoinOrder{limits::kJoinOrder}, {kLongHost, 65535}};
}

wire::Lineage largestLineage() {
  return {largestContact(), std::vector(limits::kContacts - 4, largestContact()),
          std::vector(4, largestContact())};
}

wire::Contact contact(const std::string& id) {
  return {*PeerId::parse(id), JoinOrder{3}, {"127.0.0.1", 5003}};
}

bool isPrintable(const std::string& text) {
  return isUtf8(text) && std::none_of(text.begin(), text.end(),
                                      [](char c) { return static_cast<unsigned char>(c) < 0x20; });
}

template <typename T>
bool refusedAsProtocol(const Result<T>& result) {
  if (!result) CHECK(result.error().code == ErrorCode::protocol);
  if (!result) CHECK(isPrintable(result.error().message));
  return !result.ok();
}

// Takes a good message, spoils its protobuf form, and says whether it is refused.
template <typename Frame, typename Message, typename Decode, typename Spoil>
bool refusedWhen(const Message& message, Decode decode, Spoil spoil) {
  Frame frame;
  REQUIRE(frame.ParseFromString(wire::encode(message)));
  REQUIRE(decode(frame.SerializeAsString()).ok());
  spoil(frame);
  return refusedAsProtocol(decode(frame.SerializeAsString()));
}

template <typename Spoil>
bool linkRefusedWhen(const wire::LinkMessage& message, Spoil spoil) {
  return refusedWhen<proto::LinkFrame>(message, wire::decodeLink, spoil);
}
template <typename Spoil>
bool requestRefusedWhen(const wire::RegistryRequest& message, Spoil spoil) {
  return refusedWhen<proto::RegistryRequestFrame>(message, wire::decodeRegistryRequest, spoil);
}
template <typename Spoil>
bool replyRefusedWhen(const wire::RegistryReply& message, Spoil spoil) {
  return refusedWhen<proto::RegistryReplyFrame>(message, wire::decodeRegistryReply, spoil);
}

// What becomes of bytes that were cut or changed: an error, or a message that reads back as itself.
template <typename Decode>
void checkDamage(const std::string& bytes, Decode decode) {
  auto damaged = bytes;
  if (*rc::gen::arbitrary<bool>()) {
    damaged.resize(*rc::gen::inRange<std::size_t>(0, bytes.size() + 1));
  }
  for (int i = *rc::gen::inRange(0, 4); i > 0 && !damaged.empty(); --i) {
    damaged[*rc::gen::inRange<std::size_t>(0, damaged.size())] ^=
        static_cast<char>(1 << *rc::gen::inRange(0, 8));
  }
  const auto message = decode(damaged);
  if (!message) return RC_ASSERT(message.error().code == ErrorCode::protocol);
  const auto again = decode(wire::encode(*message));
  RC_ASSERT(again.ok());
  RC_ASSERT(*again == *message);
}

}  // namespace

TEST_CASE("every message of a link reads back as it was written") {
  CHECK(rc::check([] {
    const auto message = test::someLinkMessage();
    const auto bytes = wire::encode(message);
    const auto back = wire::decodeLink(bytes);
    if (!back) RC_FAIL(back.error().message);
    RC_ASSERT(*back == message);
    checkDamage(bytes, wire::decodeLink);
  }));
}

TEST_CASE("every request to a metaserver reads back as it was written") {
  CHECK(rc::check([] {
    const auto request = test::someRegistryRequest();
    const auto bytes = wire::encode(request);
    const auto back = wire::decodeRegistryRequest(bytes);
    if (!back) RC_FAIL(back.error().message);
    RC_ASSERT(*back == request);
    checkDamage(bytes, wire::decodeRegistryRequest);
  }));
}

TEST_CASE("every reply of a metaserver reads back as it was written") {
  CHECK(rc::check([] {
    const auto reply = test::someRegistryReply();
    const auto bytes = wire::encode(reply);
    const auto back = wire::decodeRegistryReply(bytes);
    if (!back) RC_FAIL(back.error().message);
    RC_ASSERT(*back == reply);
    checkDamage(bytes, wire::decodeRegistryReply);
  }));
}

TEST_CASE("a Hello reads back as it was written, and its answers do") {
  CHECK(rc::check([] {
    const auto hello = test::someHello();
    const auto back = wire::decodeHello(wire::encode(hello));
    RC_ASSERT(back.ok());
    RC_ASSERT(*back == hello);
    RC_ASSERT(wire::welcomeFor(hello).version == wire::kVersionMost);
    const bool tells = *rc::gen::arbitrary<bool>();
    const auto network = tells ? test::rawOf<wire::NetworkId>() : wire::NetworkId();
    const auto welcome = wire::decodeWelcome(wire::encode(wire::welcomeFor(hello, network)));
    RC_ASSERT(welcome.ok());
    RC_ASSERT(*welcome == wire::welcomeFor(hello, network));
    RC_ASSERT(welcome->network == network);
  }));
}

TEST_CASE("a Welcome with a network of another length than 16 bytes is refused") {
  for (const std::size_t bytes : {1, 15, 17}) {
    proto::Reply reply;
    reply.mutable_welcome()->set_version(wire::kVersionMost);
    reply.mutable_welcome()->set_network(std::string(bytes, 'n'));
    CHECK(refusedAsProtocol(wire::decodeWelcome(reply.SerializeAsString())));
  }
}

TEST_CASE("a Hello for a purpose that this version does not know is refused") {
  const auto helloFor = [](int purpose) {
    wire::Hello hello;
    hello.purpose = static_cast<wire::Purpose>(purpose);
    return wire::decodeHello(wire::encode(hello));
  };
  CHECK(helloFor(1).ok());
  REQUIRE(helloFor(6).ok());
  CHECK(helloFor(6)->purpose == wire::Purpose::privates);
  for (const int purpose : {0, 7, 1000, -1}) CHECK(refusedAsProtocol(helloFor(purpose)));
}

TEST_CASE("a failure in the Welcome's place is the error, cut between characters") {
  std::string message(limits::kMessageBytes - 1, 'm');
  message += "\u00e4 and more";
  const auto result = wire::decodeWelcome(wire::encode(wire::Failure{ErrorCode::refused, message}));
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().code == ErrorCode::refused);
  CHECK(result.error().message == std::string(limits::kMessageBytes - 1, 'm'));

  const auto bytes = wire::decodeWelcome(wire::encode(wire::Failure{ErrorCode::io, "\xff\xfe"}));
  REQUIRE_FALSE(bytes.ok());
  CHECK(bytes.error().message == "\xff\xfe");
}

TEST_CASE("text is cut between characters, and anywhere where it is no UTF-8") {
  CHECK(cutUtf8("abc", 3) == "abc");
  CHECK(cutUtf8("abc", 2) == "ab");
  CHECK(cutUtf8("a\u20ac", 3) == "a");
  CHECK(cutUtf8("a\u20ac", 4) == "a\u20ac");
  CHECK(cutUtf8("\U0001F600", 3).empty());
  CHECK(cutUtf8(std::string(10, '\x80'), 6) == std::string(6, '\x80'));
  CHECK(cutUtf8("abc", 0).empty());
}

TEST_CASE("the largest messages fit a frame") {
  using namespace wire;
  const auto id = *PeerId::parse(kLongId);
  const std::vector neighbours(limits::kMaxLinks, id);
  const auto fits = [](const std::string& bytes) { return bytes.size() <= limits::kFrameBytes; };
  const Label label{limits::kSequenceNumbers - 1, limits::kDepth};
  CHECK(fits(
      encode(LinkMessage(Accepted{largestContact(), label, limits::kMembers, largestLineage()}))));
  CHECK(fits(encode(LinkMessage(Referred{std::vector(limits::kMaxLinks, largestContact())}))));
  CHECK(fits(encode(LinkMessage(LineageChanged{largestLineage()}))));
  CHECK(fits(encode(RegistryRequest(Join{id,
                                         {},
                                         std::string(limits::kJoinWordBytes, 'w'),
                                         largestContact().endpoint,
                                         {},
                                         JoinOrder{limits::kJoinOrder},
                                         id,
                                         neighbours,
                                         ~0u}))));
  CHECK(fits(encode(RegistryReply(Wait{std::string(5000, 'r')}))));

  // A query's text, a hit's name, and as much of an answer as a core puts into one.
  Answer answer;
  auto bytes = kAnswerOverheadBytes;
  const Hit hit{
      std::string(limits::kPathBytes, 'n'), limits::kFileBytes, {}, id, largestContact().endpoint};
  while (bytes + sizeBound(hit) <= limits::kSearchMessageBytes) {
    answer.hits.push_back(hit);
    bytes += sizeBound(hit);
  }
  CHECK(answer.hits.size() > 10);
  CHECK(fits(encode(LinkMessage(answer))));
}

TEST_CASE("the size bound of a topology entry is never below its size") {
  CHECK(rc::check([] {
    wire::Topology topology;
    std::size_t bytes = 16;
    while (true) {
      const wire::TopologyEntry entry{test::someContact(), test::maybeId(),
                                      test::someIds(limits::kMaxLinks)};
      if (bytes + wire::encodedBytesAtMost(entry) > limits::kFrameBytes) break;
      bytes += wire::encodedBytesAtMost(entry);
      topology.entries.push_back(entry);
      if (topology.entries.size() == 20) break;
    }
    topology.more = true;
    RC_ASSERT(wire::encode(wire::RegistryReply(topology)).size() <= bytes);
  }));
  const wire::TopologyEntry largest{largestContact(), *PeerId::parse(kLongId),
                                    std::vector(limits::kMaxLinks, *PeerId::parse(kLongId))};
  const auto alone = wire::encode(wire::RegistryReply(wire::Topology{{largest}, true}));
  CHECK(alone.size() <= wire::encodedBytesAtMost(largest) + 16);
}

TEST_CASE("counts above the limit, as sums of other peers' claims, are sent as the limit") {
  using namespace wire;
  const auto back = decodeLink(encode(LinkMessage(Heartbeat{{1, 1}, ~0ull})));
  REQUIRE(back.ok());
  CHECK(std::get<Heartbeat>(*back).members == limits::kMembers);
}

TEST_CASE("the worst label of all is a floor, and nothing else") {
  using namespace wire;
  const LinkMessage attach = Attach{{}, contact("s3"), {}, 1};
  CHECK(*decodeLink(encode(attach)) == attach);
  CHECK(refusedAsProtocol(decodeLink(encode(LinkMessage(Heartbeat{Label(), 1})))));
  CHECK(
      linkRefusedWhen(Heartbeat{{1, 0}, 1}, [](auto& f) { f.mutable_heartbeat()->clear_label(); }));
  CHECK(linkRefusedWhen(Accepted{contact("s1"), {1, 0}, 1, {contact("s1"), {}, {}}},
                        [](auto& f) { f.mutable_accepted()->clear_label(); }));
}

TEST_CASE("an invalid contact is refused") {
  using Spoil = void (*)(proto::Contact&);
  const std::vector<Spoil> spoils = {
      [](auto& c) { c.set_id(""); },
      [](auto& c) { c.set_id(".."); },
      [](auto& c) { c.set_id("a:b"); },
      [](auto& c) { c.set_id("a\x1b[2J"); },
      [](auto& c) { c.set_id("\xff"); },
      [](auto& c) { c.set_id(kLongId + "x"); },
      [](auto& c) { c.set_order(0); },
      [](auto& c) { c.set_order(limits::kJoinOrder + 1); },
      [](auto& c) { c.set_host(""); },
      [](auto& c) { c.set_host(kLongHost + "h"); },
      [](auto& c) { c.set_host("a b"); },
      [](auto& c) { c.set_host("a\n"); },
      [](auto& c) { c.set_host(std::string("a\0", 2)); },
      [](auto& c) { c.set_host("\xc3"); },
      [](auto& c) { c.set_port(0); },
      [](auto& c) { c.set_port(65536); },
      [](auto& c) { c.Clear(); },
  };
  for (std::size_t i = 0; i < spoils.size(); ++i) {
    CAPTURE(i);
    const auto spoil = spoils[i];
    CHECK(linkRefusedWhen(wire::Referred{{contact("s1"), contact("s2")}},
                          [&](auto& f) { spoil(*f.mutable_referred()->mutable_candidates(1)); }));
    CHECK(linkRefusedWhen(wire::Raise{{1, 1}, contact("s1"), contact("s2").id},
                          [&](auto& f) { spoil(*f.mutable_raise()->mutable_seeker()); }));
    CHECK(replyRefusedWhen(wire::Referral{wire::Referral::Kind::below, contact("s1")},
                           [&](auto& f) { spoil(*f.mutable_referral()->mutable_parent()); }));
  }
}

TEST_CASE("a link's message beyond its limits is refused") {
  using namespace wire;
  const Attach attach{{}, contact("s3"), {4, 4}, 2};
  const auto attachRefused = [&](auto spoil) {
    return linkRefusedWhen(attach, [&](auto& f) { spoil(*f.mutable_attach()); });
  };
  CHECK(attachRefused([](auto& a) { a.set_network("short"); }));
  CHECK(attachRefused([](auto& a) { a.clear_network(); }));
  CHECK(attachRefused([](auto& a) { a.clear_self(); }));
  CHECK(attachRefused([](auto& a) { a.set_below(0); }));
  CHECK(attachRefused([](auto& a) { a.set_below(limits::kMembers + 1); }));
  CHECK(attachRefused([](auto& a) { a.mutable_floor()->set_sequence(limits::kSequenceNumbers); }));
  CHECK(attachRefused([](auto& a) { a.mutable_floor()->set_sequence(~0ull); }));
  CHECK(attachRefused([](auto& a) { a.mutable_floor()->set_depth(limits::kDepth + 1); }));
  CHECK(attachRefused([](auto& a) { a.mutable_floor()->set_depth(~0u); }));

  const Lineage lineage{contact("s1"), {contact("s2")}, {contact("s3")}};
  const auto lineageRefused = [&](auto spoil) {
    return linkRefusedWhen(LineageChanged{lineage}, [&](auto& f) {
      spoil(*f.mutable_lineage_changed()->mutable_lineage());
    });
  };
  CHECK(lineageRefused([](auto& l) { l.clear_root(); }));
  CHECK(lineageRefused([](auto& l) {
    for (std::size_t i = 0; i + 2 <= limits::kContacts; ++i) *l.add_ancestors() = l.ancestors(0);
    *l.add_root_children() = l.root();
  }));
  CHECK(linkRefusedWhen(Referred{{contact("s1")}}, [](auto& f) {
    auto& referred = *f.mutable_referred();
    for (unsigned i = 0; i < limits::kMaxLinks; ++i) {
      *referred.add_candidates() = referred.candidates(0);
    }
  }));
  for (const unsigned reason : {0u, 6u, ~0u}) {
    CHECK(linkRefusedWhen(Refused{RefusalReason::busy},
                          [&](auto& f) { f.mutable_refused()->set_reason(reason); }));
  }
  CHECK(linkRefusedWhen(Lost{}, [](auto& f) { f.mutable_search()->clear_body(); }));
  CHECK(linkRefusedWhen(Lost{}, [](auto& f) { f.mutable_search()->mutable_lost()->set_id("x"); }));
}

TEST_CASE("a request beyond its limits is refused") {
  using namespace wire;
  const PeerId s1 = contact("s1").id;
  const Join join{
      s1,           {}, "P2P", {"127.0.0.1", 0}, *NetworkId::fromRaw(std::string(16, 'n')),
      JoinOrder{4}, s1, {s1}};
  const auto joinRefused = [&](auto spoil) {
    return requestRefusedWhen(join, [&](auto& f) { spoil(*f.mutable_join()); });
  };
  CHECK(joinRefused([](auto& j) { j.clear_id(); }));
  CHECK(joinRefused([](auto& j) { j.set_id("a b"); }));
  CHECK(joinRefused([](auto& j) { j.clear_key(); }));
  CHECK(joinRefused([](auto& j) { j.set_key(std::string(17, 'k')); }));
  CHECK(joinRefused([](auto& j) { j.set_word(std::string(limits::kJoinWordBytes + 1, 'w')); }));
  CHECK(joinRefused([](auto& j) { j.set_listen_host("a\tb"); }));
  CHECK(joinRefused([](auto& j) { j.set_listen_port(65536); }));
  CHECK(joinRefused([](auto& j) { j.set_network("n"); }));
  CHECK(joinRefused([](auto& j) { j.set_order(~0ull); }));
  CHECK(joinRefused([](auto& j) { j.set_parent("."); }));
  CHECK(joinRefused([](auto& j) { j.add_neighbours(""); }));
  CHECK(joinRefused([](auto& j) {
    for (unsigned i = 0; i < limits::kMaxLinks; ++i) j.add_neighbours("s2");
  }));
  for (const unsigned port : {0u, 65536u}) {
    CHECK(
        requestRefusedWhen(PortTaken{1}, [&](auto& f) { f.mutable_port_taken()->set_port(port); }));
  }
  CHECK(requestRefusedWhen(Links{s1, {s1}}, [](auto& f) { f.mutable_links()->set_parent("/"); }));
  CHECK(requestRefusedWhen(Seek{s1, {}}, [](auto& f) { f.mutable_seek()->set_failed(" "); }));
  CHECK(requestRefusedWhen(TopologyRequest{},
                           [](auto& f) { f.mutable_topology()->set_after(~0ull); }));
  CHECK(
      requestRefusedWhen(TopologyRequest{}, [](auto& f) { f.mutable_topology()->set_id("a b"); }));
}

TEST_CASE("a reply beyond its limits is refused") {
  using namespace wire;
  const auto admittedRefused = [&](auto spoil) {
    return replyRefusedWhen(Admitted{{}, contact("s1"), 2, 2s, 1, {Referral::Kind::root, {}}},
                            [&](auto& f) { spoil(*f.mutable_admitted()); });
  };
  CHECK(admittedRefused([](auto& a) { a.clear_network(); }));
  CHECK(admittedRefused([](auto& a) { a.clear_self(); }));
  CHECK(admittedRefused([](auto& a) { a.set_max_links(limits::kMinLinks - 1); }));
  CHECK(admittedRefused([](auto& a) { a.set_max_links(limits::kMaxLinks + 1); }));
  CHECK(admittedRefused([](auto& a) { a.set_heartbeat_interval_ms(99); }));
  CHECK(admittedRefused([](auto& a) { a.set_heartbeat_interval_ms(600'001); }));
  CHECK(admittedRefused([](auto& a) { a.set_members(0); }));
  CHECK(admittedRefused([](auto& a) { a.clear_referral(); }));
  CHECK(admittedRefused([](auto& a) { a.mutable_referral()->set_kind(4); }));
  CHECK(admittedRefused([](auto& a) { a.mutable_referral()->set_kind(3); }));  // without a parent
  const auto addHost = [](auto& list, const std::string& host, std::uint32_t port) {
    auto& endpoint = *list.Add();
    endpoint.set_host(host);
    endpoint.set_port(port);
  };
  const auto eachListRefused = [&](auto spoil) {
    CHECK(admittedRefused([&](auto& a) { spoil(*a.mutable_metaservers()); }));
    CHECK(replyRefusedWhen(RegistryHeartbeatReply{2s, {}, {}},
                           [&](auto& f) { spoil(*f.mutable_heartbeat()->mutable_metaservers()); }));
  };
  eachListRefused([&](auto& list) { addHost(list, "", 5000); });
  eachListRefused([&](auto& list) { addHost(list, "a b", 5000); });
  eachListRefused([&](auto& list) { addHost(list, "fe80::1%eth0", 5000); });
  eachListRefused([&](auto& list) { addHost(list, "10.0.0.1", 0); });
  eachListRefused([&](auto& list) { addHost(list, "10.0.0.1", 65'536); });
  eachListRefused([&](auto& list) {
    for (std::size_t i = 0; i <= limits::kMetaserversTold; ++i) addHost(list, "10.0.0.1", 5000);
  });
  CHECK(replyRefusedWhen(RegistryHeartbeatReply{2s},
                         [](auto& f) { f.mutable_heartbeat()->set_heartbeat_interval_ms(0); }));
  CHECK(replyRefusedWhen(Members{},
                         [](auto& f) { f.mutable_members()->set_count(limits::kMembers + 1); }));
  CHECK(replyRefusedWhen(Members{}, [](auto& f) { f.mutable_members()->set_newest(~0ull); }));
  CHECK(replyRefusedWhen(WordRefused{"P2P"}, [](auto& f) {
    f.mutable_word_refused()->set_word(std::string(limits::kJoinWordBytes + 1, 'w'));
  }));
  const auto redirectRefused = [](auto spoil) {
    const Redirect redirect{{"10.0.0.1", 5000}, *NetworkId::fromRaw(std::string(16, 'n'))};
    return replyRefusedWhen(redirect, [&](auto& f) { spoil(*f.mutable_redirect()); });
  };
  CHECK(redirectRefused([](auto& r) { r.clear_to(); }));
  CHECK(redirectRefused([](auto& r) { r.mutable_to()->set_host("fe80::1%eth0"); }));
  CHECK(redirectRefused([](auto& r) { r.mutable_to()->set_port(0); }));
  CHECK(redirectRefused([](auto& r) { r.mutable_to()->set_port(65'536); }));
  CHECK(redirectRefused([](auto& r) { r.clear_network(); }));
  CHECK(redirectRefused([](auto& r) { r.set_network("n"); }));
  CHECK(redirectRefused([](auto& r) { r.set_network(std::string(16, '\0')); }));
  const Topology topology{{{contact("s1"), contact("s2").id, {contact("s2").id}}}, true};
  CHECK(replyRefusedWhen(topology, [](auto& f) { f.mutable_topology()->clear_entries(); }));
  CHECK(replyRefusedWhen(
      topology, [](auto& f) { f.mutable_topology()->mutable_entries(0)->clear_member(); }));
  CHECK(replyRefusedWhen(
      topology, [](auto& f) { f.mutable_topology()->mutable_entries(0)->set_neighbours(0, ""); }));
}

TEST_CASE("as many metaservers as a network has beside one fit, with the longest hosts") {
  const std::vector<Endpoint> most(limits::kMetaserversTold, {kLongHost, 65535});
  const wire::RegistryReply reply = wire::RegistryHeartbeatReply{2s, {}, most};
  CHECK(*wire::decodeRegistryReply(wire::encode(reply)) == reply);
  wire::Admitted admitted{{}, contact("s1"), 2, 2s, 1, {wire::Referral::Kind::root, {}}};
  admitted.metaservers = most;
  const wire::RegistryReply admission = admitted;
  CHECK(*wire::decodeRegistryReply(wire::encode(admission)) == admission);
}

TEST_CASE("sentences from other peers are truncated to the limit") {
  proto::RegistryReplyFrame frame;
  frame.mutable_wait()->set_reason(std::string(limits::kMessageBytes + 1, 'r'));
  const auto wait = wire::decodeRegistryReply(frame.SerializeAsString());
  REQUIRE(wait.ok());
  CHECK(std::get<wire::Wait>(*wait).reason.size() == limits::kMessageBytes);
  frame.mutable_failure()->set_message(std::string(limits::kMessageBytes + 1, 'r'));
  frame.mutable_failure()->set_code(4711);
  const auto failure = wire::decodeRegistryReply(frame.SerializeAsString());
  REQUIRE(failure.ok());
  CHECK(std::get<wire::Failure>(*failure).message.size() == limits::kMessageBytes);
  CHECK(std::get<wire::Failure>(*failure).code == ErrorCode::failed);
}

TEST_CASE("a message of no kind is refused, unknown fields are skipped") {
  CHECK(refusedAsProtocol(wire::decodeLink("")));
  CHECK(refusedAsProtocol(wire::decodeRegistryRequest("")));
  CHECK(refusedAsProtocol(wire::decodeRegistryReply("")));
  const std::string unknown("\xf2\x3f\x01x", 4);  // field 1022
  CHECK(refusedAsProtocol(wire::decodeLink(unknown)));
  CHECK(refusedAsProtocol(wire::decodeRegistryRequest(unknown)));
  CHECK(refusedAsProtocol(wire::decodeRegistryReply(unknown)));

  const wire::LinkMessage held = wire::Held{};
  CHECK(*wire::decodeLink(wire::encode(held) + unknown) == held);
  const wire::RegistryRequest quit = wire::Quit{};
  CHECK(*wire::decodeRegistryRequest(unknown + wire::encode(quit)) == quit);
  const wire::RegistryReply members = wire::Members{3, JoinOrder{7}};
  CHECK(*wire::decodeRegistryReply(wire::encode(members) + unknown) == members);
  CHECK(wire::decodeHello(wire::encode(wire::Hello{}) + unknown).ok());
}

TEST_CASE("more bytes than a frame has are refused before they are read") {
  const std::string tooLong(limits::kFrameBytes + 1, '\0');
  CHECK(refusedAsProtocol(wire::decodeLink(tooLong)));
  CHECK(refusedAsProtocol(wire::decodeRegistryRequest(tooLong)));
  CHECK(refusedAsProtocol(wire::decodeRegistryReply(tooLong)));
}
