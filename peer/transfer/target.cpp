#include "peer/transfer/target.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <span>
#include <utility>

#include "common/base/text.h"
#include "common/crypto/file_tree.h"
#include "peer/share/hash_file.h"
#include "peer/transfer/disk.h"

namespace espalier::transfer {
namespace {

const std::array<std::string, 1> kIncoming{"incoming"};
const std::array<std::string, 2> kIncomingBeside{".espalier", "incoming"};

// rename(2) works within one mount only, even when two mounts show the same file system.
bool sameMount(int one, int other) {
  struct statx first {};
  struct statx second {};
  constexpr unsigned kMask = STATX_BASIC_STATS | STATX_MNT_ID;
  return ::statx(one, "", AT_EMPTY_PATH, kMask, &first) == 0 &&
         ::statx(other, "", AT_EMPTY_PATH, kMask, &second) == 0 &&
         first.stx_dev_major == second.stx_dev_major &&
         first.stx_dev_minor == second.stx_dev_minor && first.stx_mnt_id == second.stx_mnt_id;
}

// False also for a file that cannot be read.
Result<bool> hasRoot(int file, const FileRoot& root, std::uint64_t sizeBytes,
                     std::stop_token stop) {
  const auto hashes =
      share::hashFile(file, "the file", sizeBytes, crypto::chunkBytesFor(sizeBytes), stop);
  if (!hashes && hashes.error().code == ErrorCode::interrupted) return hashes.error();
  return hashes && hashes->root == root;
}

}  // namespace

Result<Target> Target::locate(const std::string& folder, std::string_view name,
                              const DotNames& dots) {
  auto safe = SafeName::parse(name, dots);
  if (!safe) return safe.error();
  auto base = openFolder(folder);
  if (!base) return base.error();
  // Checks now, rather than after an hour of fetching, that the innermost existing folder can be
  // written.
  auto folders = safe->folders();
  while (true) {
    auto innermost = openFolderBeneath(base->get(), folders, false);
    if (!innermost && innermost.error().code == ErrorCode::failed) return innermost.error();
    if (innermost) {
      if (::faccessat(innermost->get(), ".", W_OK | X_OK, AT_EACCESS) != 0) {
        return systemError(fmt::format("cannot save in {}", escaped(folder)), errno);
      }
      return Target(folder, std::move(*base), std::move(*safe));
    }
    if (folders.empty()) return innermost.error();
    folders = folders.first(folders.size() - 1);
  }
}

Result<Target::Existing> Target::compare(const FileRoot& root, std::uint64_t size,
                                         std::stop_token stop) const {
  const auto folder = openFolderBeneath(base_.get(), name_.folders(), false);
  if (!folder) return Existing::nothing;
  if (const auto may = mayReplace(folder->get(), leaf(), path()); !may) return may.error();
  struct stat status {};
  if (::fstatat(folder->get(), leaf().c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
    return Existing::nothing;
  }
  if (!S_ISREG(status.st_mode) || static_cast<std::uint64_t>(status.st_size) != size) {
    return Existing::different;
  }
  const FileDescriptor file(
      ::openat(folder->get(), leaf().c_str(), O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC));
  if (!file) return Existing::different;
  const auto same = hasRoot(file.get(), root, size, stop);
  if (!same) return same.error();
  return *same ? Existing::same : Existing::different;
}

Result<PartFolder> Target::partFolder(const std::string& stateFolder) const {
  if (::mkdir(stateFolder.c_str(), 0700) != 0 && errno != EEXIST) {
    return systemError(fmt::format("cannot make the folder {}", escaped(stateFolder)), errno);
  }
  auto state = openFolder(stateFolder);
  if (!state) return state.error();
  const bool inState = sameMount(state->get(), base_.get());
  const int from = inState ? state->get() : base_.get();
  const std::span<const std::string> below = inState
                                                 ? std::span<const std::string>(kIncoming)
                                                 : std::span<const std::string>(kIncomingBeside);
  auto folder = openFolderInState(from, below);
  if (!folder) return folder.error();
  std::string path = inState ? stateFolder : folder_;
  for (const auto& part : below) path += "/" + part;
  return PartFolder{std::move(*folder), std::move(path)};
}

void Target::removePartFolder() const {
  const FileDescriptor beside(::openat(base_.get(), kIncomingBeside[0].c_str(),
                                       O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!beside) return;
  if (::unlinkat(beside.get(), kIncomingBeside[1].c_str(), AT_REMOVEDIR) != 0) return;
  ::unlinkat(base_.get(), kIncomingBeside[0].c_str(), AT_REMOVEDIR);
}

Result<FileDescriptor> Target::folder() const {
  return openFolderBeneath(base_.get(), name_.folders(), true);
}

std::string Target::path() const {
  return folder_.ends_with('/') ? folder_ + name_.text() : folder_ + "/" + name_.text();
}

}  // namespace espalier::transfer
