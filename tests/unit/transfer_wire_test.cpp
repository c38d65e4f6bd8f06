#include <doctest/doctest.h>
#include <rapidcheck.h>

#include <random>

#include "common/base/limits.h"
#include "common/wire/transfer.h"

using namespace espalier;
using namespace espalier::wire;
using namespace std::chrono_literals;

namespace {

FileRoot rootOf(std::uint8_t fill) {
  FileRoot root;
  root.bytes.fill(fill);
  return root;
}

void checkRoundTrip(const TransferRequest& request) {
  const auto back = decodeTransferRequest(encode(request));
  REQUIRE(back.ok());
  CHECK(*back == request);
}
void checkRoundTrip(const TransferAnswer& answer) {
  const auto back = decodeTransferAnswer(encode(answer));
  REQUIRE(back.ok());
  CHECK(*back == answer);
}

std::string raw(std::initializer_list<int> bytes) {
  std::string text;
  for (const int byte : bytes) text.push_back(static_cast<char>(byte));
  return text;
}

}  // namespace

TEST_CASE("transfer messages come back as they were sent") {
  checkRoundTrip(TransferRequest(ChunkListRequest{rootOf(7)}));
  checkRoundTrip(TransferRequest(ChunkRequest{rootOf(8), 1 << 20, 5, 1024}));
  checkRoundTrip(TransferRequest(ChunkRequest{rootOf(8), 1 << 20, 5, 1024, 500ms}));
  checkRoundTrip(TransferRequest(ChunksHeldRequest{rootOf(9)}));
  checkRoundTrip(TransferRequest(ChunkRejected{rootOf(9)}));
  checkRoundTrip(TransferRequest(ListRequest{"docs/größe\xff"}));
  checkRoundTrip(TransferAnswer(
      ChunkList{3 << 20, 1 << 20, 1, {rootOf(1), rootOf(2)}, std::string(4096, 'x')}));
  checkRoundTrip(TransferAnswer(ChunkHeader{77, 1 << 24}));
  checkRoundTrip(TransferAnswer(
      FileList{{{FileRoot{}, 0, "a"}, {rootOf(2), 1ull << 44, "b"}}, true, false, 0}));
  checkRoundTrip(TransferAnswer(FileList{{{rootOf(1), 1, "a"}}, false, true, 1ull << 20}));
  checkRoundTrip(TransferAnswer(TransferFailure{TransferProblem::changed, "the \xff has changed"}));
  checkRoundTrip(TransferAnswer(Waiting{3}));
  checkRoundTrip(TransferAnswer(ChunksCut{77}));
  checkRoundTrip(TransferAnswer(ChunksHeld{true, 0, {}}));
  checkRoundTrip(TransferAnswer(ChunksHeld{false, 1 << 20, "\x05"}));
}

TEST_CASE("the example bytes of docs/protocol.md mean what they say there") {
  // ChunkRequest: root of 32 times 0xab, chunks of 1 MiB, from chunk 2, three of them.
  const auto request = raw({0x12, 0x2a, 0x0a, 0x20}) + std::string(32, '\xab') +
                       raw({0x10, 0x80, 0x80, 0x40, 0x18, 0x02, 0x20, 0x03});
  CHECK(encode(TransferRequest(ChunkRequest{rootOf(0xab), 1 << 20, 2, 3})) == request);
  // ChunkHeader: chunk 2, 5 bytes follow.
  const auto header = raw({0x12, 0x04, 0x08, 0x02, 0x10, 0x05});
  CHECK(encode(TransferAnswer(ChunkHeader{2, 5})) == header);
  // A failure: changed.
  const auto failure = raw({0x22, 0x06, 0x08, 0x02, 0x12, 0x02}) + "no";
  CHECK(encode(TransferAnswer(TransferFailure{TransferProblem::changed, "no"})) == failure);
}

TEST_CASE("fields of a later version are ignored, a request of a later kind is told apart") {
  const auto known = encode(TransferRequest(ChunkListRequest{rootOf(3)}));
  const auto later = raw({0xfa, 0x01, 0x03}) + "new";  // field 31, three bytes
  const auto both = decodeTransferRequest(known + later);
  REQUIRE(both.ok());
  CHECK(*both == TransferRequest(ChunkListRequest{rootOf(3)}));
  const auto alone = decodeTransferRequest(later);
  REQUIRE(alone.ok());
  CHECK(*alone == TransferRequest(UnknownRequest{}));
}

TEST_CASE("values beyond their limits are refused") {
  const auto refused = [](const TransferRequest& request) {
    return !decodeTransferRequest(encode(request)).ok();
  };
  CHECK(refused(ChunkRequest{rootOf(1), 0, 0, 1}));
  CHECK(refused(ChunkRequest{rootOf(1), 1000, 0, 1}));
  CHECK(refused(ChunkRequest{rootOf(1), 8192, 0, 1}));
  CHECK(refused(ChunkRequest{rootOf(1), 1 << 25, 0, 1}));
  CHECK(refused(ChunkRequest{rootOf(1), 1 << 20, 1ull << 24, 1}));
  CHECK(refused(ChunkRequest{rootOf(1), 1 << 20, ~0ull, 1}));
  CHECK(refused(ListRequest{std::string("a\0b", 3)}));
  CHECK(refused(ListRequest{std::string(5000, 'x')}));

  const auto refusedAnswer = [](const TransferAnswer& answer) {
    return !decodeTransferAnswer(encode(answer)).ok();
  };
  CHECK(refusedAnswer(ChunkHeader{0, 0}));
  CHECK(refusedAnswer(ChunkHeader{0, (1 << 24) + 1}));
  CHECK(refusedAnswer(ChunkHeader{~0ull, 1}));
  CHECK(refusedAnswer(ChunksCut{~0ull}));
  CHECK(refusedAnswer(ChunkList{1 << 20, 1 << 20, 0, {rootOf(1), rootOf(2)}, ""}));
  CHECK(refusedAnswer(ChunkList{1 << 20, 1 << 20, 2, {}, ""}));
  CHECK(refusedAnswer(ChunkList{~0ull, 1 << 20, 0, {}, ""}));
  CHECK(refusedAnswer(ChunkList{1 << 20, 3, 0, {}, ""}));
  CHECK(refusedAnswer(FileList{{}, true, false, 0}));
  CHECK(refusedAnswer(FileList{{{rootOf(1), 1, ""}}, false, false, 0}));
  CHECK(refusedAnswer(FileList{{{rootOf(1), ~0ull, "a"}}, false, false, 0}));
  CHECK(refusedAnswer(FileList{{{rootOf(1), 0, "a"}}, false, false, 0}));
  CHECK(refusedAnswer(FileList{{{FileRoot{}, 1, "a"}}, false, false, 0}));
  CHECK_FALSE(decodeTransferRequest(raw({0x0a, 0x03, 0x0a, 0x01, 0x41})).ok());  // a root of a byte
  CHECK_FALSE(decodeTransferAnswer("").ok());
  CHECK_FALSE(decodeTransferAnswer(raw({0xff})).ok());
}

TEST_CASE("random and mutated bytes never do more than fail") {
  rc::check("any bytes", [](const std::string& bytes) {
    (void)decodeTransferRequest(bytes);
    (void)decodeTransferAnswer(bytes);
  });
  std::mt19937_64 random(1);
  const auto whole =
      encode(TransferAnswer(ChunkList{3 << 20, 1 << 20, 0, {rootOf(1), rootOf(2)}, "n"}));
  for (int i = 0; i < 20000; ++i) {
    auto mutated = whole.substr(0, random() % (whole.size() + 1));
    for (int j = 0; j < 3 && !mutated.empty(); ++j) {
      mutated[random() % mutated.size()] = static_cast<char>(random());
    }
    const auto answer = decodeTransferAnswer(mutated);
    if (!answer) continue;
    if (const auto* list = std::get_if<ChunkList>(&*answer)) {
      CHECK(list->hashes.size() <= limits::kHashesPerFrame);
      CHECK(list->size <= limits::kFileBytes);
    }
  }
}
