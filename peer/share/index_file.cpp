#include "peer/share/index_file.h"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

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

Result<void> writeAll(int descriptor, std::string_view bytes, const fs::path& file) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return systemError("cannot write " + file.string(), errno);
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return {};
}

}  // namespace

Result<void> replaceFile(const fs::path& file, std::string_view bytes, Sync sync) {
  const std::string temporary = file.string() + ".new";
  const FileDescriptor descriptor(::open(
      temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR));
  if (!descriptor) return systemError("cannot write " + temporary, errno);
  auto written = writeAll(descriptor.get(), bytes, temporary);
  if (written && sync == Sync::yes && ::fdatasync(descriptor.get()) != 0) {
    written = systemError("cannot sync " + temporary, errno);
  }
  if (written && std::rename(temporary.c_str(), file.c_str()) != 0) {
    written = systemError("cannot rename " + temporary, errno);
  }
  if (!written) ::unlink(temporary.c_str());
  return written;
}

Result<std::string> readWhole(const fs::path& file, std::size_t limitBytes) {
  const FileDescriptor descriptor(::open(file.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!descriptor && errno == ENOENT) return Error{ErrorCode::failed, "no " + file.string()};
  struct stat status {};
  if (!descriptor || ::fstat(descriptor.get(), &status) != 0) {
    return systemError("cannot read " + file.string(), errno);
  }
  if (!S_ISREG(status.st_mode)) return damaged(file, "not a file");
  if (fileStat(status).sizeBytes > limitBytes) return damaged(file, "too large");
  std::string bytes(static_cast<std::size_t>(status.st_size), '\0');
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t got = ::read(descriptor.get(), bytes.data() + done, bytes.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return systemError("cannot read " + file.string(), errno);
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  bytes.resize(done);
  return bytes;
}

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
  return replaceFile(file, bytes, Sync::no);
}

Result<std::vector<Remembered>> loadIndex(const fs::path& file) {
  auto read = readWhole(file, kFrontBytes + kRecords * kRecordBytes + Digest::kSizeBytes);
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
