// What happened at a peer, as its page gets it.
#include "peer/shell/page_events.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <string>
#include <utility>

using namespace espalier;
using namespace espalier::peer::shell;

namespace {

RoomHappened message(std::uint64_t number, std::string text = "hello") {
  RoomHappened event;
  event.room = "fleece";
  event.number = number;
  event.epoch = 1;
  event.from = "s4";
  event.text = std::move(text);
  return event;
}

// The numbers of what is kept.
std::uint64_t first(const web::Group& said) {
  std::uint64_t least = UINT64_MAX;
  for (const auto& [number, line] : said)
    least = std::min<std::uint64_t>(least, std::stoull(number));
  return least;
}

}  // namespace

TEST_CASE("what happens in rooms is numbered, as `watch` tells it") {
  EventBus bus;
  PageEvents events(bus);
  bus.publish(message(17, "<b>\xff\n"));
  RoomHappened waits;
  waits.kind = RoomHappened::Kind::waits;
  waits.room = "quorum";
  waits.members = 12;
  waits.opensAt = 20;
  bus.publish(waits);
  CHECK(events.said().empty());
  events.take();
  const auto said = events.said();
  REQUIRE(said.size() == 2);
  CHECK(said.at("1").find("\"text\":\"<b>\xEF\xBF\xBD\\n\"") != std::string::npos);
  CHECK(said.at("1").find("\"number\":17") != std::string::npos);
  CHECK(said.at("2").find("\"opensAt\":20") != std::string::npos);
}

TEST_CASE("only the last events of rooms are kept, by number and by bytes") {
  EventBus bus;
  PageEvents events(bus);
  for (std::uint64_t number = 1; number <= 2 * limits::kEventsQueued; ++number) {
    bus.publish(message(number));
    events.take();
  }
  CHECK(events.said().size() == limits::kEventsQueued);
  CHECK(first(events.said()) == limits::kEventsQueued + 1);
  for (std::uint64_t number = 1; number <= 100; ++number) {
    bus.publish(message(number, std::string(limits::kRoomTextBytes, 'x')));
    events.take();
  }
  std::size_t bytes = 0;
  for (const auto& [number, line] : events.said()) bytes += line.size();
  CHECK(bytes <= PageEvents::kSaidBytes);
  CHECK(bytes > PageEvents::kSaidBytes / 2);
}

TEST_CASE("events that nobody took are missed: a page asks for rooms and conversations again") {
  EventBus bus;
  PageEvents events(bus);
  bus.publish(PrivateReceived{"ann", "hello"});
  events.take();
  CHECK(events.received("ann") == 1);
  CHECK(events.received("bob") == 0);
  for (std::uint64_t number = 1; number <= limits::kEventsQueued + 1; ++number) {
    bus.publish(message(number));
  }
  events.take();
  CHECK(events.received("ann") == 2);
  CHECK(events.received("bob") == 1);
  bool isMissed = false;
  for (const auto& [number, line] : events.said()) {
    isMissed = isMissed || line == "{\"event\":\"missed\"}";
  }
  CHECK(isMissed);
}
