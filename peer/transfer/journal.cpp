#include "peer/transfer/journal.h"

#include "common/base/state_version.h"
#include "common/crypto/file_tree.h"

namespace espalier::transfer {
namespace {

constexpr std::string_view kKind = "ESPJRNL";
constexpr std::string_view kMagic = "ESPJRNL1";
constexpr unsigned kVersion = 1;

void appendNumber(std::uint64_t value, std::string& out) {
  for (int i = 0; i < 8; ++i) out.push_back(static_cast<char>(value >> 8 * i));
}

std::uint64_t readNumber(std::string_view raw) {
  std::uint64_t value = 0;
  for (std::size_t i = 8; i-- > 0;) value = value << 8 | static_cast<unsigned char>(raw[i]);
  return value;
}

}  // namespace

std::string Journal::format(const ChunkPlan& plan, const std::vector<char>& marks) {
  std::string raw(kMagic);
  raw += plan.root.view();
  appendNumber(plan.sizeBytes, raw);
  appendNumber(plan.chunkBytes, raw);
  for (const auto& hash : plan.hashes) raw += hash.view();
  raw.append(marks.begin(), marks.end());
  return raw;
}

std::optional<Journal> Journal::parse(std::string_view text, const FileRoot& root,
                                      std::uint64_t sizeBytes) {
  if (text.size() < kHeaderBytes || text.size() > kMostBytes) return std::nullopt;
  if (!text.starts_with(kMagic) || text.substr(8, Digest::kSizeBytes) != root.view()) {
    return std::nullopt;
  }
  Journal journal{{root, readNumber(text.substr(40)), readNumber(text.substr(48)), {}}, {}};
  ChunkPlan& plan = journal.plan;
  if (plan.sizeBytes != sizeBytes || !crypto::isChunkBytes(plan.chunkBytes)) return std::nullopt;
  const std::uint64_t chunks = crypto::chunkCount(sizeBytes, plan.chunkBytes);
  if (text.size() != kHeaderBytes + chunks * (Digest::kSizeBytes + 1)) return std::nullopt;
  for (std::uint64_t i = 0; i < chunks; ++i) {
    plan.hashes.push_back(
        *Digest::fromRaw(text.substr(kHeaderBytes + i * Digest::kSizeBytes, Digest::kSizeBytes)));
  }
  if (!plan.matches()) return std::nullopt;
  const auto marks = text.substr(kHeaderBytes + chunks * Digest::kSizeBytes);
  journal.marks.assign(marks.begin(), marks.end());
  return journal;
}

Result<void> Journal::checkVersion(std::string_view path, std::string_view text) {
  const auto version = binaryVersion(text, kKind);
  return version ? checkStateVersion(path, *version, kVersion) : Result<void>();
}

}  // namespace espalier::transfer
