// Ports: which port a joiner gets.
#include "metaserver/core/ports.h"

#include <doctest/doctest.h>

using namespace espalier;
using namespace espalier::metaserver;

namespace {

// Members that take the ports of their endpoints.
struct Given {
  explicit Given(std::uint16_t first) : ports(tree, first) {}

  topo::NodeIndex take(const std::string& host, std::uint16_t port) {
    const std::uint64_t order = tree.size() + 1;
    const auto id = PeerId::parse("s" + std::to_string(order)).value();
    const auto node = tree.add({id, JoinOrder{order}, {host, port}});
    ports.take(node);
    return node;
  }

  topo::Forest tree{2};
  Ports ports;
};

}  // namespace

TEST_CASE("ports count up, and skip those that are taken on that host only") {
  Given given(5001);
  given.take("10.0.0.1", 5002);
  CHECK(given.ports.next("10.0.0.1") == 5001);
  CHECK(given.ports.next("10.0.0.1") == 5003);
  given.take("10.0.0.1", 5004);
  CHECK(given.ports.next("10.0.0.2") == 5004);
}

TEST_CASE("ports of metaservers are taken on their hosts") {
  Given given(5001);
  given.ports.setMetaservers({{"h", 5003}, {"other", 5002}, {"h", 5001}, {"a", 5003}});
  CHECK(given.ports.next("h") == 5002);
  CHECK(given.ports.next("h") == 5004);
  CHECK(given.ports.isTaken("a", 5003));
  CHECK_FALSE(given.ports.isTaken("a", 5001));
}

TEST_CASE("ports wrap around, until none is left") {
  Given given(65534);
  CHECK(given.ports.next("h") == 65534);
  const auto node = given.take("h", 65534);
  CHECK(given.ports.next("h") == 65535);
  given.take("h", 65535);
  CHECK(given.ports.next("h") == std::nullopt);
  given.ports.release(node);
  CHECK(given.ports.next("h") == 65534);
}

TEST_CASE("two peers may have one endpoint for a moment, and each releases its own") {
  Given given(5001);
  const auto one = given.take("h", 5001);
  const auto other = given.take("h", 5001);
  given.ports.release(one);
  CHECK_FALSE(given.ports.hasTaken(one));
  CHECK(given.ports.hasTaken(other));
  CHECK(given.ports.isTaken("h", 5001));
}
