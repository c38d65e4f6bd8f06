// What a server does about chunks that are not here yet, by its policy; and the client that checks
// each answer against its question.
#include <doctest/doctest.h>

#include <future>

#include "peer/transfer/chunk_client.h"
#include "peer/transfer/push_files.h"
#include "peer/transfer/push_server.h"
#include "tests/unit/transfer_fixture.h"

using namespace espalier;
using namespace espalier::transfer;
using namespace espalier::transfer::test;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t kChunk = limits::kPushChunkBytes;

// A file of which nothing is here yet, and a server of that policy.
class Growing {
 public:
  explicit Growing(ServePolicy policy)
      : server_(files_, {}, nullptr, policy), listener_([this](FileDescriptor socket) {
          readHello(std::move(socket), server_, wire::Purpose::push);
        }) {
    writeFile(folder_ / "f", content);
    auto prepared = preparePush({(folder_ / "f").string()}, {}, {});
    REQUIRE(prepared.ok());
    plan = prepared->opened.front()->plan();
    store_.put(partial);
  }
  ~Growing() {
    listener_.stop();
    store_.endAll();
    server_.stop();
  }
  void begin() {
    partial->begin(plan, FileDescriptor(::open((folder_ / "f").c_str(), O_RDONLY | O_CLOEXEC)));
  }
  Endpoint endpoint() const { return listener_.endpoint(); }

  const std::string content = randomContent(2 * kChunk, 1);
  ChunkPlan plan;
  std::shared_ptr<PartialFile> partial =
      std::make_shared<PartialFile>(hashesOf(content).root, content.size(), "f");

 private:
  TemporaryFolder folder_;
  PartialFiles store_;
  PushedFiles files_{store_};
  TransferServer server_;
  Listener listener_;
};

ChunkClient::Chunks firstOf(const ChunkPlan& plan, std::uint32_t count) {
  return {plan.root, plan.sizeBytes, plan.chunkBytes, 0, count, {}};
}

}  // namespace

TEST_CASE("a server that waits sends signs of life, then the chunk that arrived") {
  Growing file({ServePolicy::WhenMissing::wait, 1ms});
  net::Interrupter interrupter;
  ChunkClient client(file.endpoint(), {}, interrupter, wire::Purpose::push);
  std::promise<void> waiting;
  bool told = false;
  client.connection().onWaiting([&](std::uint32_t position) {
    if (position > 0 && !std::exchange(told, true)) waiting.set_value();
  });
  client.askList(file.plan.root, file.plan.sizeBytes, file.plan.chunkBytes);
  client.askChunks(firstOf(file.plan, 2));
  REQUIRE(client.open().ok());
  auto feeding = std::async(std::launch::async, [&] {
    waiting.get_future().wait();
    file.begin();
    file.partial->add(0);
    file.partial->add(1);
  });
  auto answer = client.receive();
  REQUIRE(answer.ok());
  REQUIRE(std::holds_alternative<ChunkPlan>(*answer));
  CHECK(std::get<ChunkPlan>(*answer).hashes == file.plan.hashes);
  std::string received(2 * kChunk, ' ');
  for (std::uint64_t chunk = 0; chunk < 2; ++chunk) {
    CHECK(client.chunksAhead() == 2 - chunk);
    answer = client.receive();
    REQUIRE(answer.ok());
    const auto* header = std::get_if<ChunkClient::Chunk>(&*answer);
    REQUIRE(header != nullptr);
    CHECK(header->chunk == chunk);
    CHECK(header->last == (chunk == 1));
    const auto out = std::as_writable_bytes(std::span(received)).subspan(chunk * kChunk, kChunk);
    REQUIRE(client.receiveBytes(out).ok());
  }
  CHECK(received == file.content);
  CHECK_FALSE(client.expects());
  feeding.wait();
}

TEST_CASE("a server that refuses answers at once with a failure, and serves what is here") {
  Growing file({ServePolicy::WhenMissing::refuse, 1ms});
  file.begin();
  file.partial->add(0);
  net::Interrupter interrupter;
  ChunkClient client(file.endpoint(), {}, interrupter, wire::Purpose::push);
  client.askChunks(firstOf(file.plan, 2));
  REQUIRE(client.open().ok());
  auto answer = client.receive();
  REQUIRE(answer.ok());
  REQUIRE(std::holds_alternative<ChunkClient::Chunk>(*answer));
  std::string received(kChunk, ' ');
  REQUIRE(client.receiveBytes(std::as_writable_bytes(std::span(received))).ok());
  CHECK(received == file.content.substr(0, kChunk));
  answer = client.receive();
  REQUIRE(answer.ok());
  CHECK(std::holds_alternative<ChunkClient::Refused>(*answer));
  CHECK_FALSE(client.expects());
}

TEST_CASE(
    "an asker that waits is refused when the file ends, and a push is asked for chunks only") {
  Growing file({ServePolicy::WhenMissing::wait, 1ms});
  net::Interrupter interrupter;
  ChunkClient client(file.endpoint(), {}, interrupter, wire::Purpose::push);
  client.askHeld(file.plan.root);
  client.askChunks(firstOf(file.plan, 1));
  REQUIRE(client.open().ok());
  auto answer = client.receive();
  REQUIRE(answer.ok());
  const auto* refused = std::get_if<ChunkClient::Refused>(&*answer);
  REQUIRE(refused != nullptr);
  CHECK(refused->problem == wire::TransferProblem::badRequest);
  file.partial->end();
  answer = client.receive();
  REQUIRE(answer.ok());
  refused = std::get_if<ChunkClient::Refused>(&*answer);
  REQUIRE(refused != nullptr);
  CHECK(refused->problem == wire::TransferProblem::notShared);
}
