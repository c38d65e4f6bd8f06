// Who gets an upload slot, who waits, and who loses the place: with conversations of the test's
// own.
#include "peer/transfer/upload_slots.h"

#include <doctest/doctest.h>

#include <future>

#include "common/base/limits.h"
#include "common/wire/frame.h"
#include "common/wire/transfer.h"
#include "peer/transfer/upload_order.h"
#include "tests/unit/stream_pair.h"

using namespace espalier;
using namespace espalier::transfer;
using namespace std::chrono_literals;

namespace {

using net::BlockingStream;
using Next = UploadSlots::Next;
using Slice = UploadSlots::Slice;

// Answers each byte that it receives with the same byte. An 'x' keeps its thread until allowed() or
// the end of the slice. A 'w' does that, too, and says that it waits for bytes, after the answer.
class Echo final : public UploadSlots::Conversation {
 public:
  Echo(BlockingStream& stream, std::atomic<bool>& allowed, std::atomic<std::size_t>& closedBytes,
       std::stop_token stop)
      : stream_(stream), allowed_(allowed), closedBytes_(closedBytes), stop_(std::move(stop)) {}
  ~Echo() override { closedBytes_ += blockedBytes_; }

  Result<Next> serve(const Slice& slice) override {
    while (true) {
      if (keeps_) {
        while (!allowed_ && !slice.isOver() && !stop_.stop_requested()) std::this_thread::yield();
        if (!allowed_) return Next::later;
        keeps_ = false;
        if (auto sent = stream_.write("x"); !sent) return sent.error();
        took(1);
      }
      std::array<std::byte, 1> one{};
      const auto got = stream_.readSome(one, slice.patience());
      if (!got || got->state == net::IoResult::State::ended) return Next::left;
      if (got->state != net::IoResult::State::done) return Next::readable;
      asked();
      const auto text = static_cast<char>(one[0]);
      if (text == 'b' || text == 'l') {  // much more than the socket takes
        blockedBytes_ = text == 'b' ? 1000 : 100;
        const std::string much(8 << 20, 'b');
        while (true) {
          const auto some = stream_.writeSome(much, slice.patience());
          if (!some) return some.error();
          if (some->state != net::IoResult::State::done) return Next::writable;
          took(some->bytes);
        }
      }
      keeps_ = text == 'x' || text == 'w';
      if (text == 'w') setWaitsSince(Clock::now());
      if (text == 'x') continue;
      if (auto sent = stream_.write(std::string_view(&text, 1)); !sent) return sent.error();
      took(1);
    }
  }
  std::size_t heldBytes() const override { return blockedBytes_; }

 private:
  BlockingStream& stream_;
  std::atomic<bool>& allowed_;
  std::atomic<std::size_t>& closedBytes_;
  const std::stop_token stop_;
  bool keeps_ = false;
  std::size_t blockedBytes_ = 0;
};

class World {
 public:
  explicit World(SlotOptions options, limits::HeldBound bound = {512, 512},
                 std::uint64_t bytes = 1 << 20)
      : slots(with(std::move(options), bound, bytes), [this](auto& stream, auto stop) {
          ++begun;
          return std::make_shared<Echo>(stream, allowed, closedBytes, std::move(stop));
        }) {}

  // An asker that has sent this before it is accepted. `host`: 127.0.0.N, where it comes from.
  std::unique_ptr<BlockingStream> asker(std::string_view first, const char* host = nullptr) {
    auto [one, other] = host == nullptr ? net::test::streamPair() : net::test::tcpPair(host);
    auto stream = std::make_unique<BlockingStream>(std::move(one), 60s, never);
    REQUIRE(stream->write(first).ok());
    slots.serve(std::move(other), {});
    return stream;
  }
  void await(std::size_t serving, std::size_t waiting) const {
    while (true) {
      const auto status = slots.status();
      if (status.serving == serving && status.waiting == waiting) return;
      std::this_thread::yield();
    }
  }

  const net::Interrupter never;
  std::atomic<bool> allowed = false;
  std::atomic<int> begun = 0;
  std::atomic<std::size_t> closedBytes = 0;  // of those that are closed
  UploadSlots slots;

 private:
  static SlotOptions with(SlotOptions options, limits::HeldBound bound, std::uint64_t bytes) {
    auto held = limits::kHeldBounds;
    held[static_cast<std::size_t>(limits::Held::uploads)] = bound;
    held[static_cast<std::size_t>(limits::Held::uploadBytes)] = {bytes, bytes};
    options.budget = std::make_shared<Budget>(held, limits::kRateBounds);
    return options;
  }
};

std::string frameOf(BlockingStream& stream) {
  std::string header(limits::kFrameHeaderBytes, ' ');
  REQUIRE(stream.readAll(std::as_writable_bytes(std::span(header))).ok());
  std::string payload(*wire::frameLength(header), ' ');
  REQUIRE(stream.readAll(std::as_writable_bytes(std::span(payload))).ok());
  return payload;
}
// The Welcome is the empty message with a version; a Failure has an error code and a sentence.
bool isWelcome(BlockingStream& stream) {
  return frameOf(stream).size() < 8;
}
char byteOf(BlockingStream& stream) {
  char text = ' ';
  REQUIRE(stream.readAll(std::as_writable_bytes(std::span(&text, 1))).ok());
  return text;
}
bool isClosed(BlockingStream& stream) {
  std::array<std::byte, 64 * 1024> dropped;
  while (auto got = stream.read(dropped)) {
  }
  return true;
}

}  // namespace

TEST_CASE("an asker that finds no free slot is told its position, and served when one is free") {
  World world({.slots = 1, .waitingInterval = 20ms, .turn = 1h});
  const auto first = world.asker("x");
  REQUIRE(isWelcome(*first));
  world.await(1, 0);
  const auto second = world.asker("a");
  REQUIRE(isWelcome(*second));
  for (int i = 0; i < 3; ++i) {
    const auto told = wire::decodeTransferAnswer(frameOf(*second));
    REQUIRE(told.ok());
    CHECK(*told == wire::TransferAnswer(wire::Waiting{1}));
  }
  world.allowed = true;
  CHECK(byteOf(*first) == 'x');
  // Further signs of life may be under way.
  char text = byteOf(*second);
  while (text == 0) {
    std::string rest(limits::kFrameHeaderBytes - 1 + wire::encode(wire::Waiting{1}).size(), ' ');
    REQUIRE(second->readAll(std::as_writable_bytes(std::span(rest))).ok());
    text = byteOf(*second);
  }
  CHECK(text == 'a');
}

TEST_CASE("beyond slots and queue an asker with a request is told busy, one without rests") {
  World world({.slots = 1, .queue = 1, .turn = 1h, .deaf = 1h});
  const auto first = world.asker("x");
  world.await(1, 0);
  const auto second = world.asker("a");
  const auto third = world.asker("a");
  CHECK_FALSE(isWelcome(*third));
  const auto idle = world.asker("");
  CHECK(isWelcome(*idle));
  CHECK(world.slots.status().connections == 3);
  world.allowed = true;
  REQUIRE(isWelcome(*second));
  CHECK(byteOf(*second) == 'a');
}

TEST_CASE("askers that ask for nothing take no slot, and are served as soon as they ask") {
  World world({.slots = 1, .turn = 1h});
  const auto idle = world.asker("");
  REQUIRE(isWelcome(*idle));
  for (int i = 0; i < 3; ++i) {
    const auto other = world.asker("a");
    REQUIRE(isWelcome(*other));
    CHECK(byteOf(*other) == 'a');
  }
  CHECK(world.begun == 3);
  REQUIRE(idle->write("b").ok());
  CHECK(byteOf(*idle) == 'b');
}

TEST_CASE("a slice ends while others are ready") {
  World world({.slots = 1, .turn = 1ms});
  const auto keeps = world.asker("x");
  REQUIRE(isWelcome(*keeps));
  for (int i = 0; i < 10; ++i) {
    const auto other = world.asker("a");
    REQUIRE(isWelcome(*other));
    CHECK(byteOf(*other) == 'a');
  }
  world.allowed = true;
  CHECK(byteOf(*keeps) == 'x');
}

TEST_CASE("askers that take nothing take no slot, and are closed when they stay silent") {
  World world({.slots = 1, .silence = 200ms, .turn = 1h, .deaf = 1h});
  std::vector<std::unique_ptr<BlockingStream>> deaf;
  for (int i = 0; i < 20; ++i) deaf.push_back(world.asker("b"));
  const auto other = world.asker("a");
  REQUIRE(isWelcome(*other));
  CHECK(byteOf(*other) == 'a');
  while (world.slots.status().connections > 0) std::this_thread::yield();
}

TEST_CASE("when the table is full who never asked goes first, then who is idle, and nobody else") {
  World world({.slots = 3, .turn = 1h, .deaf = 1h}, {3, 3});
  const auto works = world.asker("x");
  REQUIRE(isWelcome(*works));
  world.await(1, 0);
  const auto idle = world.asker("a");
  REQUIRE(isWelcome(*idle));
  CHECK(byteOf(*idle) == 'a');
  while (world.slots.status().serving > 1) std::this_thread::yield();
  const auto silent = world.asker("");
  REQUIRE(isWelcome(*silent));

  const auto more = world.asker("x");
  CHECK(isWelcome(*more));
  CHECK(isClosed(*silent));
  const auto another = world.asker("x");
  CHECK(isWelcome(*another));
  CHECK(isClosed(*idle));
  const auto late = world.asker("x");
  CHECK_FALSE(isWelcome(*late));
  world.allowed = true;
  CHECK(byteOf(*works) == 'x');
}

TEST_CASE("askers that came without a request are served side by side once they ask") {
  World world({.slots = 2, .turn = 1h});
  const auto one = world.asker("");
  const auto other = world.asker("");
  REQUIRE(isWelcome(*one));
  REQUIRE(isWelcome(*other));
  REQUIRE(one->write("x").ok());
  REQUIRE(other->write("x").ok());
  world.await(2, 0);
}

TEST_CASE("when the table is full the address that has most loses a place, not that of who comes") {
  World world({.slots = 1, .turn = 1h}, {3, 3});
  const auto idle = [&](const char* host) {
    auto asker = world.asker("a", host);
    REQUIRE(isWelcome(*asker));
    CHECK(byteOf(*asker) == 'a');
    while (world.slots.status().serving > 0) std::this_thread::yield();
    return asker;
  };
  const auto honest = idle("127.0.0.1");
  const auto many = idle("127.0.0.2");
  const auto more = idle("127.0.0.2");
  const auto newcomer = world.asker("a", "127.0.0.1");
  REQUIRE(isWelcome(*newcomer));
  CHECK(byteOf(*newcomer) == 'a');
  CHECK(isClosed(*many));
  REQUIRE(honest->write("b").ok());
  CHECK(byteOf(*honest) == 'b');
}

TEST_CASE("an asker that comes without a request takes the place of none that ever asked") {
  World world({.slots = 1}, {1, 1});
  const auto idle = world.asker("a");
  REQUIRE(isWelcome(*idle));
  CHECK(byteOf(*idle) == 'a');
  const auto silent = world.asker("");
  CHECK_FALSE(isWelcome(*silent));
  REQUIRE(idle->write("c").ok());
  CHECK(byteOf(*idle) == 'c');
}

TEST_CASE("when the table is full, an asker that takes nothing loses its place to one that asks") {
  World world({.slots = 1, .deaf = 0ms}, {1, 1});
  const auto deaf = world.asker("b");
  while (world.slots.status().serving == 0) std::this_thread::yield();
  // It is served until the socket takes no more.
  while (true) {
    const auto other = world.asker("a");
    if (!isWelcome(*other)) continue;
    CHECK(byteOf(*other) == 'a');
    break;
  }
  CHECK(isClosed(*deaf));
}

TEST_CASE("a taker that waits for what never comes loses its place to another one") {
  World world({.slots = 1, .queue = 0, .turn = 1h, .deaf = 0ms});
  const auto waits = world.asker("w");
  REQUIRE(isWelcome(*waits));
  CHECK(byteOf(*waits) == 'w');  // it took something before
  const auto other = world.asker("x");
  CHECK(isWelcome(*other));
  CHECK(world.slots.status().connections == 2);  // the first one's thread has not seen it yet
  world.allowed = true;
  CHECK(byteOf(*other) == 'x');
}

TEST_CASE("answers that are not taken are bounded: who is above the bound is closed") {
  World world({.slots = 1, .turn = 1h, .deaf = 1h}, {512, 512}, 2500);
  std::vector<std::unique_ptr<BlockingStream>> deaf;
  for (int i = 0; i < 5; ++i) deaf.push_back(world.asker("b"));
  const auto other = world.asker("a");
  REQUIRE(isWelcome(*other));
  CHECK(byteOf(*other) == 'a');
  while (world.slots.status().connections > 3) std::this_thread::yield();
  CHECK(world.slots.status().connections == 3);
}

TEST_CASE(
    "where too much is not taken, the asker that holds most is closed, not the one that comes") {
  World world({.slots = 1, .turn = 1h, .deaf = 1h}, {512, 512}, 2050);
  const auto first = world.asker("b");
  const auto second = world.asker("b");
  const auto little = world.asker("l");
  while (world.closedBytes == 0) std::this_thread::yield();
  CHECK(world.closedBytes == 1000);
  CHECK(world.slots.status().connections == 2);
}

TEST_CASE("one asker of each address is served after the other, newcomers before others") {
  const auto a = Payer::host("10.0.0.1");
  const auto b = Payer::host("10.0.0.2");
  UploadOrder order;
  for (UploadOrder::Key key = 1; key <= 4; ++key) order.push(key, a, false);
  order.push(10, b, false);
  order.push(11, b, false);
  CHECK(order.list() == std::vector<UploadOrder::Key>{1, 10, 2, 11, 3, 4});
  for (UploadOrder::Key key = 21; key <= 24; ++key) order.push(key, a, true);
  order.push(30, b, true);
  order.remove(11);
  std::vector<UploadOrder::Key> served;
  while (const auto next = order.pop()) served.push_back(*next);
  CHECK(served == std::vector<UploadOrder::Key>{21, 30, 22, 1, 23, 24, 10, 2, 3, 4});
  CHECK(order.empty());
}
