#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <utility>

#include "peer/core/rooms/room_views.h"

using namespace espalier;
using namespace std::chrono_literals;
using peer::RoomViews;
using Kind = wire::RoomEntry::Kind;

namespace {

const PeerId kSelf = *PeerId::parse("s4");
const RoomName kRoom = *RoomName::parse("fleece");
const SpeakerId kSpeaker = *SpeakerId::fromRaw("sixteen at rando");
const SpeakerId kOther = *SpeakerId::fromRaw("another sixteen.");
constexpr TimePoint kNow{1h};

wire::RoomEntry entryOf(std::uint64_t number, std::uint32_t epoch, std::uint64_t counter,
                        std::string text = "hello") {
  wire::RoomEntry entry;
  entry.room = kRoom;
  entry.position = {{epoch, ServerNumber{7}}, 10 + number};
  entry.number = number;
  entry.id = {kOther, counter};
  entry.atMs = 1000 * number;
  entry.author = *PeerId::parse("s5");
  entry.text = std::move(text);
  return entry;
}

wire::RoomPlace placeOf(std::uint64_t number, std::uint32_t epoch) {
  return {{{epoch, ServerNumber{7}}, 10 + number}, number};
}

// A peer in one room, at its second entry.
struct Seer {
  explicit Seer(const RoomViews::Saved& saved = {}) : views(kSelf, kSpeaker, saved) {
    views.homeBegan(kNow, fx);
    CHECK(views.join(kRoom, 0, kNow, fx).ok());
    if (!saved.rooms.empty()) return;
    answer(lastAsk(), placeOf(2, 1), {});
    fx = {};
  }
  wire::RoomAsk lastAsk() const {
    for (auto request = fx.sends.rbegin(); request != fx.sends.rend(); ++request) {
      const auto* ask = std::get_if<wire::RoomAsk>(&*request);
      if (ask && ask->room == kRoom) return *ask;
    }
    return {};
  }
  void tell(const wire::RoomPlace& after, std::vector<wire::RoomEntry> entries,
            std::uint64_t answers = 0) {
    wire::RoomMessages messages;
    messages.room = kRoom;
    messages.answers = answers;
    messages.after = after;
    messages.entries = std::move(entries);
    views.received(messages, kNow, fx);
  }
  void answer(const wire::RoomAsk& ask, const wire::RoomPlace& after,
              std::vector<wire::RoomEntry> entries) {
    tell(after, std::move(entries), ask.number);
  }

  peer::RoomViewsEffects fx;
  RoomViews views;
};

}  // namespace

TEST_CASE("what follows the peer's place is shown, and counted as unread") {
  Seer seer;
  seer.tell(placeOf(2, 1), {entryOf(3, 1, 1), entryOf(4, 1, 2, "s4: are you there?")});

  REQUIRE(seer.fx.shows.size() == 2);
  CHECK_FALSE(seer.fx.shows[0].namesUser);
  CHECK(seer.fx.shows[1].namesUser);
  CHECK(seer.fx.saves.back().at == placeOf(4, 1).position);
  CHECK(seer.views.rows().at(0).unread == 2);
  CHECK(seer.views.rows().at(0).naming == 1);
  seer.views.read(kRoom, seer.fx);
  CHECK(seer.views.rows().at(0).unread == 0);
}

TEST_CASE("what does not follow is asked for, and nothing is shown meanwhile") {
  Seer seer;
  seer.tell(placeOf(3, 1), {entryOf(4, 1, 2)});
  CHECK(seer.fx.shows.empty());
  const auto ask = seer.lastAsk();
  REQUIRE(ask.places.size() == 1);
  CHECK(ask.places[0] == placeOf(2, 1));

  seer.tell(placeOf(4, 1), {entryOf(5, 1, 3)});
  CHECK(seer.fx.shows.empty());
  seer.answer(ask, placeOf(2, 1), {entryOf(3, 1, 1), entryOf(4, 1, 2), entryOf(5, 1, 3)});
  CHECK(seer.fx.shows.size() == 3);
}

TEST_CASE("another side's messages come behind what was shown, and nothing is shown twice") {
  Seer seer;
  seer.tell(placeOf(2, 1), {entryOf(3, 2, 1)});
  seer.fx = {};
  seer.tell(placeOf(4, 3), {entryOf(5, 3, 9)});

  auto again = entryOf(4, 3, 1);
  again.isApart = true;
  seer.answer(seer.lastAsk(), placeOf(2, 1), {entryOf(3, 1, 7), again, entryOf(5, 3, 9)});

  REQUIRE(seer.fx.shows.size() == 2);
  CHECK(seer.fx.shows[0].entry.id.counter == 7);
  CHECK(seer.fx.shows[1].entry.id.counter == 9);
}

TEST_CASE("a home that is lost before it said where a room is may have counted the peer") {
  for (const std::uint32_t opensAt : {0, 2}) {
    RoomViews views(kSelf, kSpeaker, {});
    peer::RoomViewsEffects fx;
    views.homeBegan(kNow, fx);
    REQUIRE(views.join(kRoom, 0, kNow, fx));
    views.homeLost();
    views.homeBegan(kNow, fx);
    views.received(wire::RoomState{kRoom, 2, opensAt, true, {}}, kNow, fx);
    const auto ask = [&] {
      for (auto one = fx.sends.rbegin(); one != fx.sends.rend(); ++one) {
        const auto* asked = std::get_if<wire::RoomAsk>(&*one);
        if (asked && asked->room == kRoom) return *asked;
      }
      return wire::RoomAsk();
    };
    CHECK(ask().from == wire::RoomAsk::From::now);

    wire::RoomMessages messages;
    messages.room = kRoom;
    messages.answers = ask().number;
    messages.after = placeOf(2, 1);
    views.received(messages, kNow, fx);

    // Only a gate may have opened by it.
    CHECK((ask().from == wire::RoomAsk::From::places) == (opensAt > 0));
  }
}

TEST_CASE("a restart shows nothing twice") {
  Seer seer;
  seer.tell(placeOf(2, 1), {entryOf(3, 1, 1)});
  RoomViews::Saved saved;
  saved.rooms = {seer.fx.saves.back()};
  saved.shown[kRoom] = {{kOther, 1}};

  Seer again(saved);
  const auto ask = again.lastAsk();
  CHECK(ask.from == wire::RoomAsk::From::places);
  again.answer(ask, {}, {entryOf(1, 1, 5), entryOf(3, 1, 1)});

  REQUIRE(again.fx.shows.size() == 1);
  CHECK(again.fx.shows[0].entry.id.counter == 5);
}

TEST_CASE("a new home gets what was not acknowledged, in its order") {
  Seer seer;
  const auto first = seer.views.say(kRoom, "one", seer.fx);
  const auto second = seer.views.say(kRoom, "two", seer.fx);
  REQUIRE(first.ok());
  seer.views.received(wire::RoomSaidReply{kRoom, *first, 3, {}, 2, {}, 0, {}}, kNow, seer.fx);
  CHECK(seer.fx.said.size() == 1);
  seer.views.homeLost();
  seer.fx = {};
  seer.views.homeBegan(kNow, seer.fx);

  std::size_t says = 0;
  for (const auto& request : seer.fx.sends) {
    const auto* say = std::get_if<wire::RoomSay>(&request);
    if (!say) continue;
    ++says;
    CHECK(say->id == *second);
  }
  CHECK(says == 1);
  CHECK(seer.views.unsaid() == 1);
}

TEST_CASE("members are counted from what the home has told, this peer included") {
  Seer seer;
  seer.views.received(wire::RoomState{kRoom, 4, 0, true, {}}, kNow, seer.fx);
  seer.views.received(wire::RoomMoved{kRoom, *PeerId::parse("s5"), false}, kNow, seer.fx);
  CHECK(seer.fx.entered.empty());
  seer.views.received(wire::RoomMoved{kRoom, kSelf, true}, kNow, seer.fx);
  CHECK(seer.fx.entered.size() == 1);
  CHECK(seer.fx.moved.size() == 1);
  CHECK(seer.views.rows().at(0).state.members == 4);
  for (int i = 0; i < 9; ++i) {
    seer.views.received(wire::RoomMoved{kRoom, *PeerId::parse("s5"), false}, kNow, seer.fx);
  }
  CHECK(seer.views.rows().at(0).state.members == 0);
  seer.views.received(wire::RoomState{kRoom, 4, 9, false, {}}, kNow, seer.fx);
  seer.views.received(wire::RoomMoved{kRoom, *PeerId::parse("s5"), true}, kNow, seer.fx);
  CHECK(seer.views.rows().at(0).state.members == 4);
}

TEST_CASE("the first peer of a network is in the lobby, though its home did not count it yet") {
  Seer seer;
  const auto lobby = *RoomName::parse("lobby");
  seer.views.received(wire::RoomState{lobby, 0, 0, true, {}}, kNow, seer.fx);
  const auto rows = seer.views.rows();
  const auto row = std::ranges::find(rows, lobby, &RoomViews::Row::room);
  REQUIRE(row != rows.end());
  CHECK(row->state.members == 1);
}

TEST_CASE("what no home has got is withdrawn, and what one has goes on") {
  Seer seer;
  const auto sent = seer.views.say(kRoom, "sent", seer.fx);
  seer.views.homeLost();
  const auto waiting = seer.views.say(kRoom, "waiting", seer.fx);
  CHECK_FALSE(seer.views.withdraw(*sent));
  CHECK(seer.views.withdraw(*waiting));
  CHECK_FALSE(seer.views.withdraw(*waiting));
  CHECK(seer.views.unsaid() == 1);
}

TEST_CASE("whoever is ignored is not shown, and not counted") {
  peer::RoomViewsEffects fx;
  RoomViews views(kSelf, kSpeaker, {}, [](const PeerId& id) { return id.text() == "s5"; });
  views.homeBegan(kNow, fx);
  CHECK(views.join(kRoom, 0, kNow, fx).ok());
  wire::RoomMessages messages;
  messages.room = kRoom;
  messages.answers = std::get<wire::RoomAsk>(fx.sends.back()).number;
  views.received(messages, kNow, fx);
  messages.answers = 0;
  messages.entries = {entryOf(1, 1, 1), entryOf(2, 1, 2)};
  messages.entries[1].author = *PeerId::parse("s6");
  views.received(messages, kNow, fx);
  REQUIRE(fx.shows.size() == 1);
  CHECK(fx.shows[0].entry.author.text() == "s6");
  CHECK(views.rows().at(0).unread == 1);
}

TEST_CASE("the history comes in parts, goes on at another home, and is never longer than wanted") {
  Seer seer;
  const auto number = seer.views.history(kRoom, 3, seer.fx);
  REQUIRE(number);
  CHECK(seer.lastAsk().from == wire::RoomAsk::From::last);
  wire::RoomMessages part;
  part.room = kRoom;
  part.answers = *number;
  part.isMore = true;
  part.entries = {entryOf(1, 1, 1)};
  seer.views.received(part, kNow, seer.fx);
  CHECK(seer.lastAsk().places.at(0) == placeOf(1, 1));
  CHECK(seer.fx.histories.empty());

  seer.views.homeLost();
  seer.views.homeBegan(kNow, seer.fx);
  CHECK(seer.lastAsk().from == wire::RoomAsk::From::last);
  part.entries = {entryOf(1, 1, 1), entryOf(2, 1, 2), entryOf(2, 1, 2), entryOf(3, 1, 3),
                  entryOf(4, 1, 4)};
  seer.views.received(part, kNow, seer.fx);
  REQUIRE(seer.fx.histories.size() == 1);
  CHECK(seer.fx.histories[0].entries.size() == 3);
  seer.views.homeLost();
  for (std::size_t i = 0; i < limits::kRoomHistories; ++i) {
    CHECK(seer.views.history(kRoom, 3, seer.fx));
  }
  CHECK_FALSE(seer.views.history(kRoom, 3, seer.fx));
}

TEST_CASE("what is missing is told with the times before and behind it") {
  Seer seer;
  seer.tell(placeOf(2, 1), {entryOf(3, 1, 1)});
  seer.tell(placeOf(8, 1), {});
  wire::RoomMessages messages;
  messages.room = kRoom;
  messages.answers = seer.lastAsk().number;
  messages.after = placeOf(6, 1);
  messages.missingFrom = 4;
  messages.missingTo = 6;
  messages.entries = {entryOf(7, 1, 5)};
  seer.views.received(messages, kNow, seer.fx);

  REQUIRE(seer.fx.missing.size() == 1);
  CHECK(seer.fx.missing[0].from == 4);
  CHECK(seer.fx.missing[0].to == 6);
  CHECK(seer.fx.missing[0].afterMs == 3000);
  CHECK(seer.fx.missing[0].beforeMs == 7000);
}

TEST_CASE("rooms and messages have bounds that the user is told of") {
  Seer seer;
  for (std::size_t i = 1; i < limits::kRoomsOfPeer; ++i) {
    CHECK(seer.views.join(*RoomName::parse("r" + std::to_string(i)), 0, kNow, seer.fx).ok());
  }
  CHECK_FALSE(seer.views.join(*RoomName::parse("more"), 0, kNow, seer.fx).ok());
  CHECK(seer.views.say(kRoom, std::string(limits::kRoomTextBytes, 'x'), seer.fx).ok());
  CHECK_FALSE(seer.views.say(kRoom, std::string(limits::kRoomTextBytes + 1, 'x'), seer.fx).ok());
  CHECK_FALSE(seer.views.say(kRoom, "half a character: \xc3", seer.fx).ok());
  CHECK_FALSE(seer.views.say(*RoomName::parse("other"), "hello", seer.fx).ok());
  CHECK_FALSE(seer.views.part(*RoomName::parse("lobby"), seer.fx).ok());
}
