#include "peer/share/scanner.h"

#include <dirent.h>
#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "common/base/limits.h"
#include "peer/share/share_name.h"

namespace espalier::share {
namespace {

using namespace std::chrono_literals;

constexpr auto kScanSlice = 20ms;

struct DirectoryClose {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

}  // namespace

void Scanner::lookAtNames() {
  for (const auto& name : parts_.queue.takeNames()) look(name);
}

void Scanner::lookAtDue() {
  const auto now = Clock::now();
  while (const auto name = parts_.schedule.dueName(now)) {
    look(*name);
    // It is submitted, gone, or due later now. If it is not, it must not come up for ever.
    if (parts_.schedule.dueName(now) == name) parts_.schedule.dropRetry(*name);
  }
}

void Scanner::look(const std::string& name) {
  const std::uint32_t index = parts_.folders.indexOf(name);
  const SharedFolder& folder = parts_.folders.at(index);
  if (!parts_.rules.isScanned(name) || !parts_.folders.isPresent(index)) {
    return parts_.files.forgetTree(name);
  }
  const std::string relative = folder.relative(name);
  const std::size_t slash = relative.rfind('/');
  const std::string above = slash == relative.npos ? "" : relative.substr(0, slash);
  const FileDescriptor opened = openBelow(folder.path, above, O_PATH | O_DIRECTORY);
  if (!opened || ::faccessat(opened.get(), ".", X_OK, AT_EACCESS) != 0) {
    parts_.files.forgetTree(name);
    // What is wrong with the folder concerns all that is in it.
    const std::size_t end = folder.single || slash == relative.npos ? 0 : name.rfind('/');
    return parts_.queue.scan(end == 0 ? folder.label : name.substr(0, end));
  }
  const std::string child = slash == relative.npos ? relative : relative.substr(slash + 1);
  lookAt(opened.get(), child.c_str(), name, index, !parts_.watch.contains(name));
}

// `descend`: a folder is to be scanned, too, even if nothing is wrong with it.
void Scanner::lookAt(int folder, const char* child, const std::string& name, std::uint32_t index,
                     bool descend) {
  const bool single = parts_.folders.at(index).single;
  struct stat status {};
  if (::fstatat(folder, child, &status, AT_SYMLINK_NOFOLLOW) != 0) return lose(name, errno);
  if (S_ISREG(status.st_mode)) {
    if (parts_.watch.contains(name) && !single) parts_.files.forgetTree(name);  // was a folder
    return parts_.rules.isShared(name) ? parts_.files.consider(name, index, fileStat(status))
                                       : parts_.files.forgetTree(name);
  }
  const bool own = stateFolder_ == FileId{status.st_dev, status.st_ino};
  if (!S_ISDIR(status.st_mode) || own || single) return parts_.files.forgetTree(name);
  parts_.files.forget(name);
  const bool readable = ::faccessat(folder, child, R_OK | X_OK, AT_EACCESS) == 0;
  if (descend || !readable || parts_.files.isUnreadable(name)) parts_.queue.scan(name);
}

void Scanner::rescan() {
  inRescan_ = true;
  parts_.watch.beginRescan();
  for (std::uint32_t i = 0; i < parts_.folders.size(); ++i) {
    if (parts_.folders.isOpen(i) && parts_.folders.isPresent(i)) {
      parts_.queue.scan(parts_.folders.at(i).label);
    }
  }
}

void Scanner::scanSome(const std::stop_token& stop) {
  const auto end = Clock::now() + kScanSlice;
  while (parts_.queue.hasFolders() && Clock::now() < end && !stop.stop_requested()) {
    scanFolder(parts_.queue.takeFolder(), stop);
  }
  if (!parts_.queue.hasFolders() && !stop.stop_requested()) onQueueEmpty();
}

void Scanner::onQueueEmpty() {
  if (std::exchange(inRescan_, false)) parts_.watch.endRescan();
  if (!std::exchange(firstScan_, false)) return;
  // A disk that is absent may come back with the files that these hashes are of.
  if (parts_.folders.allPresent()) parts_.catalogue.forgetRemembered();
}

void Scanner::scanFolder(const std::string& name, const std::stop_token& stop) {
  const std::uint32_t index = parts_.folders.indexOf(name);
  const SharedFolder& folder = parts_.folders.at(index);
  if (!parts_.folders.isPresent(index)) return;
  if (!parts_.rules.isScanned(name)) return parts_.files.forgetTree(name);
  const std::string relative = folder.single ? "" : folder.relative(name);
  const int how = folder.single ? O_PATH : O_RDONLY;
  auto opened = openBelow(folder.path, relative, how | O_DIRECTORY);
  if (!opened) return lose(name, errno);
  // Without this right the names can be read, but no file can be opened.
  if (::faccessat(opened.get(), ".", X_OK, AT_EACCESS) != 0) return lose(name, errno);
  scanOpened(name, index, std::move(opened), stop);
}

void Scanner::scanOpened(const std::string& name, std::uint32_t index, FileDescriptor opened,
                         const std::stop_token& stop) {
  const int descriptor = opened.get();
  if (!parts_.watch.contains(name)) parts_.watch.add(name, descriptor);
  if (parts_.folders.at(index).single) {
    found(name);
    return lookAt(descriptor, name.c_str(), name, index, false);
  }
  const std::unique_ptr<DIR, DirectoryClose> directory(::fdopendir(descriptor));
  if (!directory) return lose(name, errno);
  opened.release();
  std::set<std::string, std::less<>> listed;
  errno = 0;
  for (const dirent* entry = ::readdir(directory.get()); entry != nullptr;
       entry = ::readdir(directory.get())) {
    if (stop.stop_requested()) return;
    const std::string_view child = entry->d_name;
    const std::string path = childName(name, child);
    if (parts_.folders.indexOf(path) == index && wants(path, child)) {
      if (listed.size() == limits::kSharedFiles) {
        parts_.problems.add(Problem::tooMany, path);
        break;
      }
      listed.emplace(child);
      lookAt(::dirfd(directory.get()), entry->d_name, path, index, true);
    }
    errno = 0;  // readdir(3) tells its end from a failure only by errno.
  }
  if (errno != 0) return lose(name, errno);
  found(name);
  forgetMissing(name, index, listed);
}

// Forgets the folder's children that are not listed.
void Scanner::forgetMissing(const std::string& name, std::uint32_t index,
                            const std::set<std::string, std::less<>>& listed) {
  std::vector<std::string> missing;
  parts_.catalogue.children(name, [&](std::string_view child, bool) {
    const std::string path = childName(name, child);
    if (!listed.contains(child) && parts_.folders.indexOf(path) == index) missing.push_back(path);
  });
  for (const auto& path : missing) parts_.files.forgetTree(path);
}

bool Scanner::wants(const std::string& name, std::string_view child) {
  switch (nameFault(name)) {
    case NameFault::none:
      break;
    case NameFault::notUtf8:
      parts_.problems.add(Problem::notUtf8, name);
      return false;
    case NameFault::control:
      parts_.problems.add(Problem::control, name);
      return false;
    case NameFault::tooDeep:
      parts_.problems.add(Problem::tooDeep, name);
      return false;
    case NameFault::tooLong:
      parts_.problems.add(Problem::tooLong, name);
      return false;
    default:
      return false;  // "." and "..", or a name of the programs' own
  }
  if (parts_.rules.isScanned(name)) return true;
  // Only of what was there at the start: later ones are mostly temporary files of editors.
  if (isDotName(child) && firstScan_ && !parts_.rules.isUnshared(name)) {
    parts_.problems.add(Problem::dotName, name);
  }
  return false;
}

void Scanner::lose(const std::string& name, int error) {
  const std::uint32_t index = parts_.folders.indexOf(name);
  const SharedFolder& folder = parts_.folders.at(index);
  if (name != folder.label || folder.single || isShortage(error)) {
    return parts_.files.lose(name, error);
  }
  parts_.check.lose(index, isGone(error) ? 0 : error);
}

void Scanner::found(const std::string& name) {
  if (parts_.folders.isLabel(name)) parts_.check.found(parts_.folders.indexOf(name));
  parts_.files.found(name);
}

}  // namespace espalier::share
