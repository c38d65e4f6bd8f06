// The core of private messages: what is sent, acknowledged, shown, refused.
#include <doctest/doctest.h>

#include "tests/unit/private_two.h"

using namespace espalier;
using namespace espalier::test;
using namespace std::chrono_literals;
using Kind = peer::PrivateUpdate::Kind;
using Reason = wire::PrivateRefusal::Reason;

namespace {

// The introduction of instance 1 as s1.
wire::PrivateIntroduction introduction() {
  return {*PeerId::parse("s1"), instanceOf(1), instanceOf(2), 77};
}

const wire::PrivateRefusal* refusalIn(const PrivateWorld& world, ConnectionId connection) {
  for (const auto& [to, frame] : world.unheard) {
    if (to != connection) continue;
    if (const auto* refusal = std::get_if<wire::PrivateRefusal>(&frame)) return refusal;
  }
  return nullptr;
}

}  // namespace

TEST_CASE("a message is delivered when it is durable at the recipient, and shown there") {
  Two two;
  const auto request = two.world.send(*two.a, "s2", "hello");
  two.world.run(2s);
  CHECK(two.kindOf(request) == Kind::delivered);
  CHECK(two.world.textsOn(*two.b, false) == std::vector<std::string>{"hello"});
  CHECK(two.b->shown == std::vector<std::string>{"hello"});
  CHECK(two.world.problems.empty());
}

TEST_CASE("nothing is sent before it is durable at the sender") {
  Two two;
  two.a->isDiskStuck = true;
  const auto request = two.world.send(*two.a, "s2", "hello");
  two.world.run(5s);
  CHECK(two.world.update(*two.a, request) == nullptr);
  CHECK(two.b->shown.empty());
  two.a->isDiskStuck = false;
  two.world.run(2s);
  CHECK(two.kindOf(request) == Kind::delivered);
}

TEST_CASE("nothing is acknowledged or shown before it is durable at the recipient") {
  Two two;
  two.b->isDiskStuck = true;
  const auto request = two.world.send(*two.a, "s2", "hello");
  two.world.run(5s);
  CHECK(two.world.update(*two.a, request) == nullptr);
  CHECK(two.b->shown.empty());
  two.b->isDiskStuck = false;
  two.world.run(30s);
  CHECK(two.kindOf(request) == Kind::delivered);
}

TEST_CASE("a message waits for a recipient that is away, and goes when it is back, in order") {
  Two two;
  two.world.send(*two.a, "s2", "first");
  two.world.run(2s);
  two.world.crash(*two.b);
  const auto request = two.world.send(*two.a, "s2", "second");
  two.world.send(*two.a, "s2", "third");
  two.world.run(20s);
  CHECK(two.kindOf(request) == Kind::waits);
  CHECK(two.textOf(request).find("s2") != std::string::npos);
  two.world.start(*two.b);
  two.world.run(2min);
  CHECK(two.b->shown == std::vector<std::string>{"first", "second", "third"});
}

TEST_CASE("a member that cannot be dialled is named with its address") {
  Two two;
  two.world.crash(*two.b);
  two.b->isMember = true;  // the metaserver has not noticed
  const auto request = two.world.send(*two.a, "s2", "hello");
  two.world.run(5s);
  CHECK(two.kindOf(request) == Kind::waits);
  CHECK(two.textOf(request) == "s2 cannot be reached at 10.0.0.3:5001");
}

TEST_CASE("nobody waits for a peer that was never there") {
  Two two;
  const auto request = two.world.send(*two.a, "s9", "hello");
  two.world.run(1s);
  CHECK(two.kindOf(request) == Kind::failed);
  CHECK(two.a->disk.rows.empty());
}

TEST_CASE("an id that another instance has gets nothing, and the sender is told") {
  Two two;
  two.world.send(*two.a, "s2", "for the first");
  two.world.run(2s);
  two.world.crash(*two.b);
  const auto waits = two.world.send(*two.a, "s2", "also for the first");
  two.world.run(5s);
  auto& other = two.world.add(3, "s2");
  two.world.run(2min);
  CHECK(other.shown.empty());
  CHECK(two.kindOf(waits) == Kind::waits);

  const auto refused = two.world.send(*two.a, "s2", "for whom?");
  two.world.run(2s);
  CHECK(two.kindOf(refused) == Kind::failed);
  CHECK(two.textOf(refused).find("another peer") != std::string::npos);

  const auto meant = two.world.send(*two.a, "s2", "for the second", true);
  two.world.run(2s);
  CHECK(two.kindOf(meant) == Kind::delivered);
  CHECK(other.shown == std::vector<std::string>{"for the second"});

  // The first comes back under another id: it gets what waits for it when it has its id again.
  two.world.crash(other);
  two.world.start(*two.b);
  two.world.run(2min);
  CHECK(two.b->shown == std::vector<std::string>{"for the first", "also for the first"});
}

TEST_CASE("a peer that does not tell its instance is too old") {
  Two two;
  wire::Topology answer{
      {{{*PeerId::parse("s3"), JoinOrder{9}, {"10.0.0.9", 5001}}, {}, {}}}, false, 0};
  two.world.isMetaserverReachable = true;
  std::uint64_t request = 99;
  peer::Effects fx;
  two.a->core->send({request, *PeerId::parse("s3"), "hello", false}, two.world.now, fx);
  REQUIRE(two.a->core->wanted() != nullptr);
  two.a->core->asked(1);
  (void)two.a->core->told(1, answer, two.world.now, fx);
  REQUIRE(fx.privateUpdates.size() == 1);
  CHECK(fx.privateUpdates[0].error.message.find("too old") != std::string::npos);
}

TEST_CASE("an old metaserver names all members page by page") {
  Two two;
  peer::Effects fx;
  two.a->core->send({99, *PeerId::parse("s2"), "hello", false}, two.world.now, fx);
  two.a->core->asked(1);
  wire::Topology page;
  page.entries.push_back({two.world.contactOf(*two.a), {}, {}});
  page.more = true;
  CHECK(two.a->core->told(1, page, two.world.now, fx));
  REQUIRE(two.a->core->wanted() != nullptr);
  CHECK(two.a->core->wanted()->after == JoinOrder{2});
  two.a->core->asked(2);
  page.more = false;
  SUBCASE("the next page has it") {
    page.entries = {{two.world.contactOf(*two.b), {}, {}}};
    CHECK(two.a->core->told(2, page, two.world.now, fx));
    CHECK(fx.privateWrites.size() == 1);
  }
  SUBCASE("a page that goes back is no answer") {
    CHECK(two.a->core->told(2, page, two.world.now, fx));
    CHECK(fx.privateWrites.empty());
  }
}

// --- what a recipient believes

TEST_CASE("a sender that the metaserver does not know is refused") {
  Two two;
  auto wrong = introduction();
  SUBCASE("no member has the id") {
    wrong.from = *PeerId::parse("s7");
  }
  SUBCASE("the member is another instance") {
    wrong.instance = instanceOf(5);
  }
  SUBCASE("it says that it is the recipient") {
    wrong.from = *PeerId::parse("s2");
  }
  const auto stranger = two.world.intrude(*two.b, two.a->host);
  two.world.say(*two.b, stranger, wrong);
  REQUIRE(refusalIn(two.world, stranger) != nullptr);
  CHECK(refusalIn(two.world, stranger)->reason == Reason::notProven);
  CHECK(two.world.closedIntruders.contains(stranger));
}

TEST_CASE("a sender that comes from another address than the member is refused") {
  Two two;
  const auto stranger = two.world.intrude(*two.b, "10.9.9.9");
  two.world.say(*two.b, stranger, introduction());
  REQUIRE(refusalIn(two.world, stranger) != nullptr);
  CHECK(refusalIn(two.world, stranger)->reason == Reason::notProven);
}

TEST_CASE("messages before the introduction was accepted end the connection") {
  Two two;
  two.world.isMetaserverReachable = true;
  const auto stranger = two.world.intrude(*two.b, two.a->host);
  two.world.say(*two.b, stranger, wire::PrivateMessage{1, 0ms, "hello"});
  CHECK(two.world.closedIntruders.contains(stranger));
  CHECK(two.b->writing.empty());
}

TEST_CASE("a connection that is meant for another instance is refused") {
  Two two;
  auto wrong = introduction();
  wrong.to = instanceOf(9);
  const auto stranger = two.world.intrude(*two.b, two.a->host);
  two.world.say(*two.b, stranger, wrong);
  REQUIRE(refusalIn(two.world, stranger) != nullptr);
  CHECK(refusalIn(two.world, stranger)->reason == Reason::otherInstance);
}

TEST_CASE("without its metaserver a recipient takes nobody, and says that it is not now") {
  Two two;
  two.world.isMetaserverReachable = false;
  const auto stranger = two.world.intrude(*two.b, two.a->host);
  two.world.say(*two.b, stranger, introduction());
  REQUIRE(refusalIn(two.world, stranger) != nullptr);
  CHECK(refusalIn(two.world, stranger)->reason == Reason::notNow);
}

TEST_CASE("a number that was taken is not taken again, over a restart neither") {
  Two two;
  for (int i = 0; i < 3; ++i) {
    const auto sender = two.world.intrude(*two.b, two.a->host);
    two.world.say(*two.b, sender, introduction());
    two.world.say(*two.b, sender, wire::PrivateMessage{4, 0ms, "once"});
    two.world.say(*two.b, sender, wire::PrivateMessage{4, 0ms, "once"});
    two.world.run(1s);
    CHECK(two.world.textsOn(*two.b, false) == std::vector<std::string>{"once"});
    two.world.crash(*two.b);
    two.world.start(*two.b);
  }
  CHECK(two.b->shown == std::vector<std::string>{"once"});
}

TEST_CASE("whoever is ignored is told so, and what waits for it is given up") {
  Two two;
  two.world.send(*two.b, "s1", "so that they know each other");
  two.world.run(2s);
  two.world.step(*two.b, [&](peer::Effects& fx) {
    two.b->core->ignore(1, *PeerId::parse("s1"), true, two.world.now, fx);
  });
  two.world.run(1s);
  const auto request = two.world.send(*two.a, "s2", "hello");
  two.world.run(5s);
  CHECK(two.kindOf(request) == Kind::refused);
  CHECK(two.b->shown.empty());
  CHECK(two.a->core->book().waitingCount() == 0);

  // Under another id it is still the same instance; and it is so after a restart.
  two.world.crash(*two.b);
  two.world.start(*two.b);
  two.world.crash(*two.a);
  two.a->id = *PeerId::parse("s8");
  two.world.start(*two.a);
  const auto again = two.world.send(*two.a, "s2", "hello");
  two.world.run(5s);
  CHECK(two.kindOf(again) == Kind::refused);

  two.world.step(*two.b, [&](peer::Effects& fx) {
    two.b->core->ignore(2, *PeerId::parse("s1"), false, two.world.now, fx);
  });
  const auto allowed = two.world.send(*two.a, "s2", "may I?");
  two.world.run(5s);
  CHECK(two.kindOf(allowed) == Kind::delivered);
}

// --- bounds

TEST_CASE("the outbox is full at 1,000 messages, and says so") {
  Two two;
  two.world.send(*two.a, "s2", "so that they know each other");
  two.world.run(2s);
  two.world.crash(*two.b);
  for (std::size_t i = 0; i < limits::kPrivateOutbox; ++i) {
    (void)two.a->core->forget(two.world.send(*two.a, "s2", fmt::format("{}", i)));
    while (!two.a->writing.empty()) two.world.makeDurable(*two.a);
    two.world.pass(1ms);
  }
  CHECK(two.a->core->book().isOutboxFull());
  const auto request = two.world.send(*two.a, "s2", "one too many");
  CHECK(two.kindOf(request) == Kind::failed);
  CHECK(two.textOf(request).find("the outbox is full") != std::string::npos);
  two.world.start(*two.b);
  two.world.run(3min);
  CHECK(two.b->shown.size() == 1001);
  CHECK(two.world.problems.empty());
}

TEST_CASE("what waits for 30 days is given up") {
  Two two;
  two.world.send(*two.a, "s2", "so that they know each other");
  two.world.run(2s);
  two.world.crash(*two.b);
  two.world.send(*two.a, "s2", "late");
  two.world.run(1min);
  two.world.now += limits::kPrivateKept;
  two.world.run(2min);
  CHECK(two.a->core->book().waitingCount() == 0);
  REQUIRE_FALSE(two.a->warnings.empty());
  CHECK(two.a->warnings.back().find("30 days") != std::string::npos);
}

TEST_CASE("a message has the time of its moment, also after the machine has slept") {
  Two two;
  const auto sinceEpoch = 24h * 21'000;  // the other clock stood still meanwhile
  for (auto* node : {two.a, two.b}) node->core->setWallClock(sinceEpoch, two.world.now);
  two.world.send(*two.a, "s2", "good morning");
  two.world.run(2s);
  for (const auto* node : {two.a, two.b}) {
    REQUIRE(node->disk.rows.size() == 1);
    const auto at = node->disk.rows.begin()->second.at;
    CHECK(at >= sinceEpoch);
    CHECK(at <= sinceEpoch + 2s);
  }
}

TEST_CASE("a sender that sends too fast is slowed down, not refused") {
  Two two;
  const auto sender = two.world.intrude(*two.b, two.a->host);
  two.world.say(*two.b, sender, introduction());
  std::uint64_t number = 0;
  for (int i = 0; i < 600 && !two.world.closedIntruders.contains(sender); ++i) {
    two.world.say(*two.b, sender, wire::PrivateMessage{++number, 0ms, "flood"});
  }
  // The window is full: whoever sends on is closed.
  CHECK(two.world.closedIntruders.contains(sender));
  const auto taken = two.b->writing.size();
  CHECK(taken <= 400 + limits::kPrivateWindow);
}

TEST_CASE("the messages of one conversation make room for newer ones") {
  Two two;
  std::uint64_t number = 0;
  auto sender = two.world.intrude(*two.b, two.a->host);
  two.world.say(*two.b, sender, introduction());
  while (number < limits::kPrivateMessages + 20) {
    ++number;
    two.world.say(*two.b, sender, wire::PrivateMessage{number, 0ms, fmt::format("{}", number)});
    while (!two.b->writing.empty()) two.world.makeDurable(*two.b);
    two.world.pass(100ms);
  }
  CHECK(two.world.textsOn(*two.b, false).size() == limits::kPrivateMessages);
  CHECK(two.world.problems.empty());
}

TEST_CASE("a stranger's conversation makes room, one that the user has written in does not") {
  peer::PrivateState state;
  for (unsigned i = 0; i < limits::kPrivateConversations; ++i) {
    InstanceHash with;
    with.bytes[0] = static_cast<std::uint8_t>(i);
    with.bytes[1] = static_cast<std::uint8_t>(i >> 8);
    with.bytes[2] = 1;
    state.conversations.push_back(
        {with, *PeerId::parse(fmt::format("p{}", i)), i == 0 ? 5u : 0u, 1, 0, 0, {}, {}});
  }
  const auto first = state.conversations[0].with;
  const auto second = state.conversations[1].with;
  Random random(1);
  peer::PrivateBook book(std::move(state), random);
  peer::PrivateBook::Writes writes;
  REQUIRE(book.findOrMake(instanceOf(7), *PeerId::parse("new"), writes) != nullptr);
  CHECK(book.find(first) != nullptr);
  CHECK(book.find(second) == nullptr);
  CHECK(book.checkInvariants().ok());
}

TEST_CASE("a state older than what the recipient has gets another stream") {
  Two two;
  two.world.send(*two.a, "s2", "one");
  two.world.run(2s);
  const PrivateDisk before = two.a->disk;
  two.world.send(*two.a, "s2", "two");
  two.world.send(*two.a, "s2", "three");
  two.world.run(5s);
  two.world.crash(*two.a);
  two.a->disk = before;  // from a copy
  two.world.start(*two.a);
  two.world.send(*two.a, "s2", "four");
  two.world.run(1min);
  CHECK(two.b->shown == std::vector<std::string>{"one", "two", "three", "four"});
}

TEST_CASE("all messages together have a bound of bytes: the largest conversation makes room") {
  peer::PrivateState state;
  constexpr std::uint32_t kText = limits::kPrivateTextBytes;
  const std::size_t most = limits::kPrivateBytes / (kText + limits::kPrivateRowBytes);
  peer::PrivatePosition position = 0;
  for (unsigned i = 0; position < most; ++i) {
    peer::PrivateState::Conversation one{
        instanceOf(i), *PeerId::parse(fmt::format("p{}", i)), 0, 0, 5, 1, {}, {}};
    const std::size_t count = i == 3 ? 900 : 500;
    for (std::size_t k = 0; k < count && position < most; ++k) {
      one.messages.push_back({++position, kText});
    }
    state.conversations.push_back(std::move(one));
  }
  Random random(1);
  peer::PrivateBook book(std::move(state), random);
  peer::PrivateBook::Writes writes;
  auto* from = book.find(instanceOf(0));
  REQUIRE(from != nullptr);
  const wire::PrivateMessage message{9, 0ms, std::string(kText, 'x')};
  const auto largest = book.find(instanceOf(3))->kept.size();
  book.keepReceived(*from, from->id, 5, message, 0ms, writes);
  REQUIRE(writes.size() == 2);
  CHECK(std::holds_alternative<peer::DropMessage>(writes[1].what));
  CHECK(book.find(instanceOf(3))->kept.size() == largest - 1);
  CHECK(from->kept.size() == 501);
  CHECK(book.checkInvariants().ok());
}

TEST_CASE("of very many connections the one that was silent longest makes room") {
  Two two;
  const auto first = two.world.intrude(*two.b, "10.9.0.1");
  two.world.pass(1ms);
  const auto second = two.world.intrude(*two.b, "10.9.0.2");
  for (std::size_t i = 2; i < limits::kPrivateSenders; ++i) {
    two.world.intrude(*two.b, "10.9.0.3");
  }
  CHECK(two.world.closedIntruders.empty());
  two.world.intrude(*two.b, "10.9.0.4");
  CHECK(two.world.closedIntruders == std::set<ConnectionId>{first});
  CHECK(two.b->core->owns(second));
}

TEST_CASE("introductions have a rate for each address, and others are served meanwhile") {
  Two two;
  std::size_t refused = 0;
  for (int i = 0; i < 100; ++i) {
    const auto stranger = two.world.intrude(*two.b, "10.9.9.9");
    two.world.say(*two.b, stranger, introduction());
    const auto* refusal = refusalIn(two.world, stranger);
    REQUIRE(refusal != nullptr);
    if (refusal->reason == Reason::notNow) ++refused;
  }
  CHECK(refused == 68);  // all but the 32 at once
  const auto sender = two.world.intrude(*two.b, two.a->host);
  two.world.say(*two.b, sender, introduction());
  CHECK(refusalIn(two.world, sender) == nullptr);
}

TEST_CASE("a second connection of an instance ends the first, whose messages do not count twice") {
  Two two;
  const auto first = two.world.intrude(*two.b, two.a->host);
  two.world.say(*two.b, first, introduction());
  two.b->isDiskStuck = true;
  two.world.say(*two.b, first, wire::PrivateMessage{1, 0ms, "one"});
  const auto second = two.world.intrude(*two.b, two.a->host);
  two.world.say(*two.b, second, introduction());
  CHECK(two.world.closedIntruders.contains(first));
  two.world.say(*two.b, second, wire::PrivateMessage{1, 0ms, "one"});
  two.b->isDiskStuck = false;
  two.world.unheard.clear();
  two.world.run(1s);
  CHECK(two.b->shown == std::vector<std::string>{"one"});
  // The acknowledgement comes on the connection that is there.
  REQUIRE(two.world.unheard.size() == 1);
  CHECK(two.world.unheard[0].first == second);
  CHECK(two.world.unheard[0].second == wire::PrivateFrame(wire::PrivateStored{1}));
}

TEST_CASE("in a small network a newcomer is looked up soon, but no more than every five seconds") {
  Two two;
  two.world.send(*two.a, "s2", "so that they know each other");
  two.world.run(2s);
  two.world.crash(*two.b);
  two.world.send(*two.a, "s2", "hello");
  two.world.run(1min);  // the pauses are long by now
  two.world.start(*two.b);
  two.a->core->membersSeen(1, two.world.now);
  two.a->core->membersSeen(2, two.world.now);
  two.world.run(1500ms);
  CHECK(two.b->shown.back() == "hello");

  two.world.crash(*two.b);
  two.world.send(*two.a, "s2", "again");
  two.world.run(1min);
  const auto before = two.a->questions;
  for (int i = 0; i < 100; ++i) {
    two.a->core->membersSeen(1, two.world.now);
    two.a->core->membersSeen(2, two.world.now);
    two.world.run(100ms);
  }
  CHECK(two.a->questions - before <= 4);
}
