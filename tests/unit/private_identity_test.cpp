// The core of private messages: whom an id means, and what a copy of the state or a clock changes.
#include <doctest/doctest.h>

#include "tests/unit/private_two.h"

using namespace espalier;
using namespace espalier::test;
using namespace std::chrono_literals;
using Kind = peer::PrivateUpdate::Kind;

TEST_CASE("whoever comes back under another id gets what waits for it when it writes") {
  Two two;
  two.world.send(*two.a, "s2", "one");
  two.world.run(2s);
  two.world.crash(*two.b);
  two.world.send(*two.a, "s2", "two");
  two.world.run(5s);
  two.b->id = *PeerId::parse("s8");
  two.world.start(*two.b);
  two.world.run(1min);
  CHECK(two.b->shown == std::vector<std::string>{"one"});
  two.world.send(*two.b, "s1", "it's me");
  two.world.run(2s);
  CHECK(two.b->shown == std::vector<std::string>{"one", "two"});
  // By either id the user means this one.
  REQUIRE(two.a->core->book().latest(*PeerId::parse("s2")) != nullptr);
  CHECK(two.a->core->book().latest(*PeerId::parse("s2"))->with == instanceOf(2));
  const auto request = two.world.send(*two.a, "s8", "three");
  two.world.run(2s);
  CHECK(two.kindOf(request) == Kind::delivered);
}

TEST_CASE("the first message of another instance with a known id is marked") {
  Two two;
  auto& third = two.world.add(3, "s3");
  two.world.send(*two.b, "s1", "of s2");
  two.world.send(third, "s1", "of s3");
  two.world.run(2s);
  CHECK(two.a->marked.empty());
  SUBCASE("one that was never heard of") {
    two.world.crash(*two.b);
    auto& other = two.world.add(5, "s2");
    two.world.send(other, "s1", "new");
    two.world.send(other, "s1", "again");
    two.world.run(2s);
    CHECK(two.a->marked == std::vector<std::string>{"new"});
  }
  SUBCASE("one that had another id") {
    two.world.crash(*two.b);
    two.world.crash(third);
    third.id = *PeerId::parse("s2");
    two.world.start(third);
    two.world.send(third, "s1", "new");
    two.world.run(2s);
    CHECK(two.a->marked == std::vector<std::string>{"new"});
  }
}

TEST_CASE("nobody gets what is meant for another one by taking its id and connecting") {
  Two two;
  auto& mallory = two.world.add(3, "mallory");
  two.world.send(mallory, "s1", "let me in");
  two.world.send(*two.a, "s2", "hello");
  two.world.run(2s);
  two.world.crash(*two.b);
  two.world.crash(mallory);
  mallory.id = *PeerId::parse("s2");
  two.world.start(mallory);
  const auto connect = [&] {
    const auto connection = two.world.intrude(*two.a, mallory.host);
    two.world.say(*two.a, connection,
                  wire::PrivateIntroduction{mallory.id, instanceOf(3), instanceOf(1), 9});
    two.world.run(1s);
  };
  connect();
  connect();
  SUBCASE("what is sent is refused") {
    const auto request = two.world.send(*two.a, "s2", "secret");
    two.world.run(5s);
    CHECK(two.kindOf(request) == Kind::failed);
    CHECK(two.textOf(request).find("another peer") != std::string::npos);
  }
  SUBCASE("its messages are marked, and what is sent then is refused, too, also after a restart") {
    two.world.send(mallory, "s1", "it's me");
    two.world.run(2s);
    CHECK(two.a->marked == std::vector<std::string>{"it's me"});
    two.world.crash(*two.a);
    two.world.start(*two.a);
    const auto request = two.world.send(*two.a, "s2", "secret");
    two.world.run(5s);
    CHECK(two.kindOf(request) == Kind::failed);
  }
  SUBCASE("it leaves the id again: the conversation is still that of the former one") {
    two.world.crash(mallory);
    mallory.id = *PeerId::parse("mallory");
    two.world.start(mallory);
    two.world.send(mallory, "s1", "me again");
    two.world.run(2s);
    REQUIRE(two.a->core->book().latest(*PeerId::parse("s2")) != nullptr);
    CHECK(two.a->core->book().latest(*PeerId::parse("s2"))->with == instanceOf(2));
  }
  CHECK(mallory.shown.empty());
}

TEST_CASE(
    "two messages written on a state older than the recipient's are not taken for delivered") {
  Two two;
  two.world.send(*two.a, "s2", "one");
  two.world.run(2s);
  const auto copy = two.a->disk;
  two.world.send(*two.a, "s2", "two");
  two.world.send(*two.a, "s2", "three");
  two.world.run(2s);
  two.world.crash(*two.a);
  two.a->disk = copy;
  two.world.start(*two.a);
  two.world.send(*two.a, "s2", "four");
  two.world.send(*two.a, "s2", "five");
  two.world.run(1min);
  CHECK(two.b->shown == std::vector<std::string>{"one", "two", "three", "four", "five"});
}

TEST_CASE("a clock that is set does not end what waits") {
  Two two;
  two.world.send(*two.a, "s2", "so that they know each other");
  two.world.run(2s);
  two.world.crash(*two.b);
  two.world.send(*two.a, "s2", "late");
  two.world.run(5s);
  two.a->core->setWallClock(24h * 30'000, two.world.now);
  two.world.run(5s);
  CHECK(two.a->core->book().waitingCount() == 1);
}
