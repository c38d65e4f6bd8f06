#include "metaserver/core/cluster/cluster_rooms.h"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <map>
#include <string>
#include <vector>

#include "common/base/random.h"

using namespace espalier;
using namespace espalier::metaserver;
using namespace espalier::metaserver::cluster;

namespace {

const TimePoint kNow = TimePoint() + std::chrono::hours(1);

MemberRow rowOf(std::uint64_t order, const char* id) {
  MemberRow row;
  row.contact.id = PeerId::parse(id).value();
  row.contact.order = JoinOrder{order};
  row.contact.endpoint = {"127.0.0.1", static_cast<std::uint16_t>(5000 + order)};
  row.rooms = {RoomName::parse("fleece").value()};
  row.roomsRevision = 1;
  return row;
}

ClusterRooms someRooms() {
  return ClusterRooms(rooms::Rooms::Options(), rooms::Stored(), kNow);
}

std::vector<std::string> membersOf(const ClusterRooms& rooms, const char* room) {
  std::vector<std::string> names;
  for (const auto& member :
       rooms.core().members().membersOf(RoomName::parse(room).value(), PeerId(), 100)) {
    names.push_back(member.text());
  }
  return names;
}

}  // namespace

TEST_CASE(
    "an id that goes to a lower order, while who had it gets another one, stays in its rooms") {
  ClusterRooms rooms = someRooms();
  rooms.take(wire::Delta{{}, {}, {rowOf(7, "s1")}}, kNow);
  CHECK(membersOf(rooms, "fleece") == std::vector<std::string>{"s1"});
  rooms.take(wire::Delta{{}, {}, {rowOf(3, "s1"), rowOf(7, "s1~2")}}, kNow);
  CHECK(membersOf(rooms, "fleece") == std::vector<std::string>{"s1", "s1~2"});
  rooms.take(wire::Delta{{}, {JoinOrder{7}}, {}}, kNow);
  CHECK(membersOf(rooms, "fleece") == std::vector<std::string>{"s1"});
}

TEST_CASE("the ids of orders are those that were put last, however many come and go") {
  Random random(7);
  OrderIds ids;
  std::map<JoinOrder, PeerId> expected;
  for (int i = 0; i < 5000; ++i) {
    const JoinOrder order{1 + random() % 200};
    const auto known = expected.find(order);
    if (random() % 2 == 0) {
      ids.remove(order);
      if (known != expected.end()) expected.erase(known);
    } else if (known == expected.end()) {
      const auto& id = (expected[order] = PeerId::parse(fmt::format("s{}", i)).value());
      ids.put(order, id);
    }
    const JoinOrder asked{1 + random() % 200};
    const auto* found = ids.find(asked);
    const auto wanted = expected.find(asked);
    REQUIRE((found != nullptr) == (wanted != expected.end()));
    if (found != nullptr) REQUIRE(*found == wanted->second);
  }
}
