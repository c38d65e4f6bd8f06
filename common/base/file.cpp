#include "common/base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "common/base/file_descriptor.h"
#include "common/base/limits.h"
#include "common/base/text.h"

namespace espalier {
namespace {

Error failed(std::string_view what, const std::string& path, int errnoValue) {
  return systemError(fmt::format("cannot {} {}", what, escaped(path)), errnoValue);
}

Error isOther(std::string_view what, const std::string& path, mode_t mode, ErrorCode code) {
  return {code, fmt::format("cannot {} {}: it is {}", what, escaped(path), kindOfFile(mode))};
}

// The path names an open file, such as /dev/stdout: there is no name to replace.
bool isOpenFile(const std::string& path) {
  return path.starts_with("/proc/");
}

// The end of the chain of symbolic links that begins at `path`, whether or not a file is there.
Result<std::string> behindLinks(std::string path) {
  for (int hops = 0; hops <= limits::kLinkHops; ++hops) {
    if (isOpenFile(path)) return path;
    std::string target(limits::kPathBytes, '\0');
    const ssize_t size = ::readlink(path.c_str(), target.data(), target.size());
    // EINVAL: no link.
    if (size < 0 && (errno == EINVAL || errno == ENOENT)) return path;
    if (size < 0) return failed("follow", path, errno);
    if (static_cast<std::size_t>(size) == target.size()) {
      return failed("follow", path, ENAMETOOLONG);
    }
    target.resize(static_cast<std::size_t>(size));
    const auto slash = path.rfind('/');
    if (!target.starts_with('/') && slash != std::string::npos) {
      target.insert(0, path, 0, slash + 1);
    }
    path = std::move(target);
  }
  return failed("follow", path, ELOOP);
}

// Does not block for long: a pipe may have no reader, or one that is stopped.
Result<void> writeInto(const std::string& path, std::string_view bytes) {
  const FileDescriptor file(
      ::open(path.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_APPEND | O_CLOEXEC));
  if (!file && errno == ENXIO) {
    return Error{ErrorCode::io, fmt::format("nobody reads from the pipe {}", escaped(path))};
  }
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) return failed("open", path, errno);
  if (!S_ISCHR(status.st_mode) && !S_ISFIFO(status.st_mode) && !S_ISREG(status.st_mode)) {
    return isOther("write into", path, status.st_mode, ErrorCode::io);
  }
  const int reason = writeAll(file.get(), bytes, limits::kDeviceWait);
  return reason == 0 ? Result<void>() : failed("write into", path, reason);
}

// Syncs the folder: only then is a new name on the disk.
bool syncFolderOf(const std::string& path) {
  const auto slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const FileDescriptor opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return opened && ::fsync(opened.get()) == 0;
}

}  // namespace

const char* kindOfFile(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR:
      return "a folder";
    case S_IFLNK:
      return "a symbolic link";
    case S_IFCHR:
    case S_IFBLK:
      return "a device";
    case S_IFIFO:
      return "a named pipe";
    case S_IFSOCK:
      return "a socket";
    default:
      return "a file";
  }
}

int writeAll(int descriptor, std::string_view bytes, std::chrono::milliseconds patience) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(descriptor, bytes.data(), bytes.size());
    if (written >= 0) {
      bytes.remove_prefix(static_cast<std::size_t>(written));
    } else if (errno == EAGAIN) {
      pollfd room{descriptor, POLLOUT, 0};
      const int ready = ::poll(&room, 1, static_cast<int>(patience.count()));
      if (ready == 0) return ETIMEDOUT;
      if (ready < 0 && errno != EINTR) return errno;
    } else if (errno != EINTR) {
      return errno;
    }
  }
  return 0;
}

Result<void> checkOutputFile(const std::string& path) {
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return {};
  const mode_t mode = status.st_mode;
  if (S_ISREG(mode) || S_ISCHR(mode) || S_ISFIFO(mode)) return {};
  return isOther("write", path, mode, ErrorCode::configuration);
}

Result<void> writeOutputFile(const std::string& path, std::string_view bytes, mode_t mode) {
  struct stat status {};
  const bool exists = ::stat(path.c_str(), &status) == 0;
  if (exists && (S_ISCHR(status.st_mode) || S_ISFIFO(status.st_mode))) {
    return writeInto(path, bytes);
  }
  const auto file = behindLinks(path);
  if (!file) return file.error();
  if (isOpenFile(*file)) return writeInto(path, bytes);
  return replaceFile(*file, bytes, Durability::soft, mode);
}

Result<void> replaceFile(const std::string& path, std::string_view bytes, Durability durability,
                         mode_t mode) {
  struct stat status {};
  if (::lstat(path.c_str(), &status) == 0 && !S_ISREG(status.st_mode) && !S_ISLNK(status.st_mode)) {
    return isOther("replace", path, status.st_mode, ErrorCode::io);
  }
  const std::string temporary = path + ".new";
  if (::unlink(temporary.c_str()) != 0 && errno != ENOENT) {
    return failed("replace", temporary, errno);
  }
  FileDescriptor file(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode));
  if (!file) return failed("create", temporary, errno);
  const auto giveUp = [&](std::string_view what, const std::string& where) {
    const int reason = errno;
    ::unlink(temporary.c_str());
    return failed(what, where, reason);
  };
  const bool durable = durability == Durability::durable;
  errno = writeAll(file.get(), bytes, {});
  if (errno != 0) return giveUp("write", temporary);
  if (durable && ::fsync(file.get()) != 0) return giveUp("sync", temporary);
  // Some file systems report a failed write only here.
  if (::close(file.release()) != 0) return giveUp("write", temporary);
  if (::rename(temporary.c_str(), path.c_str()) != 0) return giveUp("replace", path);
  if (durable && !syncFolderOf(path)) return failed("sync the folder of", path, errno);
  return {};
}

Result<std::string> readFile(const std::string& path, std::size_t mostBytes) {
  // Without O_NONBLOCK opening a named pipe would block.
  const FileDescriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  struct stat status {};
  if (!file || ::fstat(file.get(), &status) != 0) {
    const int reason = errno;
    Error error = failed("open", path, reason);
    if (reason == ENOENT) error.code = ErrorCode::failed;
    return error;
  }
  if (!S_ISREG(status.st_mode)) {
    return Error{ErrorCode::io, fmt::format("{} is no regular file", escaped(path))};
  }
  const Error tooLarge{ErrorCode::io,
                       fmt::format("{} is larger than {}", escaped(path), formatSize(mostBytes))};
  // The size of now; the file may grow meanwhile.
  const auto size = static_cast<std::size_t>(status.st_size);
  if (size > mostBytes) return tooLarge;
  std::string bytes;
  bytes.reserve(size + 1);
  char buffer[64 * 1024];
  while (true) {
    const ssize_t got = ::read(file.get(), buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed("read", path, errno);
    if (got == 0) return bytes;
    bytes.append(buffer, static_cast<std::size_t>(got));
    if (bytes.size() > mostBytes) return tooLarge;
  }
}

ssize_t readAt(int descriptor, std::span<std::byte> buffer, std::uint64_t offset) {
  std::size_t done = 0;
  while (done < buffer.size()) {
    const ssize_t got = ::pread(descriptor, buffer.data() + done, buffer.size() - done,
                                static_cast<off_t>(offset + done));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return -1;
    if (got == 0) break;
    done += static_cast<std::size_t>(got);
  }
  return static_cast<ssize_t>(done);
}

}  // namespace espalier
