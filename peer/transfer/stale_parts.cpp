#include "peer/transfer/stale_parts.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string_view>
#include <vector>

#include "common/base/file_descriptor.h"
#include "common/base/ids.h"
#include "common/base/limits.h"
#include "peer/transfer/part_file.h"

namespace espalier::transfer {
namespace {

bool isOld(const struct stat& status, std::chrono::system_clock::time_point now) {
  return std::chrono::system_clock::from_time_t(status.st_mtime) + limits::kPartKept <= now;
}

// The names that are a root followed by `ending`, without it.
std::vector<std::string> rootsOf(int folder, std::string_view ending) {
  std::vector<std::string> roots;
  for (std::string_view name : namesIn(folder)) {
    if (!name.ends_with(ending)) continue;
    name.remove_suffix(ending.size());
    if (fromHex<FileRoot>(name)) roots.emplace_back(name);
  }
  return roots;
}

}  // namespace

StaleParts removeStaleParts(const std::string& path, std::chrono::system_clock::time_point now) {
  StaleParts removed;
  const FileDescriptor folder(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder) return removed;
  const int at = folder.get();
  for (const auto& root : rootsOf(at, kPartEnding)) {
    const std::string part = root + std::string(kPartEnding);
    const FileDescriptor file(::openat(at, part.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
    struct stat status {};
    if (!file || ::fstat(file.get(), &status) != 0 || !isOld(status, now)) continue;
    // A fetch that runs has locked it.
    if (::flock(file.get(), LOCK_EX | LOCK_NB) != 0) continue;
    if (::unlinkat(at, part.c_str(), 0) != 0) continue;
    ++removed.files;
    removed.bytes += static_cast<std::uint64_t>(status.st_blocks) * 512;
  }
  // A journal without its part is of no use.
  for (const auto& root : rootsOf(at, kJournalEnding)) {
    const std::string journal = root + std::string(kJournalEnding);
    struct stat status {};
    const bool old =
        ::fstatat(at, journal.c_str(), &status, AT_SYMLINK_NOFOLLOW) == 0 && isOld(status, now);
    const std::string part = root + std::string(kPartEnding);
    if (!old || ::faccessat(at, part.c_str(), F_OK, 0) == 0) continue;
    ::unlinkat(at, journal.c_str(), 0);
  }
  return removed;
}

}  // namespace espalier::transfer
