// Which metaserver a peer dials next, and when.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <set>
#include <string>
#include <vector>

#include "common/base/limits.h"
#include "peer/core/metaserver_list.h"

using namespace espalier;
using namespace espalier::peer;

namespace {

using namespace std::chrono_literals;

constexpr TimePoint kStart{Duration(1h)};

Endpoint server(unsigned number) {
  return {"10.0.0." + std::to_string(number), 5000};
}

std::vector<Endpoint> servers(unsigned first, unsigned count) {
  std::vector<Endpoint> all;
  for (unsigned i = 0; i < count; ++i) all.push_back(server(first + i));
  return all;
}

std::vector<Endpoint> addresses(const MetaserverList& list) {
  std::vector<Endpoint> all;
  for (const auto& each : list.all()) all.push_back(each.at);
  return all;
}

// Dials, and is admitted nowhere, from `now` to `end`; which were dialled.
std::vector<Endpoint> dialsUntil(MetaserverList& list, TimePoint& now, TimePoint end,
                                 Random& random) {
  std::vector<Endpoint> dialled;
  while (true) {
    const TimePoint at = list.nextAt(now, random);
    if (at >= end) break;
    now = at;
    dialled.push_back(list.next(now).at);
    list.failed(now);
  }
  now = end;
  return dialled;
}

}  // namespace

TEST_CASE("addresses that a user repeats, or gives beyond the bound, are left out") {
  auto given = servers(1, 30);
  given.insert(given.begin() + 1, server(1));
  const MetaserverList list(given);
  CHECK(addresses(list) == servers(1, limits::kMetaservers));
  CHECK(list.home() == server(1));
}

TEST_CASE("the given addresses are tried in their order, and then from the first again") {
  MetaserverList list(servers(1, 3));
  list.startOver();
  for (const unsigned number : {1u, 2u, 3u}) {
    CHECK(list.hasUntried(kStart));
    CHECK(list.next(kStart).at == server(number));
    list.failed(kStart);
  }
  CHECK_FALSE(list.hasUntried(kStart));
  CHECK(list.next(kStart).at == server(1));
}

TEST_CASE("after the home's death each other one is tried within seconds, then the home") {
  for (unsigned seed = 1; seed <= 200; ++seed) {
    Random random(seed);
    MetaserverList list(servers(1, 4));
    (void)list.next(kStart);
    (void)list.next(kStart);
    list.admitted();
    CHECK(list.home() == server(2));
    TimePoint now = kStart + 1h;
    list.homeLost();
    CHECK(list.nextAt(now, random) <= now + limits::kHomeLostSpread);
    list.homeLost();
    const auto end = now + limits::kHomeLostSpread + 4 * limits::kReconnectLeast;
    const auto dialled = dialsUntil(list, now, end, random);
    CAPTURE(seed);
    REQUIRE(dialled.size() >= 4);
    CHECK(std::vector(dialled.begin(), dialled.begin() + 4) ==
          std::vector{server(3), server(4), server(1), server(2)});
  }
}

TEST_CASE("the peers of a dead home come to the next one spread over two seconds") {
  std::array<unsigned, 20> inTenth{};
  for (unsigned seed = 1; seed <= 1000; ++seed) {
    Random random(seed);
    MetaserverList list(servers(1, 2));
    (void)list.next(kStart);
    list.admitted();
    list.homeLost();
    const auto after = list.nextAt(kStart + 1h, random) - (kStart + 1h);
    ++inTenth.at(static_cast<std::size_t>(after / 100ms));
  }
  for (const unsigned count : inTenth) {  // fifty are expected
    CHECK(count >= 20);
    CHECK(count <= 90);
  }
}

TEST_CASE("once all were tried the pauses are those of a peer with one metaserver") {
  Random random(7);
  MetaserverList list(servers(1, 3));
  (void)list.next(kStart);
  list.admitted();
  TimePoint now = kStart + 1h;
  list.homeLost();
  (void)dialsUntil(list, now, now + 10s, random);
  std::multiset<Duration> pauses;
  for (int i = 0; i < 200; ++i) {
    const TimePoint at = list.nextAt(now, random);
    pauses.insert(at - now);
    now = at;
    (void)list.next(now);
    list.failed(now);
  }
  CHECK(*pauses.begin() >= limits::kReconnectLeast);
  CHECK(*pauses.rbegin() <= limits::kReconnectMost);
  CHECK(*pauses.rbegin() > 4s);
}

TEST_CASE("what a home tells is added, replaced by the next, and never displaces what was given") {
  MetaserverList list(servers(1, 2));
  (void)list.next(kStart);
  list.admitted();
  list.tell({server(2), server(3), server(3), server(4)}, false);
  CHECK(addresses(list) == servers(1, 4));
  // It goes to one that was told, which stays while it is the home.
  list.homeLost();
  for (std::size_t i = list.size(); list.next(kStart).at != server(3) && i > 0; --i) {
    list.failed(kStart);
  }
  REQUIRE(list.dialled().at == server(3));
  list.admitted();
  list.tell({server(1), server(5)}, false);
  CHECK(addresses(list) == std::vector{server(1), server(2), server(5), server(3)});
  CHECK(list.home() == server(3));
  CHECK(list.dialled().at == server(3));
  for (unsigned round = 0; round < 20; ++round) {
    list.tell(servers(10 + round, 15), false);
    CHECK(list.size() <= limits::kMetaserversKnown);
  }
  CHECK(list.all()[0].at == server(1));
  CHECK(list.all()[1].at == server(2));
}

TEST_CASE("the home before the home is kept when the home tells of nobody, or of others only") {
  // Its user named the first one, which told of the second one, and died.
  MetaserverList list(servers(1, 1));
  (void)list.next(kStart);
  list.admitted();
  list.tell({server(2)}, false);
  list.homeLost();
  REQUIRE(list.next(kStart).at == server(2));
  list.admitted();
  // The second one told of the third, and died; the third knows only of the fourth.
  list.tell({server(3)}, false);
  list.homeLost();
  while (list.next(kStart).at != server(3)) list.failed(kStart);
  list.admitted();
  CHECK(addresses(list) == std::vector{server(1), server(3), server(2)});
  list.tell({server(4)}, false);
  CHECK(addresses(list) == std::vector{server(1), server(4), server(2), server(3)});
  // Only the last one, and only while there is room.
  list.tell(servers(10, 15), false);
  CHECK_FALSE(std::ranges::count(addresses(list), server(2)) > 0);
  CHECK(list.size() <= limits::kMetaserversKnown);
}

TEST_CASE("an address at which no other machine can be is not taken from a metaserver") {
  const std::vector<Endpoint> told{{"0.0.0.0", 9},  {"::", 9},        {"224.0.0.1", 9},
                                   {"ff02::1", 9},  {"127.0.0.1", 9}, {"localhost", 9},
                                   {"10.0.0.9", 0}, {"10.0.0.9", 9},  {"255.255.255.255", 9}};
  MetaserverList list(servers(1, 1));
  (void)list.next(kStart);
  list.admitted();
  list.tell(told, false);
  CHECK(addresses(list) == std::vector<Endpoint>{server(1), {"10.0.0.9", 9}});
  list.tell(told, true);  // by a metaserver of this machine
  CHECK(addresses(list) ==
        std::vector<Endpoint>{server(1), {"127.0.0.1", 9}, {"localhost", 9}, {"10.0.0.9", 9}});
}

TEST_CASE("a told address that admits nobody is tried ever more rarely, also if it is told again") {
  Random random(7);
  MetaserverList list(servers(1, 1));
  (void)list.next(kStart);
  list.admitted();
  list.tell({server(2)}, false);
  TimePoint now = kStart + 1h;
  list.homeLost();
  std::vector<TimePoint> tries;
  while (now < kStart + 2h) {
    now = list.nextAt(now, random);
    const auto at = list.next(now).at;
    if (at == server(2)) tries.push_back(now);
    list.failed(now);
    list.tell({server(2)}, false);
  }
  REQUIRE(tries.size() > 10);
  CHECK(tries.size() <= 1h / limits::kToldRetryMost + 6);
  for (std::size_t i = 6; i + 1 < tries.size(); ++i) {
    CHECK(tries[i + 1] - tries[i] >= limits::kToldRetryMost);
  }
}

TEST_CASE("a metaserver that closes at once and tells ever other addresses causes few more dials") {
  constexpr auto kTime = 10min;
  const auto dialsWith = [&](unsigned told, unsigned seed) {
    Random random(seed);
    MetaserverList list(servers(1, 1));
    std::size_t dials = 0;
    unsigned next = 10;
    TimePoint now = kStart;
    while (now < kStart + kTime) {
      ++dials;
      if (list.next(now).at == server(1)) {
        list.admitted();
        if (told > 0) list.tell(servers(next += told, told), false);
        list.homeLost();
      } else {
        list.failed(now);
      }
      now = list.nextAt(now, random);
    }
    return dials;
  };
  std::size_t alone = 0;
  std::size_t withTold = 0;
  for (unsigned seed = 1; seed <= 20; ++seed) {
    alone += dialsWith(0, seed);
    withTold += dialsWith(limits::kMetaserversTold, seed);
  }
  CHECK(withTold >= 20 * limits::kMetaserversTold);
  CHECK(withTold <= alone * 11 / 10 + 20 * limits::kMetaserversKnown);
}

TEST_CASE("tries come at least the shortest pause of the backoff after each other") {
  Random random(7);
  MetaserverList list(servers(1, 16));
  (void)list.next(kStart);
  list.admitted();
  list.tell(servers(100, 15), false);
  TimePoint now = kStart + 1h;
  list.homeLost();
  now = list.nextAt(now, random);
  (void)list.next(now);
  list.failed(now);
  for (int i = 0; i < 500; ++i) {
    const TimePoint at = list.nextAt(now, random);
    CHECK(at - now >= limits::kReconnectLeast);
    now = at;
    (void)list.next(now);
    list.failed(now);
  }
}

TEST_CASE("a metaserver of another network is left alone for a minute, the others are not") {
  Random random(7);
  MetaserverList list(servers(1, 2));
  (void)list.next(kStart);
  list.admitted();
  TimePoint now = kStart + 1h;
  list.homeLost();
  now = list.nextAt(now, random);
  REQUIRE(list.next(now).at == server(2));
  list.isOfAnotherNetwork(now);
  list.failed(now);
  const auto dialled = dialsUntil(list, now, now + limits::kOtherNetworkRetry - 1ms, random);
  CHECK(dialled.size() >= 10);
  CHECK(std::ranges::count(dialled, server(2)) == 0);
  CHECK(std::ranges::count(dialsUntil(list, now, now + 20s, random), server(2)) >= 1);
}
