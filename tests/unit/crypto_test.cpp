#include <doctest/doctest.h>
#include <openssl/sha.h>
#include <rapidcheck.h>

#include <algorithm>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "common/crypto/cluster_proof.h"
#include "common/crypto/file_tree.h"
#include "common/crypto/sha256.h"
#include "common/crypto/sha256_multi_buffer.h"
#include "tests/unit/file_roots.h"

using namespace espalier;
using namespace espalier::crypto;

namespace {

constexpr std::uint64_t kBlock = limits::kBlockBytes;
constexpr std::uint64_t kMiB = 1ull << 20;

// Byte i is 31 i + 7 (i / 256), as in the generator of the constants below.
std::vector<std::byte> patterned(std::size_t size) {
  std::vector<std::byte> data(size);
  for (std::size_t i = 0; i < size; ++i) {
    data[i] = static_cast<std::byte>((i * 31 + (i >> 8) * 7) & 255);
  }
  return data;
}

std::vector<std::byte> randomBytes(std::size_t size, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  std::vector<std::byte> data(size);
  for (auto& byte : data) byte = static_cast<std::byte>(random());
  return data;
}

// The model: BEP 52 by recursion from the root, with another API of OpenSSL.
Digest naiveSha(const void* data, std::size_t size) {
  Digest digest;
  SHA256(static_cast<const unsigned char*>(data), size, digest.bytes.data());
  return digest;
}
Digest naiveNode(std::span<const std::byte> file, std::uint64_t offset, std::uint64_t width) {
  if (width == kBlock) {
    if (offset >= file.size()) return Digest{};
    const auto block = file.subspan(offset, std::min<std::size_t>(kBlock, file.size() - offset));
    return naiveSha(block.data(), block.size());
  }
  const Digest left = naiveNode(file, offset, width / 2);
  const Digest right = naiveNode(file, offset + width / 2, width / 2);
  const std::string both = std::string(left.view()) + std::string(right.view());
  return naiveSha(both.data(), both.size());
}
Digest naiveRoot(std::span<const std::byte> file) {
  if (file.empty()) return Digest{};
  std::uint64_t width = kBlock;
  while (width < file.size()) width *= 2;
  return naiveNode(file, 0, width);
}
std::vector<Digest> naiveChunks(std::span<const std::byte> file, std::uint64_t chunkBytes) {
  if (file.empty()) return {};
  if (file.size() <= chunkBytes) return {naiveRoot(file)};
  std::vector<Digest> chunks;
  for (std::uint64_t at = 0; at < file.size(); at += chunkBytes) {
    chunks.push_back(naiveNode(file, at, chunkBytes));
  }
  return chunks;
}

FileHasher::Hashes hashInPieces(std::span<const std::byte> file, std::uint64_t chunkBytes,
                                std::size_t pieceBytes) {
  FileHasher hasher(file.size(), chunkBytes);
  for (std::size_t at = 0; at < file.size(); at += pieceBytes) {
    hasher.update(file.subspan(at, std::min(pieceBytes, file.size() - at)));
  }
  return hasher.finish();
}

void checkTree(std::span<const std::byte> file, std::uint64_t chunkBytes, std::size_t piece) {
  CAPTURE(file.size());
  CAPTURE(chunkBytes);
  CAPTURE(piece);
  const auto hashes = hashInPieces(file, chunkBytes, piece);
  CHECK(hashes.root == naiveRoot(file));
  CHECK(hashes.chunks == naiveChunks(file, chunkBytes));
  CHECK(hashes.chunkBytes == chunkBytes);
  CHECK(chunkListMatches(hashes.root, file.size(), chunkBytes, hashes.chunks));
  for (std::size_t i = 0; i < hashes.chunks.size(); ++i) {
    const std::size_t at = i * chunkBytes;
    const auto data = file.subspan(at, std::min<std::size_t>(chunkBytes, file.size() - at));
    CHECK(chunkHash(data, chunkBytes, file.size()) == hashes.chunks[i]);
  }
}

}  // namespace

TEST_CASE("both backends give the digest of every block") {
  const auto check = [](std::size_t size, std::size_t blockBytes) {
    const auto data = randomBytes(size, size);
    std::vector<Digest> expected;
    for (std::size_t at = 0; at < size; at += blockBytes) {
      expected.push_back(naiveSha(data.data() + at, std::min(blockBytes, size - at)));
    }
    for (const auto backend : {HashBackend::openssl, HashBackend::multiBuffer}) {
      if (!hashBackendWorks(backend)) continue;
      std::vector<Digest> digests(expected.size());
      sha256Blocks(backend, data, blockBytes, digests);
      RC_ASSERT(digests == expected);
    }
    std::vector<Digest> digests(expected.size());
    sha256Blocks(data, blockBytes, digests);
    RC_ASSERT(digests == expected);
  };
  for (const std::size_t size : {0, 1, 55, 56, 63, 64, 65, 16383, 16384, 16385, 32767, 32768}) {
    check(size, kBlock);
  }
  CHECK(rc::check([&] { check(*rc::gen::inRange<std::size_t>(0, 700'000), kBlock); }));
  CHECK(rc::check([&] {
    check(*rc::gen::inRange<std::size_t>(0, 9'000), *rc::gen::inRange<std::size_t>(1, 300));
  }));
}

TEST_CASE("the digest of no bytes and of abc are those of FIPS 180") {
  CHECK(toHex(sha256({}).view()) ==
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  const std::string abc = "abc";
  CHECK(toHex(sha256(std::as_bytes(std::span(abc))).view()) ==
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

TEST_CASE("pairs hashed in place give the same digests as hashed into another list") {
  for (const std::size_t pairs : {0, 1, 2, 5, 6, 63, 64, 65, 128, 1000}) {
    std::vector<Digest> nodes(2 * pairs);
    for (std::size_t i = 0; i < nodes.size(); ++i) nodes[i] = naiveSha(&i, sizeof i);
    std::vector<Digest> expected;
    for (std::size_t i = 0; i < pairs; ++i) expected.push_back(naiveSha(&nodes[2 * i], 64));
    std::vector<Digest> parents(pairs);
    sha256Pairs(nodes, parents);
    CHECK(parents == expected);
    sha256Pairs(nodes, std::span(nodes).first(pairs));
    nodes.resize(pairs);
    CHECK(nodes == expected);
  }
}

TEST_CASE("threads hash at the same time") {
  const auto data = randomBytes(3 * kMiB, 7);
  const auto root = naiveRoot(data);
  std::vector<int> right(4);
  {
    std::vector<std::jthread> threads;
    for (auto& mine : right) {
      threads.emplace_back([&] {
        for (int i = 0; i < 5; ++i) mine += hashInPieces(data, kMiB, kMiB).root == root;
      });
    }
  }
  CHECK(right == std::vector<int>{5, 5, 5, 5});
}

TEST_CASE("roots are those that Python's hashlib gives") {
  struct Vector {
    std::size_t size;
    const char* root;
  };
  const Vector vectors[] = {
      {0, "0000000000000000000000000000000000000000000000000000000000000000"},
      {1, "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
      {16383, "edca85df79038995a58a29cde47a400ca9ea42705a52c68bc6b54662d0056e5e"},
      {16384, "c85be998ed1656d19fe8482f1191453f9806de55b305213736d8ffad240739fc"},
      {16385, "0a057fb4022b5706c242106efaa171fc7fd5492239f0935f4ddd980fde8455f8"},
      {49152, "e6c6132787ded53e065a4f23d70aa36c43d9262af64f84dfaf4ac4bb6f3a992a"},
      {1048575, "e7da288b3c01d7245477156007f3b2e3f587b585468e0aa170f21914574a8a47"},
      {1048576, "b69c5a8d8e3b81edf2832457191a487787752c109355636d40929991f1cff568"},
      {1048577, "522499345e9c1216f5b0c1ff42584dcbf25d9f9e9272887ff3f654a32bab7453"},
      {3145728, "7e6b9f66c6e36aa5509c6703b0e10bbc49ab0ba9992664f101b6e86344e2412b"},
      {5242897, "b86bd80a7dc33f0c368c7f2112c7cb8b436e07bace7c350d2472e3d913c7b1d4"},
  };
  for (const auto& known : vectors) {
    CAPTURE(known.size);
    FileHasher hasher(known.size);
    hasher.update(patterned(known.size));
    CHECK(toHex(hasher.finish().root.view()) == known.root);
  }
}

TEST_CASE("roots are those that libtorrent gives, around every boundary") {
  const auto data = patterned(std::ranges::max(test::kRoots, {}, &test::RootOfSize::size).size);
  for (const auto& known : test::kRoots) {
    CAPTURE(known.size);
    FileHasher hasher(known.size);
    hasher.update(std::span(data).first(known.size));
    const auto hashes = hasher.finish();
    REQUIRE(toHex(hashes.root.view()) == known.root);
    REQUIRE(chunkListMatches(hashes.root, known.size, hashes.chunkBytes, hashes.chunks));
  }
}

TEST_CASE("any bytes have the same digests by both backends, and by OpenSSL's other API") {
  const auto check = [](std::size_t size, std::uint64_t seed) {
    CAPTURE(size);
    const auto data = randomBytes(size, seed);
    const std::size_t count = size / kBlock + (size % kBlock != 0);
    std::vector<Digest> wanted;
    for (std::size_t i = 0; i < count; ++i) {
      wanted.push_back(
          naiveSha(data.data() + i * kBlock, std::min<std::size_t>(kBlock, size - i * kBlock)));
    }
    for (const auto backend : {HashBackend::openssl, HashBackend::multiBuffer}) {
      if (!hashBackendWorks(backend)) continue;
      std::vector<Digest> digests(count);
      sha256Blocks(backend, data, kBlock, digests);
      REQUIRE(digests == wanted);
    }
    REQUIRE(sha256(data) == naiveSha(data.data(), data.size()));
  };
  for (const std::size_t size : {0, 1, 55, 56, 63, 64, 65, 16383, 16384, 16385, 32767, 32768, 32769,
                                 98304, 262143, 262144, 262145}) {
    check(size, size);
  }
  rc::check("of any length", [&] {
    const auto size = *rc::gen::inRange<std::size_t>(0, 40 * kBlock);
    check(size, *rc::gen::arbitrary<std::uint64_t>());
  });
}

TEST_CASE("root and chunk list are right around every boundary") {
  std::vector<std::size_t> sizes;
  for (const std::size_t blocks : {0, 1, 2, 3, 4, 5, 8, 9, 16, 17, 32, 33, 63, 64, 65, 128, 257}) {
    for (const std::size_t extra : {0, 1, 2, 100, 16383}) {
      sizes.push_back(blocks * kBlock + extra);
      if (blocks > 0) sizes.push_back(blocks * kBlock - 1);
    }
  }
  for (const std::size_t size : sizes) {
    const auto file = patterned(size);
    for (const std::uint64_t chunk : {kBlock, 2 * kBlock, 4 * kBlock, 8 * kBlock, kMiB}) {
      checkTree(file, chunk, chunk);
    }
  }
}

TEST_CASE("root and chunk list are right for whole and half chunks of a mebibyte") {
  for (const std::size_t chunks : {1, 2, 3, 4, 5, 8, 9}) {
    for (const int extra : {-1, 0, 1}) {
      checkTree(patterned(static_cast<std::size_t>(static_cast<long>(chunks * kMiB) + extra)), kMiB,
                256 * 1024);
    }
  }
}

TEST_CASE("a file has the same root in whatever pieces it is read") {
  CHECK(rc::check([] {
    const auto size = *rc::gen::inRange<std::size_t>(0, 40 * kBlock);
    const auto piece = *rc::gen::inRange<std::size_t>(1, 5 * kBlock);
    const auto file = patterned(size);
    const auto hashes = hashInPieces(file, 4 * kBlock, piece);
    RC_ASSERT(hashes.root == naiveRoot(file));
    RC_ASSERT(hashes.chunks == naiveChunks(file, 4 * kBlock));
  }));
}

TEST_CASE("a chunk that arrives in pieces has the hash of the whole, and the hasher serves again") {
  const auto file = patterned(5 * kBlock + 77);
  ChunkHasher hasher(4 * kBlock, file.size());
  for (int round = 0; round < 2; ++round) {
    for (std::size_t at = 0; at < 4 * kBlock; at += 1000) {
      hasher.update(std::span(file).subspan(at, std::min<std::size_t>(1000, 4 * kBlock - at)));
    }
    CHECK(hasher.bytesSoFar() == 4 * kBlock);
    CHECK(hasher.finish() == naiveChunks(file, 4 * kBlock)[0]);
    hasher.update(std::span(file).subspan(4 * kBlock));
    CHECK(hasher.finish() == naiveChunks(file, 4 * kBlock)[1]);
  }
}

TEST_CASE("only the file's own list of chunk hashes matches") {
  const auto file = patterned(9 * kBlock + 1);
  const auto hashes = hashInPieces(file, 2 * kBlock, kBlock);
  const auto matches = [&](std::vector<Digest> chunks, std::uint64_t size, std::uint64_t chunk) {
    return chunkListMatches(hashes.root, size, chunk, chunks);
  };
  REQUIRE(matches(hashes.chunks, file.size(), 2 * kBlock));
  for (std::size_t i = 0; i < hashes.chunks.size(); ++i) {
    auto damaged = hashes.chunks;
    damaged[i].bytes[31] ^= 1;
    CHECK_FALSE(matches(damaged, file.size(), 2 * kBlock));
  }
  auto shorter = hashes.chunks;
  shorter.pop_back();
  CHECK_FALSE(matches(shorter, file.size(), 2 * kBlock));
  auto swapped = hashes.chunks;
  std::swap(swapped[0], swapped[1]);
  CHECK_FALSE(matches(swapped, file.size(), 2 * kBlock));
  CHECK_FALSE(matches(hashes.chunks, 20 * kBlock, 4 * kBlock));
  for (const std::uint64_t bad : {0ull, 1ull, 3ull, 8192ull, 49152ull, 1ull << 40, ~0ull}) {
    CHECK_FALSE(matches(hashes.chunks, file.size(), bad));
  }
  CHECK(chunkListMatches(FileRoot{}, 0, kMiB, {}));
  CHECK_FALSE(chunkListMatches(FileRoot{}, 1, kMiB, {}));
}

TEST_CASE("chunks are powers of two, and their list stays small") {
  CHECK(chunkBytesFor(0) == kMiB);
  CHECK(chunkBytesFor(kMiB) == kMiB);
  CHECK(chunkBytesFor(4096 * kMiB) == kMiB);
  CHECK(chunkBytesFor(4096 * kMiB + 1) == 2 * kMiB);
  CHECK(chunkBytesFor(limits::kFileBytes) == 16 * kMiB);
  CHECK(chunkBytesFor(~0ull) == 16 * kMiB);
  CHECK(chunkCount(0, kMiB) == 0);
  CHECK(chunkCount(1, kMiB) == 1);
  CHECK(chunkCount(kMiB, kMiB) == 1);
  CHECK(chunkCount(kMiB + 1, kMiB) == 2);
  CHECK(rc::check([] {
    const auto size = *rc::gen::inRange<std::uint64_t>(0, 65536 * kMiB);
    const auto chunk = chunkBytesFor(size);
    RC_ASSERT(isChunkBytes(chunk));
    RC_ASSERT(chunkCount(size, chunk) <= limits::kChunksWanted);
  }));
}

// import hmac, hashlib, struct
// nonces = [bytes(range(16)), bytes(range(100, 116))]
// parts = [b'espalier cluster proof 1', b'dialler', *nonces, b'm5010']
// text = b''.join(struct.pack('>I', len(part)) + part for part in parts)
// hmac.new(b'open sesame', text, hashlib.sha256).hexdigest()          (and with b'dialled')
TEST_CASE("a proof of the cluster's secret is an HMAC of both nonces, the end and the name") {
  ClusterNonce diallers{};
  ClusterNonce dialleds{};
  for (std::uint8_t i = 0; i < diallers.size(); ++i) {
    diallers[i] = i;
    dialleds[i] = static_cast<std::uint8_t>(100 + i);
  }
  const auto name = *ServerName::parse("m5010");
  const auto hex = [](const ClusterProof& proof) {
    return toHex({reinterpret_cast<const char*>(proof.data()), proof.size()});
  };
  const auto proof = clusterProof("open sesame", diallers, dialleds, true, name);
  CHECK(hex(proof) == "8f9646c9321f7aff45f5fb2e8724edf162f57d96f2ef296a86c5d8ff49bdcab0");
  CHECK(hex(clusterProof("open sesame", diallers, dialleds, false, name)) ==
        "0a7d421d94f38c0c45362bc062b7ea2ee1c4e213b56dc4c7bac30e97371c4eb0");
  CHECK(proof != clusterProof("open sesame", dialleds, diallers, true, name));
  CHECK(proof != clusterProof("open sesame", diallers, dialleds, true, *ServerName::parse("m501")));
  CHECK(proof != clusterProof("open sesam", diallers, dialleds, true, name));
  CHECK(proof != clusterProof("", diallers, dialleds, true, name));
}

TEST_CASE("two proofs are the same if all their bytes are") {
  const ClusterProof proof =
      clusterProof("secret", ClusterNonce{}, ClusterNonce{}, true, *ServerName::parse("m"));
  CHECK(isSameProof(proof, ClusterProof(proof)));
  for (std::size_t i = 0; i < proof.size(); ++i) {
    ClusterProof other = proof;
    other[i] ^= 0x80;
    CHECK_FALSE(isSameProof(proof, other));
  }
}

// The last test, because it holds for all threads that have not hashed yet.
TEST_CASE("a processor with SHA-NI alone gives the same digests") {
  internal::multiBufferWithoutAvx();
  std::thread([] {
    if (!hashBackendWorks(HashBackend::multiBuffer)) return;
    for (const std::size_t size : {0, 1, 63, 16383, 16384, 16385, 700'001}) {
      const auto data = randomBytes(size, size);
      std::vector<Digest> expected((size + kBlock - 1) / kBlock);
      std::vector<Digest> digests(expected.size());
      sha256Blocks(HashBackend::openssl, data, kBlock, expected);
      sha256Blocks(HashBackend::multiBuffer, data, kBlock, digests);
      CHECK(digests == expected);
    }
  }).join();
}
