// The table of a fetch's sources: which one is dialled next, and which one never again.
#include "peer/transfer/fetch_sources.h"

#include <doctest/doctest.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/limits.h"
#include "peer/transfer/rate_limit.h"
#include "tests/unit/stream_pair.h"

using namespace espalier;
using namespace espalier::transfer;

namespace {

Holder holder(const std::string& id, std::uint16_t port = 0) {
  static std::map<std::string, std::uint16_t> ports;
  const auto own = ports.try_emplace(id, static_cast<std::uint16_t>(1000 + ports.size())).first;
  return {*PeerId::parse(id), {"127.0.0.1", port == 0 ? own->second : port}};
}

}  // namespace

TEST_CASE("sources are dialled in the order in which they were found, each once") {
  FetchSources sources;
  CHECK(sources.add({holder("s1"), holder("s2"), holder("s1")}));
  CHECK(sources.next(Clock::now()) == 0);
  CHECK(sources.next(Clock::now()) == 1);
  CHECK_FALSE(sources.next(Clock::now()));
  CHECK_FALSE(sources.add({holder("s1")}));  // its conversation has not ended
  sources.putBack(1);
  CHECK(sources.next(Clock::now()) == 1);
}

TEST_CASE("one id at two endpoints is two sources") {
  FetchSources sources;
  CHECK(sources.add({holder("s1", 1)}));
  CHECK(sources.add({holder("s1", 2)}));
  CHECK(sources.next(Clock::now()) == 0);
  CHECK(sources.next(Clock::now()) == 1);
}

TEST_CASE("two ids at one endpoint are one source") {
  FetchSources sources;
  CHECK(sources.add({holder("s1", 1), holder("liar", 1)}));
  CHECK(sources.next(Clock::now()) == 0);
  CHECK_FALSE(sources.next(Clock::now()));
}

TEST_CASE("what can be no peer's endpoint is not dialled, and said so") {
  FetchSources sources;
  std::vector<Holder> holders;
  for (const auto* host : {"0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1"}) {
    holders.push_back({*PeerId::parse("liar"), {host, 5000}});
  }
  holders.push_back({*PeerId::parse("liar"), {"10.0.0.1", 0}});
  sources.add(holders);
  CHECK_FALSE(sources.next(Clock::now()));
  REQUIRE(sources.problems());
  CHECK(sources.problems()->message.find("not dialled") != std::string::npos);
}

TEST_CASE("wrong ports of a holder's host only delay the right one, and do not flood the host") {
  FetchSources sources;
  std::vector<Holder> holders;
  for (std::uint16_t port = 1; port <= 100; ++port) {
    holders.push_back({*PeerId::parse("s1"), {"10.0.0.1", port}});
  }
  holders.push_back({*PeerId::parse("s1"), {"10.0.0.1", 5000}});
  holders.push_back({*PeerId::parse("s2"), {"10.0.0.2", 1}});
  sources.add(holders);
  const auto& rate = limits::kRateBounds[static_cast<std::size_t>(limits::Rate::dials)];
  std::size_t dialled = 0;  // of the first host
  bool isRightDialled = false;
  bool isOtherDialled = false;
  const auto dialAll = [&](TimePoint now) {
    while (const auto index = sources.next(now)) {
      const auto endpoint = sources[*index].holder.endpoint;
      isRightDialled = isRightDialled || endpoint.port == 5000;
      isOtherDialled = isOtherDialled || endpoint.host == "10.0.0.2";
      dialled += endpoint.host == "10.0.0.1" ? 1 : 0;
      sources.beginConversation(*index);
      sources.disconnected(*index, true);
      sources.end(*index, {ErrorCode::io, "refused"}, now);
    }
  };
  const TimePoint begun = Clock::now();
  std::chrono::seconds passed{};
  for (; sources.anyToDial() && passed < std::chrono::hours(1); ++passed) {
    dialAll(begun + passed);
    CHECK(static_cast<double>(dialled) <=
          rate.burst + rate.perSecond * static_cast<double>(passed.count()));
    if (passed.count() == 0) CHECK(isOtherDialled);
  }
  CHECK(isRightDialled);
  CHECK(dialled == 101);
}

TEST_CASE("an endpoint that said Welcome once is dialled as often as it is needed") {
  DialTargets targets;
  const Endpoint endpoint{"10.0.0.1", 5000};
  const TimePoint now = Clock::now();
  targets.welcomed(endpoint);
  for (int i = 0; i < 1000; ++i) REQUIRE(targets.dial(endpoint, now) == DialTargets::May::now);
  // Its host has its whole burst left.
  CHECK(targets.dial({"10.0.0.1", 1}, now) == DialTargets::May::now);
  targets.dialledInVain(endpoint);
  targets.dialledInVain(endpoint);
  CHECK(targets.dial(endpoint, now) == DialTargets::May::never);
}

TEST_CASE("a holder that is busy is dialled again after growing pauses, and given up at last") {
  FetchSources sources;
  sources.add({holder("s1")});
  TimePoint now = Clock::now();
  std::vector<std::chrono::seconds> pauses;
  while (sources.anyToDial() && pauses.size() < 100) {
    std::chrono::seconds pause{};
    while (!sources.next(now)) {
      ++pause;
      now += std::chrono::seconds(1);
    }
    pauses.push_back(pause);
    sources.beginConversation(0);
    sources.busy(0);
    sources.disconnected(0, false);
    sources.end(0, {ErrorCode::timeout, "busy"}, now);
  }
  using namespace std::chrono_literals;
  CHECK(pauses == std::vector<std::chrono::seconds>{0s, 1s, 2s, 4s, 8s});
  REQUIRE(sources.problems());
  CHECK(sources.problems()->message == "s1: busy");
}

TEST_CASE("slow sources are replaced one after the other where the own line may be what is slow") {
  using namespace std::chrono_literals;
  std::size_t bytes = 0;
  std::uint64_t limit = RateLimit::kNone;
  std::vector<std::size_t> cut;  // after 6, 6.1 and 7.5 s
  SUBCASE("all together are slow") {
    bytes = 6 * 1000;
    cut = {1, 2, 3};
  }
  SUBCASE("all together are fast") {
    bytes = 6 * 40'000;
    cut = {1, 1, 2};
  }
  SUBCASE("they are slow because of the limit") {
    bytes = 6 * 1000;
    limit = 16 * 1000;
    cut = {0, 0, 0};
  }
  constexpr std::size_t kSources = 4;
  const net::Interrupter never;
  std::vector<std::unique_ptr<net::BlockingStream>> streams;
  FetchSources sources;
  const TimePoint begun = Clock::now();
  for (std::size_t i = 0; i < kSources; ++i) {
    sources.add({holder("s" + std::to_string(i))});
    REQUIRE(sources.next(begun) == i);
    auto [one, other] = net::test::streamPair();
    streams.push_back(std::make_unique<net::BlockingStream>(std::move(one), 60s, never));
    net::BlockingStream far(std::move(other), 60s, never);
    std::string some(bytes, 'x');
    for (std::size_t sent = 0; sent < bytes; sent += 1000) {
      REQUIRE(far.write(std::string_view(some).substr(0, 1000)).ok());
      REQUIRE(streams.back()->readAll(std::as_writable_bytes(std::span(some).first(1000))).ok());
    }
    sources.beginConversation(i);
    sources.connected(i, *streams.back(), begun);
  }
  sources.replaceSlowest(begun + 6s, limit);  // nobody else is to be dialled
  sources.add({holder("other"), {*PeerId::parse("gone"), {"10.0.0.1", 0}}});
  const auto replaced = [&] {
    std::size_t count = 0;
    for (std::size_t i = 0; i < kSources; ++i) count += sources[i].replaced ? 1 : 0;
    return count;
  };
  CHECK(replaced() == 0);
  std::vector<std::size_t> seen;
  for (const auto passed : {6000ms, 6100ms, 7500ms}) {
    sources.replaceSlowest(begun + passed, limit);
    seen.push_back(replaced());
  }
  CHECK(seen == cut);
}

TEST_CASE("sources that ended make room for others") {
  FetchSources sources;
  std::vector<Holder> dead;
  for (std::uint16_t port = 1; port <= limits::kFetchHolders; ++port) {
    dead.push_back({*PeerId::parse("liar"), {"127.0.0.1", port}});
  }
  CHECK(sources.add(dead));
  CHECK_FALSE(sources.add({holder("s1")}));
  REQUIRE(sources.next(Clock::now()) == 0);
  sources[0].ended = true;
  CHECK(sources.add({holder("s1")}));
}

TEST_CASE("a source that ended is dialled again when it is found again, unless it lied") {
  FetchSources sources;
  sources.add({holder("s1"), holder("liar")});
  for (std::size_t index = 0; index < 2; ++index) {
    REQUIRE(sources.next(Clock::now()) == index);
    sources.beginConversation(index);
    sources[index].ended = true;
  }
  sources[1].lied = true;
  CHECK(sources.add({holder("s1"), holder("liar")}));
  CHECK(sources.next(Clock::now()) == 0);
  CHECK_FALSE(sources.next(Clock::now()));
}

TEST_CASE("a source that no longer shares a changed file is reported as changed") {
  FetchSources sources;
  sources.add({holder("s1")});
  REQUIRE(sources.next(Clock::now()) == 0);
  sources.beginConversation(0);
  sources[0].changed = true;
  sources.end(0, {ErrorCode::failed, "the file has changed"}, Clock::now());
  REQUIRE(sources.add({holder("s1")}));
  REQUIRE(sources.next(Clock::now()) == 0);
  sources.beginConversation(0);
  sources.end(0, {ErrorCode::failed, "the file is not shared"}, Clock::now());
  REQUIRE(sources.problems());
  CHECK(sources.problems()->message == "s1: the file has changed");
}

TEST_CASE("a source that failed twice without delivering anything is not dialled a third time") {
  FetchSources sources;
  sources.add({holder("s1")});
  for (int attempt = 0; attempt < 2; ++attempt) {
    REQUIRE(sources.next(Clock::now()) == 0);
    sources.beginConversation(0);
    sources[0].ended = true;
    CHECK(sources.add({holder("s1")}) == (attempt == 0));
  }
  CHECK_FALSE(sources.next(Clock::now()));
}

TEST_CASE("a conversation has an id of its own in the schedule, and begins without a position") {
  FetchSources sources;
  sources.add({holder("s1")});
  const SourceId first = sources.beginConversation(0);
  sources[0].position = 3;
  CHECK(sources.beginConversation(0) != first);
  CHECK(sources[0].position == 0);
}

TEST_CASE("no more holders are kept than a fetch may have") {
  FetchSources sources;
  std::vector<Holder> holders;
  for (std::size_t i = 0; i <= limits::kFetchHolders; ++i) {
    holders.push_back(holder("s" + std::to_string(i)));
  }
  CHECK(sources.add(holders));
  std::size_t dialled = 0;
  while (sources.next(Clock::now())) ++dialled;
  CHECK(dialled == limits::kFetchHolders);
}

TEST_CASE("the problems of the first sources are named, with the code of the last") {
  FetchSources sources;
  CHECK_FALSE(sources.problems());
  sources.add({holder("s1"), holder("s2"), holder("s3"), holder("s4")});
  sources[0].problem = Error{ErrorCode::io, "gone"};
  sources[2].problem = Error{ErrorCode::timeout, "silent"};
  const auto problems = sources.problems();
  REQUIRE(problems);
  CHECK(problems->code == ErrorCode::timeout);
  CHECK(problems->message == "s1: gone; s3: silent; …");
}
