// The schedules of a batch and of a push, and the assembly of a plan: cores, so without sockets,
// files or clocks.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "common/base/limits.h"
#include "common/crypto/file_tree.h"
#include "peer/transfer/core/batch_schedule.h"
#include "peer/transfer/core/chunk_plan.h"
#include "peer/transfer/core/push_schedule.h"

using namespace espalier;
using namespace espalier::transfer;

namespace {

FileRoot rootOf(std::uint8_t first) {
  FileRoot root{};
  root.bytes.front() = first;
  return root;
}

// A file of so many chunks, whose first chunk belongs to stripe 0.
wire::PushFile pushFile(const std::string& name, std::uint64_t chunks) {
  return {name, chunks * limits::kPushChunkBytes, rootOf(0)};
}

using State = BatchSchedule::State;

}  // namespace

// --- a batch ---

TEST_CASE("each file of a batch is asked for at one holder at a time") {
  BatchSchedule schedule(2, 2);
  const std::vector<std::size_t> both{0, 1};
  schedule.add(0, 10, both);
  schedule.add(1, 10, both);
  CHECK(schedule.next(0) == std::vector<std::size_t>{0, 1});
  CHECK(schedule.next(1).empty());
  schedule.arrived(0, 0);
  schedule.leave(1, 0);
  schedule.named(0, true);
  CHECK(schedule.state(0) == State::done);
  CHECK(schedule.state(1) == State::left);
}

TEST_CASE("files that were asked of a holder wait for other holders when it leaves") {
  BatchSchedule schedule(1, 2);
  const std::vector<std::size_t> both{0, 1};
  schedule.add(0, 10, both);
  REQUIRE(schedule.next(0).size() == 1);
  schedule.release(0);
  CHECK(schedule.state(0) == State::waiting);
  CHECK(schedule.next(1) == std::vector<std::size_t>{0});
}

TEST_CASE("a file whose name was taken meanwhile is left") {
  BatchSchedule schedule(1, 1);
  const std::vector<std::size_t> only{0};
  schedule.add(0, 10, only);
  REQUIRE(schedule.next(0).size() == 1);
  schedule.arrived(0, 0);
  CHECK(schedule.state(0) == State::written);
  schedule.named(0, false);
  CHECK(schedule.state(0) == State::left);
}

TEST_CASE("no holder is asked for more files than may be on their way, and again at half of them") {
  const std::size_t files = 2 * limits::kManyAhead;
  BatchSchedule schedule(files, 1);
  const std::vector<std::size_t> only{0};
  for (std::size_t i = 0; i < files; ++i) schedule.add(i, 1, only);
  CHECK(schedule.next(0).size() == limits::kManyAhead);
  for (std::size_t i = 0; i + 1 < limits::kManyAhead / 2; ++i) schedule.arrived(i, 0);
  CHECK(schedule.next(0).empty());
  schedule.arrived(limits::kManyAhead / 2 - 1, 0);
  CHECK(schedule.next(0).size() == limits::kManyAhead / 2);
}

TEST_CASE("large files of a batch are bounded by their bytes") {
  BatchSchedule schedule(64, 1);
  const std::vector<std::size_t> only{0};
  for (std::size_t i = 0; i < 64; ++i) schedule.add(i, limits::kChunkBytesMin, only);
  CHECK(schedule.next(0).size() == limits::kManyAheadBytes / limits::kChunkBytesMin);
}

// --- a push ---

TEST_CASE("a push opens its files in order, and asks for the list with the first chunks") {
  PushSchedule schedule({pushFile("a", 2), pushFile("b", 1)});
  CHECK_FALSE(schedule.wants(0));
  REQUIRE(schedule.toOpen(0) == 0);
  schedule.opened(0);
  const auto first = schedule.next(0);
  REQUIRE(first);
  CHECK(first->list);
  CHECK(first->first == 0);
  CHECK(first->count == 2);
  CHECK_FALSE(schedule.next(0));
  CHECK(schedule.toOpen(0) == 1);
}

TEST_CASE("each stripe is asked for its own chunks only, once") {
  PushSchedule schedule({pushFile("a", 4)});
  REQUIRE(schedule.deal(2));
  CHECK_FALSE(schedule.deal(2));
  schedule.opened(0);
  schedule.learned(0, {});
  std::vector<std::uint64_t> chunks;
  for (const std::size_t stripe : {0, 1, 0, 1}) {
    const auto request = schedule.next(stripe);
    REQUIRE(request);
    CHECK_FALSE(request->list);
    for (std::uint32_t i = 0; i < request->count; ++i) {
      chunks.push_back(request->first + i);
      CHECK(peer::stripeOf(rootOf(0), request->first + i, 2) == stripe);
    }
  }
  std::sort(chunks.begin(), chunks.end());
  CHECK(chunks == std::vector<std::uint64_t>{0, 1, 2, 3});
  CHECK_FALSE(schedule.next(0));
}

TEST_CASE("chunks that did not arrive are asked for again, unless they were dealt anew meanwhile") {
  PushSchedule schedule({pushFile("a", 3)});
  schedule.opened(0);
  const auto request = schedule.next(0);
  REQUIRE(request);
  CHECK(schedule.obtained(0, 1));
  schedule.release(0, *request);
  auto again = schedule.next(0);
  REQUIRE(again);
  CHECK(again->list);
  CHECK(again->first == 0);
  CHECK(again->count == 1);

  REQUIRE(schedule.deal(2));
  const auto dealt = schedule.next(0);
  REQUIRE(dealt);
  schedule.release(0, *again);  // of the deal before: others were asked for it since
  CHECK(dealt->first == 0);
  const auto next = schedule.next(0);
  REQUIRE(next);
  CHECK(next->first == 2);
}

TEST_CASE("a chunk that arrives after it was dealt anew counts, and is asked for no more") {
  PushSchedule schedule({pushFile("a", 1)});
  schedule.opened(0);
  REQUIRE(schedule.next(0));
  REQUIRE(schedule.deal(2));
  REQUIRE(schedule.next(0));  // asked for again
  CHECK(schedule.obtained(0, 0));
  CHECK_FALSE(schedule.obtained(0, 0));
  CHECK(schedule.isComplete(0));
  CHECK(schedule.heldBytes() == limits::kPushChunkBytes);
  schedule.published(0);
  CHECK(schedule.isDone());
}

TEST_CASE("chunks of an earlier run, and files that are there, count as held") {
  PushSchedule schedule({pushFile("a", 2), pushFile("b", 3)});
  schedule.alreadyThere(0);
  schedule.opened(1);
  const std::vector<std::uint64_t> held{0, 2};
  schedule.learned(1, held);
  CHECK(schedule.heldBytes() == 4 * limits::kPushChunkBytes);
  const auto request = schedule.next(0);
  REQUIRE(request);
  CHECK(request->first == 1);
  CHECK(request->count == 1);
  CHECK_FALSE(schedule.isDone());
}

// --- plans ---

TEST_CASE("a list of hashes is taken in parts, in order, and checked against the root") {
  const std::uint64_t chunkBytes = crypto::chunkBytesFor(0);
  const std::vector<std::byte> content(3 * chunkBytes, std::byte{7});
  crypto::FileHasher hasher(content.size());
  hasher.update(content);
  const auto hashes = hasher.finish();
  const auto part = [&](std::uint64_t first, std::size_t count) {
    wire::ChunkList list;
    list.size = content.size();
    list.chunkBytes = chunkBytes;
    list.first = first;
    list.hashes.assign(hashes.chunks.begin() + static_cast<std::ptrdiff_t>(first),
                       hashes.chunks.begin() + static_cast<std::ptrdiff_t>(first + count));
    return list;
  };
  using Added = ChunkListParts::Added;
  ChunkListParts good(hashes.root, content.size());
  CHECK(good.add(part(0, 2)) == Added::more);
  CHECK(good.add(part(2, 1)) == Added::complete);
  CHECK(good.take().hashes == hashes.chunks);

  ChunkListParts twice(hashes.root, content.size());
  CHECK(twice.add(part(0, 2)) == Added::more);
  CHECK(twice.add(part(0, 2)) == Added::notOfFile);

  ChunkListParts other(hashes.root, content.size() + 1);
  CHECK(other.add(part(0, 3)) == Added::notOfFile);

  ChunkListParts wrong(rootOf(1), content.size());
  CHECK(wrong.add(part(0, 3)) == Added::notOfRoot);

  ChunkListParts cutOtherwise(hashes.root, content.size(), 2 * chunkBytes);
  CHECK(cutOtherwise.add(part(0, 2)) == Added::notOfFile);
}
