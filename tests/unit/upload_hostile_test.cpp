// The server of transfers against askers that take little, ask for nothing, or ask for too much.
#include <doctest/doctest.h>

#include <future>

#include "tests/unit/transfer_scripts.h"

using namespace espalier;
using namespace espalier::transfer;
using namespace espalier::transfer::test;

namespace {

constexpr std::size_t kChunk = limits::kChunkBytesMin;
const Timeouts kShort{2s, 500ms};

std::string request(const wire::TransferRequest& one) {
  return framed(wire::encode(one));
}

// The Welcome, which is the first frame.
void readWelcome(net::BlockingStream& stream) {
  std::string header(limits::kFrameHeaderBytes, ' ');
  REQUIRE(stream.readAll(std::as_writable_bytes(std::span(header))).ok());
  std::string payload(*wire::frameLength(header), ' ');
  REQUIRE(stream.readAll(std::as_writable_bytes(std::span(payload))).ok());
}

// The answers of that many bytes, taken `step` bytes at a time, without signs of life.
std::string answersOf(net::BlockingStream& stream, std::size_t bytes, std::size_t step) {
  std::string all;
  const auto take = [&](std::size_t count) {
    std::string part(count, ' ');
    for (std::size_t at = 0; at < count; at += step) {
      const auto out = std::as_writable_bytes(std::span(part)).subspan(at);
      if (!stream.readAll(out.first(std::min(step, out.size())))) return std::string();
    }
    return part;
  };
  while (all.size() < bytes) {
    const auto header = take(limits::kFrameHeaderBytes);
    if (header.empty()) return all;
    const auto payload = take(*wire::frameLength(header));
    const auto answer = wire::decodeTransferAnswer(payload);
    if (!answer || std::holds_alternative<wire::Waiting>(*answer)) continue;
    all += header + payload;
    if (const auto* chunk = std::get_if<wire::ChunkHeader>(&*answer)) all += take(chunk->bytes);
  }
  return all;
}

}  // namespace

TEST_CASE("a small file is served beside eighty askers that take nothing and ninety idle ones") {
  HolderPeer s1("s1", {.slots = 2, .silence = 10min});
  const auto big = s1.share.add("big", randomContent(64 * kChunk, 4));
  const auto info = s1.share.add("f", "1\n");
  const auto all = request(wire::ChunkRequest{big.root, kChunk, 0, 64});
  std::vector<net::BlockingStream> others;
  for (int i = 0; i < 80; ++i) {
    others.push_back(connected(s1.holder().endpoint, helloFrame() + all));
  }
  for (int i = 0; i < 90; ++i) others.push_back(connected(s1.holder().endpoint, helloFrame()));
  const Asker asker(kShort);
  for (int i = 0; i < 5; ++i) {
    const auto result = asker.fetch(info, {s1.holder()});
    REQUIRE_MESSAGE(result.ok(), result.error().message);
    fs::remove(asker.downloads / "f");
  }
  CHECK(s1.status().connections >= 170);
}

TEST_CASE("sixty-four askers at once are all served") {
  HolderPeer s1("s1", {.turn = 1ms});
  const auto content = randomContent(2 * kChunk + 5, 6);
  const auto info = s1.share.add("f", content);
  std::vector<std::future<bool>> all;
  for (int i = 0; i < 64; ++i) {
    all.push_back(std::async(std::launch::async, [&] {
      const Asker asker;
      return asker.fetch(info, {s1.holder()}).ok() && readFile(asker.downloads / "f") == content;
    }));
  }
  for (auto& each : all) CHECK(each.get());
}

TEST_CASE("what is sent in slices, to askers that take little at a time, is the file") {
  HolderPeer s1("s1", {.slots = 1, .turn = 0ms});
  const auto content = randomContent(6 * kChunk + 77, 7);
  const auto info = s1.share.add("f", content);
  // Large chunks, small ones, and a list between them.
  const auto questions = request(wire::ChunkRequest{info.root, kChunk, 0, 7}) +
                         request(wire::ChunkListRequest{info.root}) +
                         request(wire::ChunkRequest{info.root, limits::kBlockBytes, 0, 385});
  std::string expected;
  const auto expect = [&](std::uint64_t bytes) {
    for (std::uint64_t at = 0; at < content.size(); at += bytes) {
      const auto part = content.substr(at, bytes);
      const wire::ChunkHeader header{at / bytes, static_cast<std::uint32_t>(part.size())};
      expected += framed(wire::encode(wire::TransferAnswer(header))) + part;
    }
  };
  expect(kChunk);
  const wire::ChunkList list{info.size, kChunk, 0, hashesOf(content).chunks, "f"};
  expected += framed(wire::encode(wire::TransferAnswer(list)));
  expect(limits::kBlockBytes);
  std::vector<std::future<bool>> all;
  for (std::size_t i = 0; i < 4; ++i) {
    auto stream = connected(s1.holder().endpoint, helloFrame() + questions);
    all.push_back(std::async(std::launch::async, [&, i, stream = std::move(stream)]() mutable {
      readWelcome(stream);
      return expected == answersOf(stream, expected.size(), 10'000 + 7'777 * i);
    }));
  }
  for (auto& each : all) CHECK(each.get());
}

TEST_CASE("a request longer than any ends the connection before it has arrived") {
  HolderPeer s1("s1");
  auto stream = connected(s1.holder().endpoint, helloFrame() + std::string("\0\0\xff\xff", 4));
  std::array<std::byte, 4096> buffer;
  auto got = stream.read(buffer);
  while (got) got = stream.read(buffer);
  CHECK(got.error().code == ErrorCode::io);
}

TEST_CASE("reports of damage count only of what was served, and not without end") {
  HolderPeer s1("s1");
  const auto info = s1.share.add("f", "content");
  const auto other = s1.share.add("g", "other");
  std::string script = request(wire::ChunkRejected{info.root}) +
                       request(wire::ChunkRequest{info.root, kChunk, 0, 1});
  const auto rejected =
      request(wire::ChunkRejected{info.root}) + request(wire::ChunkRejected{other.root});
  for (int i = 0; i < 2000; ++i) script += rejected;
  auto stream = connected(s1.holder().endpoint, helloFrame() + script);
  stream.endWriting();
  std::array<std::byte, 4096> buffer;
  while (stream.read(buffer)) {
  }
  const int counted = s1.share.awaitRejections();
  CHECK(counted >= 1);
  CHECK(counted <= 4 * static_cast<int>(limits::kLoopbackPeers) + 100);
}
