// The event bus of a peer.
#include "peer/shell/events.h"

#include <doctest/doctest.h>

#include <thread>
#include <vector>

#include "common/base/limits.h"

namespace espalier::peer::shell {
namespace {

using namespace std::chrono_literals;
using Subscription = EventBus::Subscription;

TEST_CASE("a subscription gets the kinds that it asked for, in order, from when it began") {
  EventBus bus;
  bus.publish(MembersChanged{1});
  Subscription events(bus, kindsOf<MembersChanged, MetaserverBack>());
  bus.publish(MembersChanged{2});
  bus.publish(LinkUp{"s1"});
  bus.publish(MetaserverBack{});
  bus.publish(MembersChanged{3});

  const auto first = events.next({}, Clock::now());
  REQUIRE(first);
  CHECK(std::get<MembersChanged>(*first).members == 2);
  CHECK(std::holds_alternative<MetaserverBack>(*events.next({}, Clock::now())));
  CHECK(std::get<MembersChanged>(*events.next({}, Clock::now())).members == 3);
  CHECK_FALSE(events.next({}, Clock::now()));
}

TEST_CASE("a full subscription says that events were missed, and goes on") {
  EventBus bus;
  Subscription slow(bus, kindsOf<DownloadChanged>());
  Subscription other(bus, kindsOf<LinkUp>());
  for (std::uint64_t i = 0; i <= limits::kEventsQueued; ++i) bus.publish(DownloadChanged{i});

  CHECK(std::holds_alternative<Missed>(*slow.next({}, Clock::now())));
  CHECK(std::get<DownloadChanged>(*slow.next({}, Clock::now())).number == limits::kEventsQueued);
  CHECK_FALSE(slow.next({}, Clock::now()));
  CHECK_FALSE(other.next({}, Clock::now()));
}

TEST_CASE("next() returns when an event is published, and when it is to stop") {
  EventBus bus;
  std::stop_source stop;
  Subscription events(bus, kindsOf<PushChanged>());
  std::jthread publisher([&] { bus.publish(PushChanged{}); });
  CHECK(events.next(stop.get_token()));
  std::jthread stopper([&] { stop.request_stop(); });
  CHECK_FALSE(events.next(stop.get_token()));
}

TEST_CASE("listeners hear every event at once, with and without subscribers") {
  EventBus bus;
  std::vector<std::size_t> heard;
  bus.listen([&](const Event& event) { heard.push_back(event.index()); });
  bus.publish(LinkDown{"s1"});
  bus.publish(MetaserverGreeted{});
  CHECK(heard ==
        std::vector<std::size_t>{Event(LinkDown{}).index(), Event(MetaserverGreeted{}).index()});
}

TEST_CASE("events are published by many threads while subscriptions come and go") {
  EventBus bus;
  Subscription steady(bus, kindsOf<DownloadChanged>());
  {
    std::vector<std::jthread> threads;
    for (std::uint64_t i = 0; i < 4; ++i) {
      threads.emplace_back([&bus, i] {
        for (std::uint64_t n = 0; n < 50; ++n) {
          const Subscription passing(bus, kindsOf<DownloadChanged, LinkUp>());
          bus.publish(DownloadChanged{i});
        }
      });
    }
  }
  std::size_t count = 0;
  while (steady.next({}, Clock::now())) ++count;
  CHECK(count == 200);
}

}  // namespace
}  // namespace espalier::peer::shell
