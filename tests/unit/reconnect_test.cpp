// Peers that have lost their metaserver do not come back all at once.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <memory>

#include "common/base/limits.h"
#include "peer/core/membership.h"

using namespace espalier;
using namespace espalier::peer;

namespace {

using namespace std::chrono_literals;

constexpr TimePoint kStart{Duration(1h)};

// A peer that is in the network.
struct Member {
  explicit Member(unsigned number)
      : random(number), membership({{"127.0.0.1", 5000}, {}, {}}, random, kStart) {
    Effects fx;
    membership.connect(kStart, fx);
    REQUIRE(fx.dials.size() == 1);
    connection = fx.dials[0].connection;
    membership.opened(connection, "127.0.0.1", kStart, fx);
    const PeerId id = *PeerId::parse("s" + std::to_string(number));
    membership.join(id, {}, "P2P", kStart, fx);
    wire::Admitted admitted;
    admitted.self = {
        id, JoinOrder{number + 1}, {"127.0.0.1", static_cast<std::uint16_t>(6000 + number)}};
    admitted.maxLinks = 2;
    admitted.members = number + 1;
    admitted.beatInterval = limits::kBeatInterval;
    admitted.place.kind = wire::Place::Kind::root;
    membership.received(connection, wire::RegistryReply(admitted), kStart, fx);
    membership.listening(admitted.self.endpoint, kStart, fx);
    REQUIRE(membership.joined());
  }

  // How long after `lost` it dials the metaserver again.
  Duration comesBackAfter(TimePoint lost) {
    Effects fx;
    membership.closed(connection, lost, fx);
    TimePoint now = lost;
    while (true) {
      for (const auto& dial : fx.dials) {
        if (dial.purpose != wire::Purpose::registry) continue;
        connection = dial.connection;
        return now - lost;
      }
      fx = {};
      now = std::max(now, membership.deadline());
      REQUIRE(now < lost + 1min);
      membership.tick(now, fx);
    }
  }

  Random random;
  Membership membership;
  ConnectionId connection;
};

}  // namespace

TEST_CASE("after a restart of the metaserver its peers come back spread over 0.2 to 5 s") {
  constexpr unsigned kPeers = 960;
  std::array<unsigned, 48> inTenth{};  // of a second
  for (unsigned number = 0; number < kPeers; ++number) {
    Member member(number);
    const auto after = member.comesBackAfter(kStart + 10s);
    REQUIRE(after >= 200ms);
    REQUIRE(after <= 5s);
    const auto at = static_cast<std::size_t>((after - 200ms) / 100ms);
    ++inTenth[std::min(at, inTenth.size() - 1)];
  }
  // Twenty are expected in each; a storm would put hundreds into one.
  for (const unsigned count : inTenth) {
    CHECK(count >= 4);
    CHECK(count <= 50);
  }
}

TEST_CASE(
    "a metaserver that stays away is tried again and again, each time after a wait of its own") {
  Member member(7);
  TimePoint now = kStart + 10s;
  std::vector<Duration> waits;
  for (int attempt = 0; attempt < 20; ++attempt) {
    waits.push_back(member.comesBackAfter(now));
    CHECK(waits.back() >= 200ms);
    CHECK(waits.back() <= 5s);
    now += waits.back();
  }
  std::ranges::sort(waits);
  CHECK(std::ranges::adjacent_find(waits) == waits.end());
}
