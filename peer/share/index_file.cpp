#include "peer/share/index_file.h"

#include <algorithm>

#include "common/base/file.h"
#include "common/base/limits.h"
#include "common/crypto/sha256.h"

namespace espalier::share {
namespace {

constexpr std::string_view kMagic = "ESPINDX1";
constexpr std::size_t kRecordBytes = 3 * 8 + Digest::kSizeBytes;
constexpr std::size_t kFrontBytes = kMagic.size() + 8;
constexpr std::size_t kRecords = 2 * limits::kSharedFiles;

void put(std::string& bytes, std::uint64_t number) {
  for (int shift = 0; shift < 64; shift += 8) bytes.push_back(static_cast<char>(number >> shift));
}

std::uint64_t get(std::string_view bytes) {
  std::uint64_t number = 0;
  for (std::size_t i = 8; i-- > 0;) number = number << 8 | static_cast<std::uint8_t>(bytes[i]);
  return number;
}

Digest digestOf(std::string_view bytes) {
  return crypto::sha256(std::as_bytes(std::span(bytes)));
}

Error damaged(const fs::path& file, std::string_view why) {
  return {ErrorCode::io, file.string() + " is damaged (" + std::string(why) + ")"};
}

Remembered parseRecord(std::string_view record) {
  Remembered one;
  one.stat = {get(record.substr(8)), static_cast<std::int64_t>(get(record.substr(16))),
              get(record)};
  std::copy_n(record.begin() + 24, Digest::kSizeBytes,
              reinterpret_cast<char*>(one.root.bytes.data()));
  return one;
}

}  // namespace

Result<void> saveIndex(const fs::path& file, std::span<const Remembered> files) {
  files = files.first(std::min(files.size(), kRecords));
  std::string bytes;
  bytes.reserve(kFrontBytes + files.size() * kRecordBytes + Digest::kSizeBytes);
  bytes += kMagic;
  put(bytes, files.size());
  for (const auto& one : files) {
    put(bytes, one.stat.inode);
    put(bytes, one.stat.sizeBytes);
    put(bytes, static_cast<std::uint64_t>(one.stat.mtimeNanos));
    bytes += one.root.view();
  }
  bytes += digestOf(bytes).view();
  return replaceFile(file.string(), bytes, Durability::soft, kPrivate);
}

Result<std::vector<Remembered>> loadIndex(const fs::path& file) {
  auto read = readFile(file.string(), kFrontBytes + kRecords * kRecordBytes + Digest::kSizeBytes);
  if (!read && read.error().code == ErrorCode::failed) return std::vector<Remembered>{};
  if (!read) return read.error();
  std::string_view bytes = *read;
  if (bytes.size() < kFrontBytes + Digest::kSizeBytes) return damaged(file, "too short");
  if (!bytes.starts_with(kMagic)) return damaged(file, "of another kind");
  const std::string_view digest = bytes.substr(bytes.size() - Digest::kSizeBytes);
  bytes.remove_suffix(Digest::kSizeBytes);
  if (digestOf(bytes).view() != digest) return damaged(file, "its checksum does not match");
  const std::uint64_t count = get(bytes.substr(kMagic.size()));
  bytes.remove_prefix(kFrontBytes);
  if (bytes.size() % kRecordBytes != 0 || bytes.size() / kRecordBytes != count) {
    return damaged(file, "of the wrong length");
  }
  std::vector<Remembered> files;
  files.reserve(count);
  for (; !bytes.empty(); bytes.remove_prefix(kRecordBytes)) {
    files.push_back(parseRecord(bytes.substr(0, kRecordBytes)));
  }
  return files;
}

}  // namespace espalier::share
