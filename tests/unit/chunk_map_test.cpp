#include "peer/transfer/core/chunk_map.h"

#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <vector>

using namespace espalier;
using namespace espalier::transfer;

namespace {

constexpr SourceId kAlice{1};
constexpr SourceId kBob{2};

ChunkIndex chunk(std::uint64_t index) {
  return ChunkIndex{index};
}

}  // namespace

TEST_CASE("chunks are assigned in order, each once") {
  ChunkMap map(3);
  const auto everything = ChunkSet::all(3);
  CHECK(map.assign(kAlice, everything) == chunk(0));
  CHECK(map.assign(kBob, everything) == chunk(1));
  CHECK(map.assign(kAlice, everything) == chunk(2));
  CHECK(map.assign(kBob, everything) == std::nullopt);
  CHECK(map.deliver(kAlice, chunk(2), true) == Verdict::fresh);
  CHECK(map.deliver(kAlice, chunk(2), true) == Verdict::unasked);
  CHECK(map.deliver(kBob, chunk(0), true) == Verdict::unasked);
  CHECK(map.held() == 1);
  map.check();
}

TEST_CASE("a chunk that is found while it is asked for is held once it comes") {
  ChunkMap map(2);
  REQUIRE(map.assign(kAlice, ChunkSet::all(2)) == chunk(0));
  map.hold(chunk(0));
  map.hold(chunk(1));
  CHECK(map.held() == 1);
  CHECK(map.deliver(kAlice, chunk(0), true) == Verdict::fresh);
  CHECK(map.held() == 2);
  map.check();
}

TEST_CASE("a damaged chunk is fetched again, from another source") {
  ChunkMap map(2);
  const auto everything = ChunkSet::all(2);
  REQUIRE(map.assign(kAlice, everything) == chunk(0));
  REQUIRE(map.assign(kAlice, everything) == chunk(1));

  CHECK(map.deliver(kAlice, chunk(0), false) == Verdict::wrong);

  CHECK(map.assign(kAlice, everything) == std::nullopt);
  CHECK_FALSE(map.assignAgain(kAlice, chunk(1)));
  CHECK(map.assign(kBob, everything) == chunk(0));
  CHECK(map.assign(kBob, everything) == chunk(1));
  map.check();
}

TEST_CASE("chunks that were asked of a source are missing again when it leaves") {
  ChunkMap map(4);
  const auto everything = ChunkSet::all(4);
  for (int i = 0; i < 4; ++i) REQUIRE(map.assign(kAlice, everything));
  REQUIRE(map.deliver(kAlice, chunk(1), true) == Verdict::fresh);
  map.release(kAlice);
  CHECK(map.missing() == 3);
  CHECK(map.assign(kBob, everything) == chunk(0));
  CHECK(map.assign(kBob, everything) == chunk(2));
  map.check();
}

TEST_CASE("a chunk that two were asked for is held by the first, a duplicate from the second") {
  ChunkMap map(1);
  REQUIRE(map.assign(kAlice, ChunkSet::all(1)));
  REQUIRE(map.assignAgain(kBob, chunk(0)));
  CHECK_FALSE(map.assignAgain(kBob, chunk(0)));
  SUBCASE("both deliver") {
    CHECK(map.deliver(kBob, chunk(0), true) == Verdict::fresh);
    CHECK(map.deliver(kAlice, chunk(0), true) == Verdict::duplicate);
  }
  SUBCASE("the first one leaves") {
    map.release(kAlice);
    CHECK(map.missing() == 0);
    CHECK(map.deliver(kBob, chunk(0), true) == Verdict::fresh);
  }
  SUBCASE("the second one lies") {
    CHECK(map.deliver(kBob, chunk(0), false) == Verdict::wrong);
    CHECK(map.deliver(kAlice, chunk(0), true) == Verdict::fresh);
  }
  CHECK(map.complete());
  map.check();
}

TEST_CASE("a source that holds parts is asked for those only") {
  ChunkMap map(5);
  ChunkSet part(5);
  part.insert(chunk(3));
  part.insert(chunk(1));
  CHECK(part.size() == 2);
  CHECK_FALSE(part.full());
  CHECK(map.assign(kAlice, part) == chunk(1));
  CHECK(map.assign(kAlice, part) == chunk(3));
  CHECK(map.assign(kAlice, part) == std::nullopt);
  CHECK(map.assign(kBob, ChunkSet::all(5)) == chunk(0));
  CHECK(map.assign(kBob, ChunkSet::all(5)) == chunk(2));
  CHECK(map.assign(kBob, ChunkSet::all(5)) == chunk(4));
}

TEST_CASE("the rarest chunk comes first, among equals the first from the given place on") {
  ChunkMap map(4);
  const auto everything = ChunkSet::all(4);
  const std::vector<std::uint16_t> copies = {2, 1, 3, 1};
  const auto next = [&] { return map.assignRarest(kAlice, everything, copies, chunk(2)); };
  CHECK(next() == chunk(3));
  CHECK(next() == chunk(1));
  CHECK(next() == chunk(0));
  CHECK(next() == chunk(2));
  CHECK(next() == std::nullopt);
  map.release(kAlice);
  map.bar(kBob);
  CHECK(map.assignRarest(kBob, everything, copies, chunk(0)) == std::nullopt);
  CHECK(map.assign(kAlice, everything) == chunk(0));
  map.check();
}

TEST_CASE("a set of chunks is read from bits, of which too many or too few do no harm") {
  const auto set = ChunkSet::fromBits(10, std::string("\x05\xff", 2));
  CHECK(set.size() == 4);
  CHECK(set.contains(chunk(0)));
  CHECK_FALSE(set.contains(chunk(1)));
  CHECK(set.contains(chunk(2)));
  CHECK(set.contains(chunk(9)));
  CHECK_FALSE(set.contains(chunk(10)));
  CHECK(ChunkSet::fromBits(10, {}).size() == 0);
  CHECK(ChunkSet::fromBits(3, std::string(100, '\xff')).full());
}

TEST_CASE("the map behaves like a naive model of it") {
  rc::check("any sequence of operations", [](const std::vector<std::uint32_t>& operations) {
    const std::uint64_t chunks = *rc::gen::inRange<std::uint64_t>(0, 12);
    ChunkMap map(chunks);
    const auto everything = ChunkSet::all(chunks);
    std::set<std::uint64_t> held;
    std::map<std::uint32_t, std::set<std::uint64_t>> asked;  // source -> chunks
    std::set<std::uint32_t> barred;
    const auto isAsked = [&](std::uint64_t index) {
      return !held.contains(index) && std::any_of(asked.begin(), asked.end(), [&](const auto& one) {
        return one.second.contains(index);
      });
    };
    for (const auto operation : operations) {
      const std::uint32_t source = operation / 8 % 4;
      const std::uint64_t index = operation / 32 % 13;
      const SourceId id{source};
      switch (operation % 8) {
        case 0:
        case 1:
        case 2: {
          std::uint64_t lowest = 0;
          while (lowest < chunks && (held.contains(lowest) || isAsked(lowest))) ++lowest;
          const auto assigned = map.assign(id, everything);
          RC_ASSERT(assigned.has_value() == (lowest < chunks && !barred.contains(source)));
          if (!assigned) break;
          RC_ASSERT(*assigned == chunk(lowest));
          asked[source].insert(lowest);
          break;
        }
        case 3: {
          const bool can =
              !barred.contains(source) && isAsked(index) && !asked[source].contains(index);
          RC_ASSERT(map.assignAgain(id, chunk(index)) == can);
          if (can) asked[source].insert(index);
          break;
        }
        case 4:
        case 5:
        case 6: {
          const bool right = operation % 8 != 6;
          Verdict expected = Verdict::unasked;
          if (asked[source].erase(index) > 0) {
            expected = !right                 ? Verdict::wrong
                       : held.contains(index) ? Verdict::duplicate
                                              : Verdict::fresh;
            if (right) held.insert(index);
            if (!right) {
              barred.insert(source);
              asked[source].clear();
            }
          }
          RC_ASSERT(map.deliver(id, chunk(index), right) == expected);
          break;
        }
        case 7:
          map.release(id);
          asked[source].clear();
          break;
      }
      map.check();
      RC_ASSERT(map.held() == held.size());
      RC_ASSERT(map.complete() == (held.size() == chunks));
    }
  });
}
