#include "common/command/state_claim.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdint>
#include <string_view>
#include <thread>

#include "common/base/clock.h"
#include "common/base/limits.h"
#include "common/base/state_folder.h"
#include "common/base/text.h"
#include "common/command/control_channel.h"

namespace espalier::command {
namespace {

struct Split {
  std::string above;
  std::string name;
};

// None for paths like ".", which name no entry of the folder above.
std::optional<Split> split(std::string path) {
  while (path.size() > 1 && path.ends_with('/')) path.pop_back();
  const auto slash = path.rfind('/');
  Split result{slash == std::string::npos ? "." : path.substr(0, slash + 1),
               slash == std::string::npos ? path : path.substr(slash + 1)};
  if (result.name.empty() || result.name == "." || result.name == "..") return std::nullopt;
  return result;
}

FileDescriptor openAbove(const Split& split) {
  return FileDescriptor(::open(split.above.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

// The byte of the folder above that is locked for this name (FNV-1a).
struct flock lockOf(std::string_view name, short type) {
  std::uint64_t hash = 0xcbf29ce484222325;
  for (const char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  struct flock lock {};
  lock.l_type = type;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(hash >> 2);
  lock.l_len = 1;
  return lock;
}

// A folder cannot be opened for writing, so the lock is a read lock; a query for a write lock finds
// it.
bool isLocked(int above, std::string_view name) {
  struct flock other = lockOf(name, F_WRLCK);
  return ::fcntl(above, F_OFD_GETLK, &other) == 0 && other.l_type != F_UNLCK;
}

std::optional<std::pair<dev_t, ino_t>> idOf(int folder, const char* name) {
  struct stat status {};
  const int flags = AT_SYMLINK_NOFOLLOW | (*name == '\0' ? AT_EMPTY_PATH : 0);
  if (::fstatat(folder, name, &status, flags) != 0) return std::nullopt;
  return std::pair(status.st_dev, status.st_ino);
}

// Whether a program runs on the folder of that path, although the folder has no such file.
bool runsWithout(const char* file, const std::string& path) {
  const auto parts = split(path);
  if (!parts || ::access((path + "/" + file).c_str(), F_OK) == 0) return false;
  const auto above = openAbove(*parts);
  return above && isLocked(above.get(), parts->name);
}

Error runsThere(const std::string& path) {
  return {ErrorCode::refused, fmt::format("another process already runs on {}", escaped(path))};
}

}  // namespace

void awaitState(const std::string& path, const std::stop_token& stop) {
  constexpr auto kLook = std::chrono::milliseconds(20);
  const TimePoint end = Clock::now() + limits::kStateAwaited;
  while (runsWithout(kControlSocket, path) && Clock::now() < end && !stop.stop_requested()) {
    std::this_thread::sleep_for(kLook);
  }
}

Result<StateClaim> StateClaim::take(const std::string& path) {
  if (runsWithout(kControlLock, path)) {
    Error error = runsThere(path);
    error.message += ": that folder was removed meanwhile, and is about to be made again";
    return error;
  }
  StateClaim claim(path);
  if (auto taken = claim.takeAll(); !taken) return taken.error();
  return claim;
}

Result<void> StateClaim::takeAll() {
  auto folder = openStateFolder(path_);
  if (!folder) return folder.error();
  FileDescriptor lock(
      ::openat(folder->get(), kControlLock, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600));
  if (!lock) return systemError("cannot open the lock in " + escaped(path_), errno);
  // If only the socket was removed, the lock of this process is still held.
  const bool ours = lock_ && idOf(lock.get(), "") == idOf(lock_.get(), "");
  if (!ours && ::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return runsThere(path_);
    return systemError("cannot lock " + escaped(path_), errno);
  }
  // If only the lock was removed, the socket is still that of this process.
  const bool listens = listener_ && idOf(folder->get(), kControlSocket) == socket_;
  if (!listens) {
    const auto answered = connectControl(folder->get());
    if (answered || answered.error().code == ErrorCode::timeout) return runsThere(path_);
    ::unlinkat(folder->get(), kControlSocket, 0);
    auto listener = listenControl(folder->get());
    if (!listener) return listener.error();
    listener_ = std::move(*listener);
  }
  name_.reset();
  if (const auto parts = split(path_)) {
    name_ = openAbove(*parts);
    struct flock name = lockOf(parts->name, F_RDLCK);
    if (name_ && ::fcntl(name_.get(), F_OFD_SETLK, &name) != 0) name_.reset();
  }
  folder_ = std::move(*folder);
  if (!ours) lock_ = std::move(lock);
  socket_ = idOf(folder_.get(), kControlSocket);
  return {};
}

bool StateClaim::isWhole() const {
  const FileDescriptor now(::open(path_.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  return now && idOf(now.get(), "") == idOf(folder_.get(), "") &&
         idOf(now.get(), kControlLock) == idOf(lock_.get(), "") &&
         idOf(now.get(), kControlSocket) == socket_ && idOf(now.get(), kStateMarker);
}

StateClaim::Check StateClaim::check() {
  if (isWhole()) return {Found::whole, {}};
  const auto parts = split(path_);
  // The folder above, perhaps a whole share, is not made again.
  if (parts && ::access(parts->above.c_str(), F_OK) != 0) {
    return {Found::gone, fmt::format("{} is gone, too", escaped(parts->above))};
  }
  const auto restored = takeAll();
  // On a full disk the marker cannot be written, and the folder is not complete.
  if (restored && !isWhole()) return {Found::gone, "its marker cannot be written"};
  if (restored) return {Found::restored, {}};
  if (restored.error().code == ErrorCode::refused) return {Found::taken, {}};
  return {Found::gone, restored.error().message};
}

void StateClaim::hide() {
  // The socket may be another program's by now.
  if (folder_ && socket_ && idOf(folder_.get(), kControlSocket) == socket_) {
    ::unlinkat(folder_.get(), kControlSocket, 0);
  }
  socket_.reset();
}

}  // namespace espalier::command
