// The part of a fetch and its journal, as an earlier run has left them, damaged or made by an
// attacker. What is resumed must be right, a journal of a newer version must stay as it is, and the
// file that is published at last must be the whole one.
#include <fcntl.h>

#include <algorithm>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "common/base/log.h"
#include "common/crypto/file_tree.h"
#include "peer/transfer/journal.h"
#include "peer/transfer/part_file.h"
#include "tests/fuzz/choices.h"
#include "tests/fuzz/scratch_folder.h"

using namespace espalier;
using namespace espalier::transfer;

namespace {

constexpr std::uint64_t kChunk = 2 * limits::kBlockBytes;
constexpr std::uint64_t kFile = 3 * kChunk + 1000;

struct TrueFile {
  std::string bytes;
  ChunkPlan plan;

  TrueFile() {
    for (std::uint64_t i = 0; i < kFile; ++i) bytes.push_back(static_cast<char>(i * 31 + i / 251));
    plan = cutInto(kChunk);
  }
  std::span<const std::byte> part(std::uint64_t at, std::uint64_t size = kChunk) const {
    return std::as_bytes(std::span(bytes)).subspan(at, std::min(size, kFile - at));
  }
  ChunkPlan cutInto(std::uint64_t chunkBytes) const {
    ChunkPlan cut;
    cut.sizeBytes = kFile;
    cut.chunkBytes = chunkBytes;
    for (std::uint64_t at = 0; at < kFile; at += chunkBytes) {
      cut.hashes.push_back(crypto::chunkHash(part(at, chunkBytes), chunkBytes, kFile));
    }
    cut.root = crypto::merkleRoot(cut.hashes, chunkBytes);
    fuzz::require(cut.matches(), "the plan belongs to the file");
    return cut;
  }
};

// Changes some bytes, and cuts or extends it.
std::string damaged(std::string bytes, fuzz::Choices& choices) {
  for (auto count = choices.below(8); count > 0 && !bytes.empty(); --count) {
    const auto at = choices.below(bytes.size());
    for (const char c : choices.take(choices.below(4))) bytes[at] = c;
  }
  if (choices.oneIn(4)) bytes.resize(choices.below(bytes.size() + 64));
  return bytes;
}

void resume(const TrueFile& file, const std::shared_ptr<const PartFolder>& folder,
            const fuzz::ScratchFolder& scratch, const std::string& journal) {
  const std::string name = toHex(file.plan.root.view());
  auto part = PartFile::open(folder, file.plan.root, kFile);
  if (!part) {
    fuzz::require(part.error().code == ErrorCode::configuration, "only a newer version is refused");
    fuzz::require(journal.starts_with("ESPJRNL") && scratch.read(name + ".journal") == journal,
                  "and its journal stays as it is");
    return;
  }
  if (const auto& earlier = part->earlierPlan()) {
    fuzz::require(earlier->root == file.plan.root && earlier->matches(), "a plan of this file");
  }
  const auto held = part->begin(file.plan, std::stop_token());
  fuzz::require(held.ok(), "it begins");
  const auto onDisk = scratch.read(name + ".part");
  std::vector<char> has(file.plan.hashes.size());
  for (const auto chunk : *held) {
    fuzz::require(chunk < has.size() && has[chunk] == 0, "each chunk once");
    has[chunk] = 1;
    const auto at = file.plan.offset(chunk);
    const auto bytes = file.plan.bytesOf(chunk);
    fuzz::require(onDisk.compare(at, bytes, file.bytes, at, bytes) == 0, "what is held is right");
  }
  for (std::uint64_t chunk = 0; chunk < has.size(); ++chunk) {
    if (has[chunk] == 0) {
      fuzz::require(part->write(chunk, file.part(file.plan.offset(chunk))).ok(), "it is written");
    }
  }
  const auto now = Journal::parse(scratch.read(name + ".journal"), file.plan.root, kFile);
  fuzz::require(now && now->plan.hashes == file.plan.hashes &&
                    std::count(now->marks.begin(), now->marks.end(), 0) == 0,
                "the journal says that everything is there");
  const auto published = part->publish(folder->descriptor.get(), "whole", true);
  fuzz::require(published.ok() && *published, "it is published");
  fuzz::require(scratch.read("whole") == file.bytes, "the whole file");
  fuzz::require(scratch.read(name + ".journal").empty(), "its journal is gone");
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static const TrueFile file;
  static const ChunkPlan other = file.cutInto(2 * kChunk);
  static const fuzz::ScratchFolder scratch;
  static const auto folder = std::make_shared<const PartFolder>(
      PartFolder{FileDescriptor(::open(scratch.path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)),
                 scratch.path()});
  log::setLevel(log::Level::none);
  const std::string name = toHex(file.plan.root.view());
  fuzz::Choices choices(fuzz::view(data, size));

  scratch.remove(name + ".part");
  scratch.remove(name + ".journal");
  if (!choices.oneIn(8)) scratch.write(name + ".part", damaged(file.bytes, choices));
  std::string journal;
  if (!choices.oneIn(8)) {
    const auto& plan = choices.oneIn(8) ? other : file.plan;
    std::vector<char> marks(plan.hashes.size());
    for (auto& mark : marks) mark = static_cast<char>(choices.below(3));
    journal = Journal::format(plan, marks);
    journal = choices.oneIn(8) ? std::string(choices.rest()) : damaged(journal, choices);
    const auto read = Journal::parse(journal, file.plan.root, kFile);
    fuzz::require(!read || Journal::format(read->plan, read->marks) == journal,
                  "a journal reads back");
    scratch.write(name + ".journal", journal);
  }
  resume(file, folder, scratch, journal);
  return 0;
}
