// The table of a fetch's sources: which one is dialled next, and which one never again.
#include "peer/transfer/fetch_sources.h"

#include <doctest/doctest.h>

#include <map>

#include "common/base/limits.h"

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
  CHECK(sources.next() == 0);
  CHECK(sources.next() == 1);
  CHECK_FALSE(sources.next());
  CHECK_FALSE(sources.add({holder("s1")}));  // its conversation has not ended
  sources.putBack(1);
  CHECK(sources.next() == 1);
}

TEST_CASE("one id at two endpoints is two sources") {
  FetchSources sources;
  CHECK(sources.add({holder("s1", 1)}));
  CHECK(sources.add({holder("s1", 2)}));
  CHECK(sources.next() == 0);
  CHECK(sources.next() == 1);
}

TEST_CASE("two ids at one endpoint are one source") {
  FetchSources sources;
  CHECK(sources.add({holder("s1", 1), holder("liar", 1)}));
  CHECK(sources.next() == 0);
  CHECK_FALSE(sources.next());
}

TEST_CASE("what can be no peer's endpoint is not dialled, and said so") {
  FetchSources sources;
  std::vector<Holder> holders;
  for (const auto* host : {"0.0.0.0", "224.0.0.1", "255.255.255.255", "::", "ff02::1"}) {
    holders.push_back({*PeerId::parse("liar"), {host, 5000}});
  }
  holders.push_back({*PeerId::parse("liar"), {"10.0.0.1", 0}});
  sources.add(holders);
  CHECK_FALSE(sources.next());
  REQUIRE(sources.problems());
  CHECK(sources.problems()->message.find("not dialled") != std::string::npos);
}

TEST_CASE("a host is not dialled again after too many dials in vain, other hosts are") {
  FetchSources sources;
  std::vector<Holder> holders;
  for (std::uint16_t port = 1; port <= 100; ++port) {
    holders.push_back({*PeerId::parse("liar"), {"10.0.0.1", port}});
  }
  holders.push_back({*PeerId::parse("s1"), {"10.0.0.2", 1}});
  sources.add(holders);
  std::size_t dialled = 0;
  while (const auto index = sources.next()) {
    sources.beginConversation(*index);
    sources.disconnected(*index, true);
    ++dialled;
  }
  CHECK(dialled == limits::kDialsInVain + 1);
}

TEST_CASE("sources that ended make room for others") {
  FetchSources sources;
  std::vector<Holder> dead;
  for (std::uint16_t port = 1; port <= limits::kFetchHolders; ++port) {
    dead.push_back({*PeerId::parse("liar"), {"127.0.0.1", port}});
  }
  CHECK(sources.add(dead));
  CHECK_FALSE(sources.add({holder("s1")}));
  REQUIRE(sources.next() == 0);
  sources[0].ended = true;
  CHECK(sources.add({holder("s1")}));
}

TEST_CASE("a source that ended is dialled again when it is found again, unless it lied") {
  FetchSources sources;
  sources.add({holder("s1"), holder("liar")});
  for (std::size_t index = 0; index < 2; ++index) {
    REQUIRE(sources.next() == index);
    sources.beginConversation(index);
    sources[index].ended = true;
  }
  sources[1].lied = true;
  CHECK(sources.add({holder("s1"), holder("liar")}));
  CHECK(sources.next() == 0);
  CHECK_FALSE(sources.next());
}

TEST_CASE("a source that no longer shares a changed file is reported as changed") {
  FetchSources sources;
  sources.add({holder("s1")});
  REQUIRE(sources.next() == 0);
  sources.beginConversation(0);
  sources[0].changed = true;
  sources.end(0, {ErrorCode::failed, "the file has changed"});
  REQUIRE(sources.add({holder("s1")}));
  REQUIRE(sources.next() == 0);
  sources.beginConversation(0);
  sources.end(0, {ErrorCode::failed, "the file is not shared"});
  REQUIRE(sources.problems());
  CHECK(sources.problems()->message == "s1: the file has changed");
}

TEST_CASE("a source that failed twice without delivering anything is not dialled a third time") {
  FetchSources sources;
  sources.add({holder("s1")});
  for (int attempt = 0; attempt < 2; ++attempt) {
    REQUIRE(sources.next() == 0);
    sources.beginConversation(0);
    sources[0].ended = true;
    CHECK(sources.add({holder("s1")}) == (attempt == 0));
  }
  CHECK_FALSE(sources.next());
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
  while (sources.next()) ++dialled;
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
