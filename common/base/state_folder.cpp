#include "common/base/state_folder.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <optional>

#include "common/base/file.h"
#include "common/base/fs.h"
#include "common/base/limits.h"
#include "common/base/state_version.h"
#include "common/base/text.h"

namespace espalier {
namespace {

constexpr off_t kKeyBytes = 33;  // 32 hexadecimal digits and a line feed

// The status of a regular file in that folder.
std::optional<struct stat> regularFile(int folder, const char* name) {
  struct stat status {};
  if (::fstatat(folder, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return std::nullopt;
  return S_ISREG(status.st_mode) ? std::optional(status) : std::nullopt;
}

// The size of a file that only its owner may read.
std::optional<off_t> privateSize(int folder, const char* name) {
  const auto status = regularFile(folder, name);
  const bool isPrivate = status && (status->st_mode & (S_IRWXG | S_IRWXO)) == 0;
  return isPrivate ? std::optional(status->st_size) : std::nullopt;
}

std::string markerLine() {
  return fmt::format("{} {}\n", kStateMarker, kStateVersion);
}

Error refusal(const std::string& path, std::string_view why) {
  return {ErrorCode::configuration, fmt::format("the state folder {} {}", escaped(path), why)};
}

Error belongsTo(uid_t owner, const std::string& path) {
  return refusal(
      path, fmt::format("belongs to another user (uid {}, this program runs as uid {}): run it "
                        "as that user, or keep the state elsewhere with --state DIR",
                        owner, ::geteuid()));
}

// Errors: `failed` for no folder there.
Result<FileDescriptor> openIt(const std::string& path) {
  FileDescriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder) return folder;
  const int reason = errno;
  struct stat status {};
  // The reason for a user who may not even list the folder.
  if (reason == EACCES && ::stat(path.c_str(), &status) == 0 && status.st_uid != ::geteuid()) {
    return belongsTo(status.st_uid, path);
  }
  Error error = systemError("cannot open the folder " + escaped(path), reason);
  if (reason == ENOENT) error.code = ErrorCode::failed;
  return error;
}

Result<void> checkOwner(int folder, const std::string& path) {
  struct stat status {};
  if (::fstat(folder, &status) != 0) {
    return systemError("cannot look at the folder " + escaped(path), errno);
  }
  if (status.st_uid != ::geteuid()) return belongsTo(status.st_uid, path);
  if ((status.st_mode & (S_IWGRP | S_IWOTH)) == 0) return {};
  return refusal(path,
                 fmt::format("can be written by others (mode {:04o}): chmod go-w takes that away",
                             status.st_mode & 07777u));
}

Result<void> checkMarker(int folder, const std::string& path) {
  const auto text = readFile(pathIn(folder, kStateMarker), limits::kMarkerBytes);
  // Empty: the machine lost power before the line was on the disk.
  if ((text && text->empty()) || (!text && text.error().code == ErrorCode::failed)) return {};
  const auto version = text ? textVersion(*text, kStateMarker) : std::nullopt;
  const std::string marker = fmt::format("{}/{}", path, kStateMarker);
  if (version) return checkStateVersion(marker, *version, kStateVersion);
  return Error{ErrorCode::configuration,
               fmt::format("{} is damaged: it should be a file that begins with \"{} VERSION\"; "
                           "removed, it is made again",
                           escaped(marker), kStateMarker)};
}

// A folder of an older version, or one that a user has just made, gets its marker.
Result<void> mark(int folder, const std::string& path) {
  const auto marker = regularFile(folder, kStateMarker);
  if (marker && marker->st_size > 0) return {};
  const auto marked =
      replaceFile(pathIn(folder, kStateMarker), markerLine(), Durability::soft, kPrivate);
  // On a full disk it is still recognised by its files.
  if (marked || isStateFolder(folder)) return {};
  return Error{marked.error().code, fmt::format("cannot mark {} as a state folder: {}",
                                                escaped(path), marked.error().message)};
}

// Under another name first, so that the folder is never seen without its marker. Peers do not share
// that name either.
Result<void> make(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  const auto slash = path.rfind('/');
  const std::string above = slash == std::string::npos ? "" : path.substr(0, slash + 1);
  boost::system::error_code failure;
  if (!above.empty()) makeFolders(above, failure);
  if (failure) return systemError("cannot make the folder " + escaped(above), failure.value());
  std::string fresh = above + ".espalier-new-XXXXXX";
  if (::mkdtemp(fresh.data()) == nullptr) {
    return systemError("cannot make the folder " + escaped(path), errno);
  }
  const std::string marker = fmt::format("{}/{}", fresh, kStateMarker);
  const auto marked = replaceFile(marker, markerLine(), Durability::soft, kPrivate);
  if (marked && ::rename(fresh.c_str(), path.c_str()) == 0) return {};
  const int reason = errno;
  ::unlink(marker.c_str());
  ::rmdir(fresh.c_str());
  if (!marked) return marked;
  // Another program made it first.
  if (reason == ENOTEMPTY || reason == EEXIST || reason == ENOTDIR) return {};
  return systemError("cannot make the folder " + escaped(path), reason);
}

}  // namespace

std::string pathIn(int folder, std::string_view name) {
  return fmt::format("/proc/self/fd/{}/{}", folder, name);
}

bool isStateFolder(int folder) {
  if (regularFile(folder, kStateMarker)) return true;
  // Those of version 1 without a marker.
  if (privateSize(folder, "instance.key") == kKeyBytes) return true;
  return privateSize(folder, "control.lock") == 0;
}

bool isStateFolder(const std::string& path) {
  const FileDescriptor folder(::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  return folder && isStateFolder(folder.get());
}

bool isInStateFolder(const std::string& path) {
  for (auto end = path.find('/', 1); end != std::string::npos; end = path.find('/', end + 1)) {
    if (isStateFolder(path.substr(0, end))) return true;
  }
  return isStateFolder(path);
}

Result<FileDescriptor> findStateFolder(const std::string& path) {
  auto folder = openIt(path);
  if (!folder) return folder;
  if (const auto owned = checkOwner(folder->get(), path); !owned) return owned.error();
  if (const auto known = checkMarker(folder->get(), path); !known) return known.error();
  return folder;
}

Result<FileDescriptor> openStateFolder(const std::string& path) {
  auto folder = findStateFolder(path);
  if (!folder && folder.error().code == ErrorCode::failed) {
    if (const auto made = make(path); !made) return made.error();
    folder = findStateFolder(path);
    if (!folder && folder.error().code == ErrorCode::failed) {
      return Error{ErrorCode::io, folder.error().message};
    }
  }
  if (!folder) return folder;
  if (const auto marked = mark(folder->get(), path); !marked) return marked.error();
  return folder;
}

}  // namespace espalier
