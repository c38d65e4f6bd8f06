// The table of a fetch's sources: which one is dialled next, and which one never again.
#include "peer/transfer/fetch_sources.h"

#include <doctest/doctest.h>

#include "common/base/limits.h"

using namespace espalier;
using namespace espalier::transfer;

namespace {

Holder holder(const std::string& id, std::uint16_t port = 1) {
  return {*PeerId::parse(id), {"127.0.0.1", port}};
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
