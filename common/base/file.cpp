#include "common/base/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "common/base/file_descriptor.h"
#include "common/base/text.h"

namespace espalier {
namespace {

Error failed(std::string_view what, const std::string& path, int errnoValue) {
  return systemError(fmt::format("cannot {} {}", what, escaped(path)), errnoValue);
}

bool writeAll(int file, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t written = ::write(file, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    bytes.remove_prefix(static_cast<std::size_t>(written));
  }
  return true;
}

// A new name is on the disk once its folder is.
bool syncFolderOf(const std::string& path) {
  const auto slash = path.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : path.substr(0, slash + 1);
  const FileDescriptor opened(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  return opened && ::fsync(opened.get()) == 0;
}

}  // namespace

Result<void> replaceFile(const std::string& path, std::string_view bytes, Durability durability,
                         mode_t mode) {
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
  if (!writeAll(file.get(), bytes)) return giveUp("write", temporary);
  if (durable && ::fsync(file.get()) != 0) return giveUp("sync", temporary);
  // Some file systems report a failed write only here.
  if (::close(file.release()) != 0) return giveUp("write", temporary);
  if (::rename(temporary.c_str(), path.c_str()) != 0) return giveUp("replace", path);
  if (durable && !syncFolderOf(path)) return failed("sync the folder of", path, errno);
  return {};
}

Result<std::string> readFile(const std::string& path, std::size_t mostBytes) {
  // Without O_NONBLOCK a named pipe would hold us up.
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
  std::string bytes;
  // What the file has now; it may grow meanwhile.
  bytes.reserve(std::min(mostBytes, static_cast<std::size_t>(status.st_size)) + 1);
  char buffer[64 * 1024];
  while (true) {
    const ssize_t size = ::read(file.get(), buffer, sizeof buffer);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0) return failed("read", path, errno);
    if (size == 0) return bytes;
    bytes.append(buffer, static_cast<std::size_t>(size));
    if (bytes.size() > mostBytes) {
      return Error{ErrorCode::io,
                   fmt::format("{} is larger than {}", escaped(path), formatSize(mostBytes))};
    }
  }
}

}  // namespace espalier
