// Membership against a metaserver that lies, and against peers that name others: whom it dials,
// what it believes, what it tells its user.
#include <doctest/doctest.h>

#include <algorithm>
#include <functional>
#include <map>
#include <set>
#include <string>

#include "common/base/limits.h"
#include "peer/core/membership.h"
#include "tests/unit/membership_fixture.h"

using namespace espalier;
using namespace espalier::peer;
using namespace std::chrono_literals;

// --- dials that others cause

TEST_CASE("wishes for heartbeats in the name of older roots cause few dials") {
  Member member;
  member.admit(root());
  member.attach(kChild, contact("child", 2000, elsewhere(1)));
  const auto sequence = member.membership.tree()->label().sequence;
  for (std::uint64_t i = 0; i < 10'000; ++i) {
    member.hears(kChild, wire::Raise{{sequence + 10 + i, 0}, contact(i), *PeerId::parse("child")});
    if (i % 1000 == 0) member.run(1s);
  }
  CHECK(member.dialled.size() >= 1);
  CHECK(member.dialled.size() <= 12);
}

TEST_CASE("peers that refer to each other under ever new ids are dialled at a bounded rate") {
  Member member;
  const auto first = contact("first", 1, elsewhere(1));
  member.admit(below(first));
  std::uint64_t ids = 0;
  member.loseMetaserver();
  member.run(20s, [&](const Endpoint&) {
    wire::Referred referred;
    for (const std::uint64_t where : {1u, 2u}) {
      referred.candidates.push_back(contact("x" + std::to_string(++ids), 1, elsewhere(where)));
    }
    return wire::LinkMessage(referred);
  });
  CHECK(member.dialled.size() >= 2);
  CHECK(member.dialledTo(elsewhere(2)) <= 16 + 20 * 4);
  CHECK(member.dialled.size() <= 2 * (16 + 20 * 4));
}

TEST_CASE(
    "made-up candidates are dialled at a bounded rate, and the metaserver's referral at once") {
  Member member;
  member.admit(below(contact("first", 1, elsewhere(1))));
  std::uint64_t made = 10;
  const auto refer = [&](const Endpoint&) {
    wire::Referred referred;
    for (int i = 0; i < 64; ++i) referred.candidates.push_back(contact(++made));
    return wire::LinkMessage(referred);
  };
  member.run(10s, refer);
  // The process's part: a burst of 400 and 200 a second.
  CHECK(member.dialled.size() <= 400 + 10 * 200 + 50);
  const auto real = contact("real", 2, {"10.9.9.9", 9999});
  const auto before = member.now;
  member.says(below(real));
  member.run(1ms, refer);
  CHECK(member.dialledTo(real.endpoint) == 1);
  CHECK(member.now - before <= 1ms);
}

TEST_CASE("one target is dialled four times a second, whoever names it under whatever id") {
  Member member;
  member.admit(below(contact("first", 1, elsewhere(1))));
  const Endpoint victim{"10.7.7.7", 22};
  std::uint64_t made = 10;
  member.run(10s, [&](const Endpoint&) {
    wire::Referred referred;
    referred.candidates = {contact("x" + std::to_string(++made), 1, victim), contact(made)};
    return wire::LinkMessage(referred);
  });
  CHECK(member.dialledTo(victim) <= 16 + 10 * 4);
}

TEST_CASE("a live peer is found among many dead ones on the same machine") {
  Member member;
  const auto full = contact("full", 1, elsewhere(1));
  wire::Referred referred;
  for (std::uint16_t i = 0; i < 60; ++i) {
    referred.candidates.push_back(contact("x" + std::to_string(i), 10u + i,
                                          {"10.7.7.7", static_cast<std::uint16_t>(100 + i)}));
  }
  const auto live = referred.candidates[30];
  member.admit(below(full));
  member.loseMetaserver();
  member.run(60s, [&](const Endpoint& endpoint) -> std::optional<wire::LinkMessage> {
    if (endpoint == full.endpoint) return referred;
    if (endpoint != live.endpoint) return std::nullopt;
    return wire::LinkMessage(wire::Accepted{live, {9, 0}, 2, {}});
  });
  CHECK(member.membership.tree()->parent());
}

TEST_CASE("what is no peer elsewhere is never dialled") {
  Member member;
  member.admit(below(contact("first", 1, elsewhere(1))));
  const std::vector<Endpoint> never{kHere,
                                    {"0.0.0.0", 9},
                                    {"::", 9},
                                    {"224.0.0.1", 9},
                                    {"255.255.255.255", 9},
                                    {"ff02::1", 9},
                                    {"::ffff:224.0.0.1", 9},
                                    {"127.0.0.1", 22},
                                    {"localhost", 22},
                                    {"10.1.1.1", 0}};
  wire::Referred referred;
  std::uint64_t made = 10;
  for (const auto& endpoint : never) {
    referred.candidates.push_back(contact("x" + std::to_string(++made), 1, endpoint));
  }
  for (const auto& endpoint : never) member.says(below(contact("y", 1, endpoint)));
  member.run(10s, [&](const Endpoint&) { return wire::LinkMessage(referred); });
  for (const auto& endpoint : never) {
    if (endpoint.host == "127.0.0.1" || endpoint.host == "localhost") continue;
    INFO(endpoint.text());
    CHECK(member.dialledTo(endpoint) == 0);
  }
}

TEST_CASE("a joiner of another network causes no dial") {
  Member member;
  member.admit(root());
  wire::NetworkId foreign;
  foreign.bytes[0] = 9;
  for (std::uint64_t i = 0; i < 1000; ++i) {
    member.hears(ConnectionId{10 + 2 * i}, wire::Attach{foreign, contact(i), {1000, 0}, 1, {}});
  }
  member.run(5s);
  CHECK(member.dialled.empty());
}

TEST_CASE("a child that comes and goes does not keep a root from its search") {
  Member member;
  const auto friendly = contact("friend", 1, elsewhere(1));
  member.admit(below(friendly));
  member.run(1ms, [](const Endpoint& endpoint) {
    return wire::LinkMessage(wire::Accepted{contact("friend", 1, endpoint), {5, 0}, 2, {}});
  });
  REQUIRE(member.membership.tree()->parent());
  member.loseMetaserver();
  const auto parent = member.membership.tree()->parent()->connection;
  member.membership.closed(parent, member.now, member.fx);
  std::uint64_t number = 10;
  for (int i = 0; i < 20; ++i) {
    const ConnectionId connection{number += 2};
    member.attach(connection, contact("flapper", 2000, elsewhere(3)));
    member.hears(connection, wire::Farewell());
    member.run(500ms);
  }
  CHECK(member.membership.tree()->isRoot());
  CHECK(member.dialledTo(elsewhere(1)) >= 4);
}

// --- contacts

TEST_CASE("what one neighbour names displaces nothing that others named") {
  Budget budget;
  KnownContacts contacts(*PeerId::parse("me"));
  const Account liar = budget.account(Payer::member(*PeerId::parse("liar")));
  const Account honest = budget.account(Payer::member(*PeerId::parse("honest")));
  contacts.remember({contact(1)});
  for (std::uint64_t i = 2; i < 10; ++i) contacts.heardOf({contact(i), honest});
  for (std::uint64_t i = 100; i < 10'000; ++i) contacts.heardOf({contact(i), liar});
  for (std::uint64_t i = 2; i < 10; ++i) contacts.heardOf({contact(i), liar});
  for (std::uint64_t i = 100; i < 10'000; ++i) contacts.heardOf({contact(i), liar});
  const auto all = contacts.all();
  CHECK(all.size() == 1 + limits::kKnownContacts);
  for (std::uint64_t i = 1; i < 10; ++i) {
    CHECK(std::any_of(all.begin(), all.end(),
                      [&](const auto& named) { return named.contact == contact(i); }));
  }
}

// --- a metaserver that lies

// An orphan with a child, whose parent drove its label far ahead.
struct Driven : Member {
  Driven() {
    const auto liar = contact("liar", 1, elsewhere(1));
    admit(below(liar));
    run(1ms, [](const Endpoint& endpoint) {
      return wire::LinkMessage(wire::Accepted{contact("liar", 1, endpoint), {5, 0}, 2, {}});
    });
    REQUIRE(membership.tree()->parent());
    const auto link = membership.tree()->parent()->connection;
    attach(kChild, contact("child", 2000, elsewhere(3)));
    for (std::uint64_t i = 1; i <= 3; ++i) {
      hears(link, wire::Heartbeat{{i * limits::kSequenceJump, 0}, 2});
    }
    REQUIRE(membership.tree()->floor().sequence > limits::kSequenceJump);
    membership.closed(link, now, fx);
  }
};

TEST_CASE_FIXTURE(Driven, "a peer does not give up its children because one acceptor wants it to") {
  const auto liar = contact("other", 2, elsewhere(4));
  says(below(liar));
  run(3s, [&](const Endpoint& endpoint) -> std::optional<wire::LinkMessage> {
    if (endpoint != liar.endpoint) return std::nullopt;
    return wire::LinkMessage(wire::Refused{wire::RefusalReason::unanchored});
  });
  CHECK(dialledTo(liar.endpoint) >= 2);
  CHECK(membership.tree()->owns(kChild));
}

TEST_CASE("a peer whose parent drove its label beyond all roots gives up its children") {
  Driven member;
  const auto first = contact("first", 2, elsewhere(4));
  const auto second = contact("second", 3, elsewhere(5));
  const auto answer = [&](const Endpoint& endpoint) -> std::optional<wire::LinkMessage> {
    const auto& honest = endpoint == first.endpoint ? first : second;
    if (endpoint != honest.endpoint) return std::nullopt;
    if (member.membership.tree()->floor().sequence > 0) {
      return wire::LinkMessage(wire::Refused{wire::RefusalReason::unanchored});
    }
    return wire::LinkMessage(wire::Accepted{honest, {9, 0}, 2, {}});
  };
  const auto pass = [&](Duration time) {
    for (const TimePoint end = member.now + time; member.now < end;) {
      if (member.membership.tree()->owns(kChild)) member.hears(kChild, wire::Heartbeat{{}, 1});
      member.run(500ms, answer);
    }
  };
  member.says(below(first));
  SUBCASE("because peers of two hosts say so") {
    pass(1s);
    REQUIRE(member.membership.tree()->owns(kChild));
    member.says(below(second));
    pass(1s);
  }
  SUBCASE("because the only one that it knows says so all the time") {
    pass(limits::kReferralRetry - 1s);
    REQUIRE(member.membership.tree()->owns(kChild));
    pass(10s);
  }
  CHECK(member.membership.tree()->parent());
  CHECK_FALSE(member.membership.tree()->owns(kChild));
}

TEST_CASE("a metaserver that asks for a heartbeat each ten minutes is missed within 90 s") {
  Member member;
  auto admitted = member.admission(root());
  admitted.heartbeatInterval = 10min;
  member.isAnswered = false;
  member.says(admitted);
  member.membership.listening(kHere, member.now, member.fx);
  member.run(31s);
  CHECK(member.asked<wire::RegistryHeartbeat>() >= 1);
  member.says(wire::RegistryHeartbeatReply{10min});
  member.run(125s);
  CHECK(member.noticed(Notice::Kind::metaserverLost) == 1);
}

TEST_CASE("a second admission changes nothing, and is told a few times at most") {
  Member member;
  member.admit(root());
  auto other = member.admission(below(contact(1)));
  other.self.order = JoinOrder{5};
  other.network.bytes[0] = 9;
  other.self.endpoint.port = 6666;
  other.maxLinks = 2;
  for (int i = 0; i < 1000; ++i) member.says(other);
  const auto& tree = *member.membership.tree();
  CHECK(tree.isRoot());
  CHECK(tree.self() == contact("me", kOrder, kHere));
  CHECK(tree.network() == wire::NetworkId{});
  CHECK(member.fx.listens.size() == 1);
  CHECK(member.noticed(Notice::Kind::warning) >= 1);
  CHECK(member.noticed(Notice::Kind::warning) <= 20);
}

TEST_CASE("an admission of another peer, or at another port, ends the session") {
  Member member(6000);
  auto other = member.admission(root());
  SUBCASE("of another peer") {
    other.self.id = *PeerId::parse("you");
  }
  SUBCASE("at another port") {
    other.self.endpoint.port = 6001;
  }
  member.says(other);
  CHECK(member.fx.listens.empty());
  CHECK_FALSE(member.membership.joined());
  REQUIRE(member.noticed(Notice::Kind::metaserverLost) == 1);
  const auto& why = member.fx.notices.back().text;
  CHECK(why.starts_with("it admitted "));
}

TEST_CASE("replies that nobody asked for change nothing and do not flood the log") {
  Member member;
  member.admit(root());
  for (int i = 0; i < 1000; ++i) {
    member.says(wire::WordRefused{"sesame"});
    member.says(wire::Wait{"number " + std::to_string(i)});
    member.says(wire::Failure{ErrorCode::refused, "no"});
  }
  CHECK(member.membership.joined());
  CHECK(member.membership.tree()->isRoot());
  CHECK(member.noticed(Notice::Kind::wordRefused) == 0);
  CHECK(member.noticed(Notice::Kind::waiting) == 0);
  CHECK(member.noticed(Notice::Kind::refused) <= 20);
}

TEST_CASE("a flood of referrals causes few dials, and does not keep an orphan from its contacts") {
  Member member;
  const auto friendly = contact("friend", 1, elsewhere(1));
  member.admit(below(friendly));
  member.run(1ms, [](const Endpoint& endpoint) {
    return wire::LinkMessage(wire::Accepted{contact("friend", 1, endpoint), {5, 0}, 2, {}});
  });
  REQUIRE(member.membership.tree()->parent());
  member.membership.closed(member.membership.tree()->parent()->connection, member.now, member.fx);
  member.dialled.clear();
  std::uint64_t made = 100;
  for (int i = 0; i < 1000; ++i) {
    member.says(below(contact(++made)));
    member.run(10ms);
  }
  CHECK(member.dialledTo(friendly.endpoint) >= 1);
  // Referrals, and contacts that the metaserver named.
  CHECK(member.dialled.size() <= 40 + 10 * 8 + 64 + 10 * 8 + 20);
}

TEST_CASE("referrals of a peer that has a parent change nothing") {
  Member member;
  member.admit(below(contact("friend", 1, elsewhere(1))));
  member.run(1ms, [](const Endpoint& endpoint) {
    return wire::LinkMessage(wire::Accepted{contact("friend", 1, endpoint), {5, 0}, 2, {}});
  });
  member.attach(kOther, contact("child", 2000, elsewhere(3)));
  member.fx = {};
  for (int i = 0; i < 1000; ++i) {
    member.says(below(contact("child", 2000, elsewhere(3))));
    member.says(root());
    member.says(below(contact("me", kOrder, kHere)));
  }
  CHECK(member.membership.tree()->parent());
  CHECK(member.membership.tree()->children().size() == 1);
  CHECK(member.fx.dials.empty());
  CHECK(member.asked<wire::Links>() <= 41);
}

TEST_CASE("a root that is sent below its own child stays what it is") {
  Member member;
  member.admit(root());
  const auto child = contact("child", 2000, elsewhere(3));
  member.attach(kChild, child);
  for (int i = 0; i < 20; ++i) {
    member.says(below(child));
    member.run(1s, [](const Endpoint&) {
      return wire::LinkMessage(wire::Refused{wire::RefusalReason::below});
    });
  }
  member.run(10s);
  CHECK(member.membership.tree()->isRoot());
  CHECK_FALSE(member.membership.tree()->parent());
  CHECK(member.membership.tree()->owns(kChild) == false);  // it was silent for so long
}

// --- strangers

namespace {

// What the metaserver answers to the last report of links.
wire::Strangers answerTo(const Member& member, std::vector<PeerId> ids,
                         std::vector<PeerId> unconfirmed = {}) {
  std::uint64_t number = 0;
  for (const auto& send : member.fx.sends) {
    const auto* request = std::get_if<wire::RegistryRequest>(&send.message);
    const auto* links = request == nullptr ? nullptr : std::get_if<wire::Links>(request);
    if (links != nullptr) number = links->number;
  }
  REQUIRE(number != 0);
  return {number, std::move(ids), std::move(unconfirmed)};
}

PeerId peerId(const std::string& id) {
  return *PeerId::parse(id);
}

// A root, all of whose slots are taken: c0 to c3 on the connections 10, 12, 14, 16.
void fillSlots(Member& member) {
  member.admit(root());
  for (std::uint64_t i = 0; i < 4; ++i) {
    member.attach(ConnectionId{10 + 2 * i},
                  contact("c" + std::to_string(i), 2000 + i, elsewhere(i)));
  }
  REQUIRE(member.membership.tree()->links() == 4);
}

}  // namespace

TEST_CASE("a stranger keeps its link until a joiner needs the slot") {
  Member member;
  fillSlots(member);
  member.says(answerTo(member, {peerId("c1"), peerId("nobody")}));
  CHECK(member.membership.tree()->links() == 4);
  CHECK(member.noticed(Notice::Kind::warning) == 1);
  member.attach(kChild, contact("new", 3000, elsewhere(9)));
  CHECK(member.membership.tree()->owns(kChild));
  CHECK_FALSE(member.membership.tree()->owns(ConnectionId{12}));
  member.attach(kOther, contact("other", 3001, elsewhere(10)));  // all are members by now
  CHECK_FALSE(member.membership.tree()->owns(kOther));
}

TEST_CASE("nobody is a stranger without the metaserver, or by an answer to another report") {
  Member member;
  fillSlots(member);
  auto old = answerTo(member, {peerId("c1")});
  SUBCASE("of another number") {
    --old.number;
    member.says(old);
  }
  SUBCASE("repeated, about a link that came later") {
    member.says(answerTo(member, {}));
    member.says(old);
  }
  SUBCASE("the metaserver is lost") {
    member.says(old);
    member.loseMetaserver();
  }
  member.attach(kChild, contact("new", 3000, elsewhere(9)));
  CHECK_FALSE(member.membership.tree()->owns(kChild));
}

TEST_CASE("who uses the id of a member that does not report the link is a stranger after a while") {
  Member member;
  fillSlots(member);
  for (int second = 0; second < 12; ++second) {
    const bool isLong = second >= 8;
    member.says(answerTo(member, {}, {peerId("c2")}));
    member.attach(ConnectionId{100 + 2 * static_cast<std::uint64_t>(second)},
                  contact("new", 3000, elsewhere(9)));
    if (second < 4) CHECK(member.membership.tree()->owns(ConnectionId{14}));
    if (isLong) CHECK_FALSE(member.membership.tree()->owns(ConnectionId{14}));
    for (std::uint64_t i = 0; i < 4; ++i) {
      if (member.membership.tree()->owns(ConnectionId{10 + 2 * i})) {
        member.hears(ConnectionId{10 + 2 * i}, wire::Heartbeat{{}, 1});
      }
    }
    member.run(1s);
  }
}

TEST_CASE("a parent whose report takes long is kept, and one without a report is left in the end") {
  Member member;
  const auto parent = contact("parent", 1, elsewhere(2));
  const auto accepts = [&](const Endpoint& endpoint) -> std::optional<wire::LinkMessage> {
    if (endpoint != parent.endpoint) return std::nullopt;
    return wire::LinkMessage(wire::Accepted{parent, {5, 0}, 2, {}});
  };
  member.admit(below(parent));
  member.run(1ms, accepts);
  REQUIRE(member.membership.tree()->parent());
  const auto pass = [&](Duration time, std::vector<PeerId> unconfirmed) {
    for (const TimePoint end = member.now + time; member.now < end;) {
      member.says(answerTo(member, {}, unconfirmed));
      if (!member.membership.tree()->parent()) return;
      member.hears(member.membership.tree()->parent()->connection, wire::Heartbeat{{5, 0}, 2});
      member.run(500ms);
    }
  };
  pass(LinkCheck::kDisowned - 2s, {parent.id});
  CHECK(member.membership.tree()->parent());
  SUBCASE("the report comes") {
    pass(10s, {});
    pass(10s, {parent.id});
    CHECK(member.membership.tree()->parent());
  }
  SUBCASE("it does not come") {
    pass(10s, {parent.id});
    CHECK_FALSE(member.membership.tree()->parent());
    member.says(below(parent));
    member.run(1s, accepts);
    CHECK(member.membership.tree()->parent());  // the metaserver sends it there
  }
}

TEST_CASE("a root that was lured below a stranger leaves it") {
  Member member;
  member.admit(root());
  member.attach(kChild, contact("child", 2000, elsewhere(1)));
  const auto lure = contact("lure", 1, elsewhere(2));
  const auto sequence = member.membership.tree()->label().sequence;
  member.hears(kChild, wire::Raise{{sequence + 10, 0}, lure, peerId("child")});
  const auto accepts = [&](const Endpoint& endpoint) -> std::optional<wire::LinkMessage> {
    if (endpoint != lure.endpoint) return std::nullopt;
    return wire::LinkMessage(wire::Accepted{lure, {sequence + 100, 0}, 2, {}});
  };
  member.run(1ms, accepts);
  REQUIRE(member.membership.tree()->parent());
  member.says(answerTo(member, {lure.id}));
  CHECK_FALSE(member.membership.tree()->parent());
  CHECK(member.asked<wire::Seek>() >= 1);
  member.says(root());
  CHECK(member.membership.tree()->isRoot());
  member.dialled.clear();
  auto wish = [&, raised = sequence + 1000](int times) mutable {
    for (int i = 0; i < times; ++i) {
      member.hears(kChild, wire::Raise{{++raised, 0}, lure, peerId("child")});
      member.run(100ms, accepts);
    }
  };
  wish(100);
  CHECK(member.dialled.empty());
  wish(600);
  CHECK_FALSE(member.dialled.empty());  // it may be a member by now
}
