// Fetching beside others: holders that are found later, partial holders, rates, slots.
#include <doctest/doctest.h>
#include <fcntl.h>

#include <atomic>
#include <thread>

#include "peer/transfer/partial_files.h"
#include "peer/transfer/rate_limit.h"
#include "tests/unit/transfer_fixture.h"

using namespace espalier;
using namespace espalier::transfer;
using namespace espalier::transfer::test;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t kChunk = 1 << 20;

std::shared_ptr<PartialFile> partOf(const Share& share, const wire::FileEntry& info,
                                    const std::string& content, std::size_t chunks) {
  auto file = std::make_shared<PartialFile>(info.root, info.size, info.name);
  FileDescriptor opened(::open(share.path(info.name).string().c_str(), O_RDONLY | O_CLOEXEC));
  REQUIRE(opened);
  file->begin({info.root, info.size, kChunk, hashesOf(content).chunks}, std::move(opened));
  for (std::size_t i = 0; i < chunks; ++i) file->add(i);
  return file;
}

// A peer that fetches files itself and serves what it has of them.
class PartialPeer {
 public:
  explicit PartialPeer(std::string id)
      : id_(*PeerId::parse(id)), server_(source_), listener_([this](FileDescriptor socket) {
          readHello(std::move(socket), server_, wire::Purpose::transfer);
        }) {}
  Holder holder() const { return {id_, listener_.endpoint(), true}; }
  void give(std::shared_ptr<PartialFile> file) { source_.store.put(std::move(file)); }
  std::uint64_t chunksSent() const { return server_.status().chunks; }

 private:
  class Source : public FileSource {
   public:
    std::optional<wire::FileEntry> find(const FileRoot& root) override {
      const auto file = store.find(root);
      if (!file) return std::nullopt;
      return wire::FileEntry{root, file->size(), file->name()};
    }
    std::shared_ptr<const PartialFile> partialFile(const FileRoot& root) override {
      return store.find(root);
    }
    Result<ServedFile> open(const FileRoot& root) override {
      auto file = store.find(root);
      if (!file) return Error{ErrorCode::failed, "gone"};
      return ServedFile{
          FileDescriptor(::fcntl(file->descriptor(), F_DUPFD_CLOEXEC, 0)), {}, std::move(file)};
    }
    Result<std::vector<Digest>> chunkHashes(const FileRoot& root) override {
      return store.find(root)->plan().hashes;
    }
    std::vector<wire::FileEntry> list(std::string_view, std::size_t) override { return {}; }

    PartialFiles store;
  };
  PeerId id_;
  Source source_;
  TransferServer server_;
  Listener listener_;
};

std::uint64_t bytesFrom(const FetchResult& result, const Holder& holder) {
  for (const auto& source : result.sources) {
    if (source.id == holder.id) return source.bytes;
  }
  return 0;
}

}  // namespace

TEST_CASE("a holder that is found later takes over from one that has stalled") {
  HolderPeer first("s1");
  HolderPeer second("s2");
  const auto content = randomContent(8 * kChunk + 5, 1);
  const auto info = first.share.add("f", content);
  second.share.add("f", content);
  Line line(first.holder().endpoint, 2 * kChunk, Line::Then::stall);
  Asker asker;
  auto request = asker.request(info, {{first.holder().id, line.endpoint()}});
  std::atomic<int> searches = 0;
  request.search = [&](std::uint64_t, std::stop_token) {
    ++searches;
    return std::vector<Holder>{second.holder()};
  };
  const auto result = asker.fetch(request);
  REQUIRE(result.ok());
  CHECK(readFile(result->path) == content);
  CHECK(searches >= 1);
  CHECK(bytesFrom(*result, second.holder()) > 0);
}

TEST_CASE("when the only holder is gone, holders that are found are asked; without any it fails") {
  HolderPeer first("s1");
  HolderPeer second("s2");
  const auto content = randomContent(4 * kChunk, 2);
  const auto info = first.share.add("f", content);
  second.share.add("f", content);
  first.stop();
  Asker asker;
  auto request = asker.request(info, {first.holder()});
  std::vector<Holder> found = {first.holder()};
  request.search = [&](std::uint64_t, std::stop_token) { return found; };
  const auto failed = asker.fetch(request);
  REQUIRE_FALSE(failed.ok());
  CHECK(failed.error().code == ErrorCode::io);
  found.push_back(second.holder());
  const auto result = asker.fetch(request);
  REQUIRE(result.ok());
  CHECK(readFile(result->path) == content);
}

TEST_CASE("a partial holder is asked for the chunks that it has, and for more once it has more") {
  HolderPeer whole("s1");
  PartialPeer part("s2");
  const auto content = randomContent(12 * kChunk + 7, 3);
  const auto info = whole.share.add("f", content);
  const auto partial = partOf(whole.share, info, content, 3);
  part.give(partial);
  Asker asker;
  SUBCASE("beside one that has all") {
    const auto result = asker.fetch(info, {whole.holder(), part.holder()});
    REQUIRE(result.ok());
    CHECK(readFile(result->path) == content);
    CHECK(bytesFrom(*result, whole.holder()) >= content.size() - 3 * kChunk);
  }
  SUBCASE("alone, while it fetches the rest itself") {
    std::jthread filling([&] {
      while (part.chunksSent() < 3) std::this_thread::yield();
      for (std::size_t chunk = 3; chunk < 13; ++chunk) partial->add(chunk);
    });
    const auto result = asker.fetch(info, {part.holder()});
    REQUIRE(result.ok());
    CHECK(readFile(result->path) == content);
    CHECK(bytesFrom(*result, part.holder()) == content.size());
    CHECK(part.chunksSent() == 13);
  }
}

TEST_CASE("a file that is being fetched is served until the fetch has ended") {
  HolderPeer whole("s1");
  const auto content = randomContent(6 * kChunk, 4);
  const auto info = whole.share.add("f", content);
  Line line(whole.holder().endpoint, 3 * kChunk + 1000, Line::Then::stall);
  PartialFiles store;
  Asker asker;
  auto request = asker.request(info, {{whole.holder().id, line.endpoint()}});
  request.partialFiles = &store;
  std::stop_source stop;
  std::jthread fetching([&] { (void)asker.fetch(request, stop.get_token()); });
  std::shared_ptr<PartialFile> given;
  while (!given || !given->holds(1)) {
    std::this_thread::yield();
    given = store.find(info.root);
  }
  CHECK_FALSE(given->holds(5));
  CHECK((given->heldBits()[0] & 2) != 0);
  CHECK(given->plan().hashes == hashesOf(content).chunks);
  stop.request_stop();
  fetching.join();
  CHECK(store.find(info.root) == nullptr);
}

TEST_CASE("a holder that claims parts that it lacks costs nothing but its own answers") {
  HolderPeer whole("s1");
  const auto content = randomContent(6 * kChunk, 5);
  const auto info = whole.share.add("f", content);
  // Says that it has every chunk, and refuses each.
  Listener liar([](FileDescriptor socket) {
    wire::FrameReader reader;
    std::array<char, 4096> buffer;
    const auto send = [&](const std::string& payload) {
      std::string frame;
      wire::appendFrame(payload, frame);
      return ::send(socket.get(), frame.data(), frame.size(), MSG_NOSIGNAL) > 0;
    };
    bool greeted = false;
    while (true) {
      const auto got = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
      if (got <= 0) return;
      reader.append({buffer.data(), static_cast<std::size_t>(got)});
      for (auto frame = reader.next(); frame.ok() && *frame; frame = reader.next()) {
        if (!std::exchange(greeted, true)) {
          send(wire::encode(wire::Welcome{}));
          continue;
        }
        const auto request = wire::decodeTransferRequest(**frame);
        REQUIRE(request.ok());
        if (std::holds_alternative<wire::ChunksHeldRequest>(*request)) {
          send(wire::encode(wire::TransferAnswer(wire::ChunksHeld{false, kChunk, "\xff"})));
        } else {
          send(wire::encode(wire::TransferAnswer(
              wire::TransferFailure{wire::TransferProblem::badRequest, "not here"})));
        }
      }
    }
  });
  Asker asker;
  const auto result =
      asker.fetch(info, {{*PeerId::parse("liar"), liar.endpoint(), true}, whole.holder()});
  REQUIRE(result.ok());
  CHECK(readFile(result->path) == content);
}

TEST_CASE("a rate is kept to, but for a tenth of a second after a pause") {
  for (const std::uint64_t rate : {10'000u, 400'000u, 100'000'000u}) {
    CAPTURE(rate);
    RateBucket bucket;
    TimePoint now{1000s};
    bucket.set(rate, now);
    const auto bytesUntil = [&](TimePoint end) {
      std::uint64_t bytes = 0;
      for (; bucket.free() <= end; now = std::max(now, bucket.free())) {
        bytes += bucket.take(1 << 30, std::max(now, bucket.free()));
      }
      now = end;
      return bytes;
    };
    const auto slice = std::max<std::uint64_t>(rate / 32, 1024);
    const auto first = bytesUntil(TimePoint{1010s});
    CHECK(first + slice >= 10 * rate);
    CHECK(first <= 10 * rate + rate / 10 + slice);
    now = TimePoint{1100s};  // nothing was wanted for a long time
    const auto second = bytesUntil(TimePoint{1110s});
    CHECK(second + slice >= 10 * rate);
    CHECK(second <= 10 * rate + rate / 10 + slice);
    bucket.set(rate, now);
    CHECK(bucket.free() == now);
    CHECK(bucket.take(1, now) == 1);
  }
}

TEST_CASE("transfers that share a rate get equal parts of it") {
  RateLimit limit;
  CHECK(limit.take(1000, {}) == 1000);
  limit.set(4'000'000);
  std::array<std::uint64_t, 4> taken{};
  std::atomic<std::size_t> ready = 0;
  std::atomic<std::uint64_t> all = 0;
  {
    std::vector<std::jthread> threads;
    for (auto& mine : taken) {
      threads.emplace_back([&] {
        ++ready;
        while (ready < taken.size()) std::this_thread::yield();
        while (all < 2'000'000) {
          const auto granted = limit.take(1 << 20, {});
          mine += granted;
          all += granted;
        }
      });
    }
  }
  for (const auto mine : taken) CHECK(mine >= all / 8);
}

TEST_CASE(
    "a transfer that waits for a rate continues when it is changed, and ends when it is stopped") {
  RateLimit limit;
  limit.set(1);
  (void)limit.take(1 << 20, {});
  std::jthread first([&] { CHECK(limit.take(7, {}) > 0); });
  std::jthread second([&] { CHECK(limit.take(7, {}) > 0); });
  std::stop_source stop;
  std::jthread third([&] { CHECK(limit.take(7, stop.get_token()) == 7); });
  stop.request_stop();
  third.join();
  limit.set(RateLimit::kNone);
  first.join();
  second.join();
  CHECK(limit.take(7, {}) == 7);
}

TEST_CASE("a fetch waits for the rate of its peer, and goes on when that is taken away") {
  HolderPeer holder("s1");
  const auto content = randomContent(2 * kChunk, 6);
  const auto info = holder.share.add("f", content);
  Asker asker;
  RateLimit limit;
  limit.set(1);
  asker.options.rate = &limit;
  int told = 0;
  const auto result =
      asker.fetch(asker.request(info, {holder.holder()}), {}, [&](const FetchProgress& progress) {
        CHECK(progress.heldBytes == 0);
        if (++told == 3) limit.set(RateLimit::kNone);
      });
  CHECK(told >= 3);
  REQUIRE(result.ok());
  CHECK(readFile(result->path) == content);
}

TEST_CASE("a slot is given in turns: an asker does not wait for the end of a long transfer") {
  HolderPeer holder("s1", {.slots = 1, .queue = 4, .turn = 20ms});
  const auto content = randomContent(2 * kChunk, 7);
  const auto info = holder.share.add("f", content);
  const auto longOne = holder.share.add("long", randomContent(64 * kChunk, 9));
  Asker slow;
  RateLimit limit;
  limit.set(1'000'000);
  slow.options.rate = &limit;
  std::stop_source stop;
  std::atomic<bool> ended = false;
  std::jthread slowly([&] {
    (void)slow.fetch(slow.request(longOne, {holder.holder()}), stop.get_token());
    ended = true;
  });
  while (holder.status().chunks == 0) std::this_thread::yield();
  Asker asker;
  const auto result = asker.fetch(info, {holder.holder()});
  CHECK_FALSE(ended);
  REQUIRE(result.ok());
  CHECK(readFile(result->path) == content);
  stop.request_stop();
}

TEST_CASE("an asker that asks for nothing does not keep a slot from others") {
  HolderPeer holder("s1", {.slots = 1, .queue = 4});
  const auto content = randomContent(2 * kChunk, 8);
  const auto info = holder.share.add("f", content);
  net::Interrupter interrupter;
  HolderConnection idle(holder.holder().endpoint, {}, interrupter);
  REQUIRE(idle.open().ok());
  Asker asker;
  const auto result = asker.fetch(info, {holder.holder()});
  REQUIRE(result.ok());
  CHECK(readFile(result->path) == content);
  // It has its next turn when it wants one.
  idle.queue(wire::ChunkListRequest{info.root});
  REQUIRE(idle.flush().ok());
  const auto answer = idle.receive();
  REQUIRE(answer.ok());
  CHECK(std::holds_alternative<wire::ChunkList>(*answer));
}
