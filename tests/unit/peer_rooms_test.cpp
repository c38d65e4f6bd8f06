// What Peer tells its home of rooms, and what it hands to them.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "peer/core/peer.h"

using namespace espalier;
using namespace espalier::peer;
using namespace std::chrono_literals;

namespace {

constexpr TimePoint kNow{1h};
const RoomName kFleece = *RoomName::parse("fleece");

// A peer that is the root of its network, at a home that knows rooms or does not.
struct AtHome {
  explicit AtHome(bool hasRooms) {
    peer.keepRooms({5, {saved()}, {}}, *SpeakerId::fromRaw("sixteen at rando"));
    peer.connect(now, fx);
    home = fx.dials.at(0).connection;
    peer.opened(home, "127.0.0.1", now, fx);
    peer.join(*PeerId::parse("s1"), {}, "P2P", now, fx);
    admit(hasRooms);
    peer.listening({"127.0.0.1", 5001}, now, fx);
    end();
  }
  static SavedRoom saved() {
    SavedRoom room;
    room.room = kFleece;
    return room;
  }
  void admit(bool hasRooms) {
    wire::Admitted admitted;
    admitted.network = *wire::NetworkId::fromRaw("example network.");
    admitted.self = {*PeerId::parse("s1"), JoinOrder{1}, {"127.0.0.1", 5001}};
    admitted.referral.kind = wire::Referral::Kind::root;
    admitted.hasRooms = hasRooms;
    (void)peer.received(home, admitted, now, fx);
  }
  // Ends the step; what was sent is in `sent`.
  void end() {
    peer.endStep(now, fx);
    sent.clear();
    for (const auto& send : fx.sends) {
      const auto* request = std::get_if<wire::RegistryRequest>(&send.message);
      const auto* room = request == nullptr ? nullptr : std::get_if<wire::RoomRequest>(request);
      if (room == nullptr) continue;
      CHECK(send.to == home);
      sent.push_back(*room);
    }
    told = std::move(fx.rooms);
    fx = {};
  }
  template <typename Kind>
  std::size_t count() const {
    return static_cast<std::size_t>(std::ranges::count_if(
        sent, [](const auto& request) { return std::holds_alternative<Kind>(request); }));
  }

  Random random{1};
  Budget budget;
  TimePoint now = kNow;
  Peer peer{Membership::Options{{{"127.0.0.1", 5000}}, {"127.0.0.1", 5001}, {}, 0}, random, budget,
            kNow};
  ConnectionId home{};
  Effects fx;
  std::vector<wire::RoomRequest> sent;
  RoomViewsEffects told;
};

}  // namespace

TEST_CASE("a home that knows rooms is told those of the peer, and asked where they are") {
  AtHome at(true);
  REQUIRE(at.count<wire::RoomsWanted>() == 1);
  const auto& wanted = std::get<wire::RoomsWanted>(at.sent.at(0));
  CHECK(wanted.revision == 5);
  REQUIRE(wanted.rooms.size() == 1);
  CHECK(wanted.rooms[0].room == kFleece);
  CHECK(at.count<wire::RoomAsk>() == 2);  // with the lobby

  REQUIRE(at.peer.rooms()->say(kFleece, "hello", at.fx.rooms).ok());
  at.end();
  CHECK(at.count<wire::RoomSay>() == 1);
  wire::RoomState state{kFleece, 3, 0, true, {}};
  (void)at.peer.received(at.home, wire::RoomReply(state), at.now, at.fx);
  at.end();
  CHECK(at.told.states.size() == 1);
}

TEST_CASE("an old home is told nothing of rooms, and nothing of it is taken") {
  AtHome at(false);
  CHECK(at.sent.empty());
  CHECK_FALSE(at.peer.rooms()->hasHome());
  wire::RoomState state{kFleece, 3, 0, true, {}};
  (void)at.peer.received(at.home, wire::RoomReply(state), at.now, at.fx);
  at.end();
  CHECK(at.told.isEmpty());
}

TEST_CASE("a home that is lost is told nothing more, and a question is repeated in time") {
  AtHome at(true);
  at.now += limits::kRoomAskTimeout;
  at.peer.tick(at.now, at.fx);
  at.end();
  CHECK(at.count<wire::RoomAsk>() == 2);
  at.peer.closed(at.home, at.now, at.fx);
  at.end();
  CHECK_FALSE(at.peer.rooms()->hasHome());
  REQUIRE(at.peer.rooms()->say(kFleece, "hello", at.fx.rooms).ok());
  at.end();
  CHECK(at.sent.empty());
}
