#include "peer/share/shared_file.h"

#include <fcntl.h>

#include <cerrno>

#include "common/base/text.h"

namespace espalier::share {
namespace {

constexpr std::int64_t kNanosPerSecond = 1'000'000'000;

}  // namespace

FileStat fileStat(const struct stat& status) {
  return {static_cast<std::uint64_t>(status.st_size),
          status.st_mtim.tv_sec * kNanosPerSecond + status.st_mtim.tv_nsec, status.st_ino};
}

bool isShareable(std::string_view component) {
  return !component.empty() && component != "." && component != ".." && component != ".espalier" &&
         !component.starts_with(".espalier-") && component.find('/') == component.npos &&
         component.find('\0') == component.npos;
}

FileDescriptor openBelow(int folder, std::string_view relative, int flags) {
  constexpr int kAlways = O_NOFOLLOW | O_CLOEXEC;
  if (relative.empty()) return FileDescriptor(::openat(folder, ".", flags | kAlways));
  FileDescriptor above;
  while (true) {
    const std::size_t slash = relative.find('/');
    const std::string component(relative.substr(0, slash));
    if (!isShareable(component)) {
      errno = ENOENT;
      return {};
    }
    const int from = above ? above.get() : folder;
    if (slash == relative.npos) {
      return FileDescriptor(::openat(from, component.c_str(), flags | kAlways));
    }
    above = FileDescriptor(::openat(from, component.c_str(), O_PATH | O_DIRECTORY | kAlways));
    if (!above) return {};
    relative.remove_prefix(slash + 1);
  }
}

FileDescriptor openBelow(const fs::path& folder, std::string_view relative, int flags) {
  const FileDescriptor top(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!top) return {};
  return openBelow(top.get(), relative, flags);
}

Result<OpenedFile> openForServing(const SharedFile& file) {
  // O_NONBLOCK: a fifo that took the file's place must not hold us up.
  FileDescriptor descriptor = openBelow(file.folder, file.relative, O_RDONLY | O_NONBLOCK);
  if (!descriptor) {
    const int error = errno;
    const bool gone = error == ENOENT || error == ENOTDIR || error == ELOOP || error == ENXIO;
    if (!gone) return systemError("cannot open " + escaped(file.name), error);
    return Error{ErrorCode::failed, escaped(file.name) + " is no longer there"};
  }
  if (!unchanged(descriptor.get(), file)) {
    return Error{ErrorCode::failed, escaped(file.name) + " has changed since it was hashed"};
  }
  return OpenedFile{std::move(descriptor), file.sizeBytes};
}

bool unchanged(int descriptor, const SharedFile& file) {
  struct stat status {};
  return ::fstat(descriptor, &status) == 0 && S_ISREG(status.st_mode) &&
         fileStat(status) == file.stat();
}

}  // namespace espalier::share
