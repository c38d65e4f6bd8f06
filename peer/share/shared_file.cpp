#include "peer/share/shared_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "common/base/state_folder.h"
#include "common/base/text.h"
#include "peer/share/share_name.h"

namespace espalier::share {
namespace {

constexpr std::int64_t kNanosPerSecond = 1'000'000'000;

std::int64_t nanos(const timespec& time) {
  return time.tv_sec * kNanosPerSecond + time.tv_nsec;
}

// No descriptor and ENOENT for a state folder.
FileDescriptor unlessState(FileDescriptor folder) {
  if (!folder || !isStateFolder(folder.get())) return folder;
  errno = ENOENT;
  return {};
}

}  // namespace

FileStat fileStat(const struct stat& status) {
  return {static_cast<std::uint64_t>(status.st_size), nanos(status.st_mtim), status.st_ino,
          nanos(status.st_ctim), status.st_dev};
}

FileDescriptor openBelow(int folder, std::string_view relative, int flags) {
  constexpr int kAlways = O_NOFOLLOW | O_CLOEXEC;
  if (relative.empty()) {
    return unlessState(FileDescriptor(::openat(folder, ".", flags | kAlways)));
  }
  FileDescriptor above =
      unlessState(FileDescriptor(::openat(folder, ".", O_PATH | O_DIRECTORY | kAlways)));
  while (above) {
    const std::size_t slash = relative.find('/');
    const std::string component(relative.substr(0, slash));
    if (componentFault(component) != NameFault::none) break;
    const bool last = slash == relative.npos;
    const int how = last ? flags : O_PATH | O_DIRECTORY;
    FileDescriptor opened(::openat(above.get(), component.c_str(), how | kAlways));
    if (last && (flags & O_DIRECTORY) == 0) return opened;
    opened = unlessState(std::move(opened));
    if (last || !opened) return opened;
    above = std::move(opened);
    relative.remove_prefix(slash + 1);
  }
  if (above) errno = ENOENT;
  return {};
}

FileDescriptor openBelow(const fs::path& folder, std::string_view relative, int flags) {
  const FileDescriptor top(::open(folder.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!top) return {};
  return openBelow(top.get(), relative, flags);
}

Result<OpenedFile> openForServing(const SharedFile& file) {
  // O_NONBLOCK: the file may have been replaced by a fifo, whose open would block.
  FileDescriptor descriptor = openBelow(file.folder, file.relative, O_RDONLY | O_NONBLOCK);
  if (!descriptor) {
    const int error = errno;
    if (!isGone(error)) return systemError("cannot open " + escaped(file.name), error);
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
         fileStat(status) == file.stat;
}

bool isGone(int error) {
  return error == ENOENT || error == ENOTDIR || error == ELOOP || error == ENXIO;
}

bool isShortage(int error) {
  return error == EMFILE || error == ENFILE || error == ENOMEM;
}

}  // namespace espalier::share
