// The hashes of a file's chunks: as a peer sends them, in parts, and as they lie in the cache of
// the share. What is believed must belong to the root.
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "common/base/log.h"
#include "common/crypto/file_tree.h"
#include "common/wire/transfer.h"
#include "peer/share/chunk_lists.h"
#include "peer/transfer/core/chunk_plan.h"
#include "tests/fuzz/choices.h"
#include "tests/fuzz/scratch_folder.h"

using namespace espalier;
using transfer::ChunkListParts;
using transfer::ChunkPlan;

namespace {

constexpr std::uint64_t kChunks = 40;
constexpr int kMostParts = 64;

// A file that nobody has, but whose list is right.
ChunkPlan planOf(std::uint64_t sizeBytes) {
  ChunkPlan plan;
  plan.sizeBytes = sizeBytes;
  plan.chunkBytes = crypto::chunkBytesFor(sizeBytes);
  for (std::uint64_t i = 0; i < crypto::chunkCount(sizeBytes, plan.chunkBytes); ++i) {
    Digest hash;
    hash.bytes.fill(static_cast<std::uint8_t>(i + 1));
    plan.hashes.push_back(hash);
  }
  plan.root = crypto::merkleRoot(plan.hashes, plan.chunkBytes);
  fuzz::require(plan.matches(), "the list belongs to the root");
  return plan;
}

Digest someHash(const ChunkPlan& plan, std::uint64_t at, fuzz::Choices& choices) {
  Digest hash;
  if (at < plan.hashes.size()) hash = plan.hashes[at];
  if (choices.below(64) == 1) hash.bytes[choices.below(32)] ^= 1;
  return hash;
}

// A true part of the list, or nearly, as it arrives. Nothing: it is no valid message.
std::optional<wire::ChunkList> partOf(const ChunkPlan& plan, std::uint64_t next,
                                      fuzz::Choices& choices) {
  wire::ChunkList part;
  part.size = choices.below(32) == 1 ? choices.below(limits::kFileBytes) : plan.sizeBytes;
  part.chunkBytes = choices.below(32) == 1 ? 1ull << choices.below(40) : plan.chunkBytes;
  part.first = choices.below(16) == 1 ? choices.below(2 * kChunks) : next;
  const auto count = choices.below(kChunks + 8);
  for (std::uint64_t i = 0; i < count; ++i) {
    part.hashes.push_back(someHash(plan, part.first + i, choices));
  }
  auto arrived = wire::decodeTransferAnswer(wire::encode(wire::TransferAnswer(part)));
  if (!arrived) return std::nullopt;
  return std::get<wire::ChunkList>(*std::move(arrived));
}

void receive(const ChunkPlan& plan, fuzz::Choices& choices) {
  ChunkListParts parts(plan.root, plan.sizeBytes, choices.oneIn(2) ? plan.chunkBytes : 0);
  std::uint64_t next = 0;
  for (int i = 0; i < kMostParts; ++i) {
    const auto part = partOf(plan, next, choices);
    if (!part) continue;
    const auto added = parts.add(*part);
    next = part->first + part->hashes.size();
    if (added == ChunkListParts::Added::more) {
      fuzz::require(next < plan.hashes.size() || part->chunkBytes < plan.chunkBytes,
                    "no list is longer than its file");
      continue;
    }
    if (added == ChunkListParts::Added::complete) {
      const auto got = parts.take();
      fuzz::require(got.matches() && got.root == plan.root, "a complete list belongs to the root");
      fuzz::require(got.sizeBytes == plan.sizeBytes && got.hashes == plan.hashes, "and is the one");
    } else {
      fuzz::require(!transfer::describe(added).empty(), "what is wrong is said");
    }
    return;
  }
}

void readCache(const ChunkPlan& plan, fuzz::Choices& choices) {
  static const fuzz::ScratchFolder scratch;
  const std::string hex = toHex(plan.root.view());
  const std::string name = hex.substr(0, 2) + "/" + hex.substr(2);
  fs::create_directory(fs::path(scratch.path()) / hex.substr(0, 2));
  std::string bytes;
  for (std::uint64_t i = 0; i < plan.hashes.size(); ++i) {
    bytes += someHash(plan, i, choices).view();
  }
  if (choices.oneIn(4)) bytes.resize(choices.below(bytes.size() + 64));
  if (choices.oneIn(8)) bytes = choices.rest();
  scratch.write(name, bytes);

  share::ChunkLists lists(scratch.path());
  const auto found = lists.find(plan.root, plan.sizeBytes);
  fuzz::require(!found || *found == plan.hashes, "a cached list belongs to the root");
  fuzz::require(lists.find(plan.root, plan.sizeBytes) == found, "and stays the same");
  if (choices.oneIn(16)) {
    fuzz::require(lists.store(plan.root, plan.hashes).ok(), "a damaged list is replaced");
    share::ChunkLists later(scratch.path());
    fuzz::require(later.find(plan.root, plan.sizeBytes) == plan.hashes, "by the right one");
    later.keepOnly([](const FileRoot&) { return false; });
    share::ChunkLists last(scratch.path());
    fuzz::require(!last.find(plan.root, plan.sizeBytes), "until the file is shared no more");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const ChunkPlan small = planOf(3 * limits::kChunkBytesMin - 5);
  static const ChunkPlan large = planOf(kChunks * limits::kChunkBytesMin);
  log::setLevel(log::Level::none);
  fuzz::Choices choices(fuzz::view(data, size));
  const auto& plan = choices.oneIn(2) ? small : large;
  if (choices.oneIn(2)) {
    receive(plan, choices);
  } else {
    readCache(plan, choices);
  }
  return 0;
}
