#include "peer/share/index_file.h"

#include <algorithm>

#include "common/base/file.h"
#include "common/base/limits.h"
#include "common/base/state_version.h"
#include "common/crypto/sha256.h"

namespace espalier::share {
namespace {

constexpr std::string_view kKind = "ESPINDX";
constexpr std::string_view kMagic = "ESPINDX2";
constexpr unsigned kIndexVersion = 2;

// The sizes of one version of the format.
struct Layout {
  std::size_t frontBytes = kMagic.size() + Digest::kSizeBytes + 8;
  std::size_t recordBytes = 5 * 8 + Digest::kSizeBytes;
};
constexpr Layout kNow;
constexpr Layout kFirst{kMagic.size() + 8, 3 * 8 + Digest::kSizeBytes};
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

FileRoot rootIn(std::string_view bytes) {
  FileRoot root;
  std::copy_n(bytes.begin(), Digest::kSizeBytes, reinterpret_cast<char*>(root.bytes.data()));
  return root;
}

KnownVersion parseFirst(std::string_view record) {
  return {{get(record.substr(8)), static_cast<std::int64_t>(get(record.substr(16))), get(record)},
          rootIn(record.substr(24))};
}

KnownVersion parseRecord(std::string_view record, bool sameBoot) {
  return {{get(record.substr(16)), static_cast<std::int64_t>(get(record.substr(24))),
           get(record.substr(8)), static_cast<std::int64_t>(get(record.substr(32))),
           sameBoot ? get(record) : 0},
          rootIn(record.substr(40))};
}

Digest bootDigest() {
  const auto id = readFile("/proc/sys/kernel/random/boot_id", 256);
  return digestOf(id ? *id : std::string());
}

}  // namespace

Result<void> saveIndex(const fs::path& file, std::span<const KnownVersion> files) {
  files = files.first(std::min(files.size(), kRecords));
  std::string bytes;
  bytes.reserve(kNow.frontBytes + files.size() * kNow.recordBytes + Digest::kSizeBytes);
  bytes += kMagic;
  bytes += bootDigest().view();
  put(bytes, files.size());
  for (const auto& one : files) {
    put(bytes, one.stat.device);
    put(bytes, one.stat.inode);
    put(bytes, one.stat.sizeBytes);
    put(bytes, static_cast<std::uint64_t>(one.stat.mtimeNanos));
    put(bytes, static_cast<std::uint64_t>(one.stat.ctimeNanos));
    bytes += one.root.view();
  }
  bytes += digestOf(bytes).view();
  return replaceFile(file.string(), bytes, Durability::soft, kPrivate);
}

Result<std::vector<KnownVersion>> loadIndex(const fs::path& file) {
  auto read =
      readFile(file.string(), kNow.frontBytes + kRecords * kNow.recordBytes + Digest::kSizeBytes);
  if (!read && read.error().code == ErrorCode::failed) return std::vector<KnownVersion>{};
  if (!read) return read.error();
  std::string_view bytes = *read;
  const auto version = binaryVersion(bytes, kKind);
  if (!version) return damaged(file, "of another kind");
  if (auto known = checkStateVersion(file.string(), *version, kIndexVersion); !known) {
    return known.error();
  }
  const Layout& layout = *version == 1 ? kFirst : kNow;
  if (bytes.size() < layout.frontBytes + Digest::kSizeBytes) return damaged(file, "too short");
  const std::string_view digest = bytes.substr(bytes.size() - Digest::kSizeBytes);
  bytes.remove_suffix(Digest::kSizeBytes);
  if (digestOf(bytes).view() != digest) return damaged(file, "its checksum does not match");
  const bool sameBoot =
      *version > 1 && bytes.substr(kMagic.size(), Digest::kSizeBytes) == bootDigest().view();
  const std::uint64_t count = get(bytes.substr(layout.frontBytes - 8));
  bytes.remove_prefix(layout.frontBytes);
  if (bytes.size() % layout.recordBytes != 0 || bytes.size() / layout.recordBytes != count) {
    return damaged(file, "of the wrong length");
  }
  std::vector<KnownVersion> files;
  files.reserve(count);
  for (; !bytes.empty(); bytes.remove_prefix(layout.recordBytes)) {
    const auto record = bytes.substr(0, layout.recordBytes);
    files.push_back(*version == 1 ? parseFirst(record) : parseRecord(record, sameBoot));
  }
  return files;
}

}  // namespace espalier::share
