// Peers that make false claims about the size or the holders of a root.
#include <doctest/doctest.h>

#include "peer/transfer/size_claims.h"
#include "tests/unit/transfer_fixture.h"

using namespace espalier;
using namespace espalier::transfer;
using namespace espalier::transfer::test;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t kChunk = limits::kChunkBytesMin;
const Timeouts kShort{2s, 500ms};

// Answers every connection with a list of hashes of a file of that size, and then with silence.
class Liar {
 public:
  Liar(const std::string& id, wire::ChunkList list)
      : id_(*PeerId::parse(id)), listener_([list = std::move(list)](FileDescriptor asker) {
          std::string said;
          wire::appendFrame(wire::encode(wire::Welcome{}), said);
          wire::appendFrame(wire::encode(wire::TransferAnswer(list)), said);
          const net::Interrupter never;
          net::BlockingStream stream(net::TcpStream::adopt(std::move(asker)), 200ms, never);
          (void)stream.write(said);
          std::array<std::byte, 4096> buffer;
          while (stream.read(buffer)) {
          }
        }) {}
  Holder holder() const { return {id_, listener_.endpoint()}; }
  int connections() const { return listener_.connections; }

 private:
  PeerId id_;
  Listener listener_;
};

wire::ChunkList listOf(std::uint64_t size, const std::vector<Digest>& hashes) {
  return {size, crypto::chunkBytesFor(size), 0, hashes, "f"};
}

Endpoint closedPort() {
  const Listener listener([](FileDescriptor) {});
  return listener.endpoint();
}

}  // namespace

TEST_CASE("of two endpoints of one id both are tried, whichever is known first") {
  HolderPeer s1("s1");
  const auto content = randomContent(3 * kChunk + 1, 1);
  const auto info = s1.share.add("f", content);
  const Holder elsewhere{s1.holder().id, closedPort()};
  for (const auto& holders : {std::vector{elsewhere, s1.holder()}, {s1.holder(), elsewhere}}) {
    const Asker asker(kShort);
    const auto result = asker.fetch(info, holders);
    REQUIRE_MESSAGE(result.ok(), result.error().message);
    CHECK(readFile(result->path) == content);
  }
}

TEST_CASE("an endpoint that is found later is tried, though the id failed at another") {
  HolderPeer s1("s1");
  const auto content = randomContent(2 * kChunk, 2);
  const auto info = s1.share.add("f", content);
  const Asker asker(kShort);
  auto request = asker.request(info, {{s1.holder().id, closedPort()}});
  std::vector<std::uint64_t> sizes;
  request.search = [&](std::uint64_t size, std::stop_token) {
    sizes.push_back(size);
    return std::vector{s1.holder()};
  };
  const auto result = asker.fetch(request);
  REQUIRE_MESSAGE(result.ok(), result.error().message);
  CHECK(readFile(result->path) == content);
  CHECK(sizes.front() == info.size);
}

TEST_CASE("a false claim about a size does not keep the file from being fetched") {
  HolderPeer s1("s1");
  std::size_t bytes = 0;
  std::vector<std::uint64_t> lies;
  SUBCASE("of one chunk") {
    bytes = 1000;
    lies = {999, 1001, kChunk, kChunk + 1, 1ull << 44};
  }
  SUBCASE("of several chunks") {
    bytes = 3 * kChunk + 5;
    lies = {1, 2 * kChunk, 3 * kChunk + 4, 3 * kChunk + 6, 4 * kChunk, 1ull << 44};
  }
  const auto content = randomContent(bytes, 3);
  const auto info = s1.share.add("f", content);
  for (const auto lie : lies) {
    CAPTURE(lie);
    const auto hashes = hashesOf(content).chunks;
    const auto said = std::min<std::uint64_t>(hashes.size(), crypto::chunkCount(lie, kChunk));
    const Liar liar("liar",
                    listOf(lie, {hashes.begin(), hashes.begin() + static_cast<long>(said)}));
    const Asker asker(kShort);
    auto request = asker.request(info, {liar.holder(), s1.holder()});
    request.size = lie;  // in the honest peer's name, too
    request.otherSizes = {{info.size, {s1.holder()}}};
    const auto result = asker.fetch(request);
    REQUIRE_MESSAGE(result.ok(), result.error().message);
    CHECK(result->size == info.size);
    CHECK(readFile(result->path) == content);
  }
}

TEST_CASE(
    "each endpoint is asked for the size itself, and those that most endpoints stand by come "
    "first") {
  HolderPeer s1("s1");
  HolderPeer s2("s2");
  const auto content = randomContent(2 * kChunk, 4);
  const auto info = s1.share.add("f", content);
  s2.share.add("f", content);
  const Liar liar("liar", listOf(info.size - 1, hashesOf(content).chunks));
  const Holder gone{*PeerId::parse("s3"), closedPort()};
  DialTargets dials;
  // One liar under many ids is one endpoint, and asked once.
  std::vector<Holder> lies{s1.holder()};
  for (int i = 0; i < 30; ++i) {
    lies.push_back({*PeerId::parse("x" + std::to_string(i)), liar.holder().endpoint});
  }
  const auto sizes = askSizes(info.root, {{1, lies}, {2, {gone}}, {info.size, {s2.holder(), gone}}},
                              dials, kShort, {});
  CHECK(liar.connections() == 1);
  REQUIRE(sizes.size() == 2);
  CHECK(sizes[0].size == info.size);
  CHECK(sizes[0].holders.size() == 2);
  CHECK(sizes[1].size == info.size - 1);
  // If no holder can be reached, the claims are all that is known.
  const auto claimed = askSizes(info.root, {{7, {gone}}, {5, {gone}}}, dials, kShort, {});
  REQUIRE(claimed.size() == 2);
  CHECK(claimed[0].size == 5);
}

TEST_CASE("a size without bounds needs no room before the list of hashes proves it") {
  const auto content = randomContent(100, 5);
  const auto root = hashesOf(content).root;
  const wire::FileEntry huge{root, 1ull << 44, "f"};
  const Liar liar("liar", listOf(huge.size, {root}));
  const Asker asker(kShort);
  const auto result = asker.fetch(huge, {liar.holder()});
  REQUIRE_FALSE(result.ok());
  CHECK(result.error().message.find("room") == std::string::npos);
  const auto part = asker.downloads / ".espalier" / "incoming" / (toHex(root.view()) + ".part");
  REQUIRE(fs::exists(part));
  CHECK(fs::file_size(part) == 0);
}

TEST_CASE("an empty file has a root of zeros, and no other has one") {
  HolderPeer s1("s1");
  const auto info = s1.share.add("f", "x");
  const Asker asker(kShort);
  for (const auto& impossible :
       {wire::FileEntry{info.root, 0, "f"}, wire::FileEntry{FileRoot{}, 1, "f"}}) {
    const auto result = asker.fetch(impossible, {s1.holder()});
    REQUIRE_FALSE(result.ok());
    CHECK(result.error().code == ErrorCode::protocol);
    CHECK_FALSE(fs::exists(asker.downloads / "f"));
  }
  CHECK(asker.fetch(wire::FileEntry{FileRoot{}, 0, "f"}, {s1.holder()}).ok());
  CHECK(fs::file_size(asker.downloads / "f") == 0);
}
