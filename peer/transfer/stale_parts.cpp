#include "peer/transfer/stale_parts.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <memory>
#include <string_view>
#include <vector>

#include "common/base/file_descriptor.h"
#include "common/base/ids.h"
#include "common/base/limits.h"

namespace espalier::transfer {
namespace {

constexpr std::string_view kPart = ".part";
constexpr std::string_view kJournal = ".journal";

bool isOld(const struct stat& status, std::chrono::system_clock::time_point now) {
  return std::chrono::system_clock::from_time_t(status.st_mtime) + limits::kPartKept <= now;
}

// The names of files of that kind, without its ending.
std::vector<std::string> rootsOf(DIR* folder, std::string_view ending) {
  std::vector<std::string> roots;
  ::rewinddir(folder);
  while (const dirent* entry = ::readdir(folder)) {
    std::string_view name = entry->d_name;
    if (!name.ends_with(ending)) continue;
    name.remove_suffix(ending.size());
    if (fromHex<FileRoot>(name)) roots.emplace_back(name);
  }
  return roots;
}

}  // namespace

StaleParts removeStaleParts(const std::string& path, std::chrono::system_clock::time_point now) {
  StaleParts removed;
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(path.c_str()), ::closedir);
  if (!folder) return removed;
  const int at = ::dirfd(folder.get());
  for (const auto& root : rootsOf(folder.get(), kPart)) {
    const std::string part = root + std::string(kPart);
    const FileDescriptor file(::openat(at, part.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
    struct stat status {};
    if (!file || ::fstat(file.get(), &status) != 0 || !isOld(status, now)) continue;
    // Whoever fetches it has it locked.
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) continue;
    if (::unlinkat(at, part.c_str(), 0) != 0) continue;
    ++removed.files;
    removed.bytes += static_cast<std::uint64_t>(status.st_blocks) * 512;
  }
  // Without its part a journal says nothing.
  for (const auto& root : rootsOf(folder.get(), kJournal)) {
    const std::string journal = root + std::string(kJournal);
    struct stat status {};
    const bool old =
        ::fstatat(at, journal.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 && isOld(status, now);
    if (!old || ::faccessat(at, (root + std::string(kPart)).c_str(), F_OK, 0) == 0) continue;
    ::unlinkat(at, journal.c_str(), 0);
  }
  return removed;
}

}  // namespace espalier::transfer
