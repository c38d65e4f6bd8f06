// Which joiner is admitted first after a restart.
#include "metaserver/core/waiting_joiners.h"

#include <doctest/doctest.h>

using namespace espalier;
using namespace espalier::metaserver;

namespace {

constexpr ConnectionId kFirst{2};
constexpr ConnectionId kSecond{4};
constexpr ConnectionId kThird{6};

wire::Join joinOf(std::string_view id, std::uint16_t port = 0) {
  wire::Join join;
  join.id = PeerId::parse(id).value();
  join.listen.port = port;
  return join;
}

std::string takeFirst(WaitingJoiners& waiting) {
  const auto first = waiting.takeFirst();
  return first ? first->second.id.text() : "nobody";
}

}  // namespace

TEST_CASE(
    "joiners leave in the order in which they came, and those that are gone are passed over") {
  WaitingJoiners waiting;
  CHECK(waiting.add(kFirst, joinOf("s1")));
  CHECK(waiting.add(kSecond, joinOf("s2")));
  CHECK(waiting.add(kThird, joinOf("s3")));
  waiting.remove(kSecond);
  CHECK(takeFirst(waiting) == "s1");
  CHECK(takeFirst(waiting) == "s3");
  CHECK(takeFirst(waiting) == "nobody");
}

TEST_CASE("a joiner that asks again under another id keeps its position, and its old id is free") {
  WaitingJoiners waiting;
  CHECK(waiting.add(kFirst, joinOf("s1")));
  CHECK(waiting.add(kSecond, joinOf("s2")));
  CHECK(waiting.add(kFirst, joinOf("s9")));
  CHECK(waiting.connectionOf(PeerId::parse("s1").value()) == std::nullopt);
  CHECK(waiting.connectionOf(PeerId::parse("s9").value()) == kFirst);
  CHECK(takeFirst(waiting) == "s9");
}

TEST_CASE("a joiner that listens on a port of its own goes first") {
  WaitingJoiners waiting;
  CHECK(waiting.add(kFirst, joinOf("s1")));
  CHECK(waiting.add(kSecond, joinOf("s2", 5001)));
  CHECK(waiting.add(kThird, joinOf("s3", 5002)));
  waiting.listenersFirst();
  CHECK(takeFirst(waiting) == "s2");
  CHECK(takeFirst(waiting) == "s3");
  CHECK(takeFirst(waiting) == "s1");
}
