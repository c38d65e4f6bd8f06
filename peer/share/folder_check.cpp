#include "peer/share/folder_check.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "common/base/limits.h"
#include "common/base/state_folder.h"
#include "common/base/text.h"
#include "peer/share/retry_delay.h"

namespace espalier::share {
namespace {

constexpr int kIsState = -1;  // in place of an errno

struct FolderLook {
  int error = 0;  // an errno, or kIsState; 0: it can be read
  FileId id;
  std::string real;
};

FolderLook lookAtFolder(const SharedFolder& folder) {
  // Of a single file's folder nothing else is listed, so it need not be readable.
  const int how = folder.single ? O_PATH : O_RDONLY;
  const FileDescriptor opened(::open(folder.path.c_str(), how | O_DIRECTORY | O_CLOEXEC));
  FolderLook look;
  struct stat status {};
  if (!opened || ::fstat(opened.get(), &status) != 0 ||
      ::faccessat(opened.get(), ".", X_OK, AT_EACCESS) != 0) {
    look.error = errno;
    return look;
  }
  if (isStateFolder(opened.get())) look.error = kIsState;
  look.id = {status.st_dev, status.st_ino};
  boost::system::error_code ignored;
  look.real = fs::canonical(folder.path, ignored).string();
  return look;
}

}  // namespace

FolderCheck::State& FolderCheck::stateOf(std::uint32_t folder) {
  if (states_.size() <= folder) states_.resize(folders_.size());
  return states_[folder];
}

void FolderCheck::check() {
  for (std::uint32_t i = 0; i < folders_.size(); ++i) {
    if (folders_.isOpen(i)) checkFolder(i);
  }
  queue_.setFolderCheck(Clock::now() + limits::kFolderCheckInterval);
}

void FolderCheck::checkFolder(std::uint32_t folder) {
  State& state = stateOf(folder);
  if (!folders_.isPresent(folder) && Clock::now() < state.notBefore) return;
  const auto look = lookAtFolder(folders_.at(folder));
  if (isShortage(look.error)) return;  // That says nothing of the folder.
  if (look.error != 0) {
    setAbsent(folder);
    return tellAbsent(folder, look.error);
  }
  const bool same = state.id == look.id && folders_.real(folder) == look.real;
  if (folders_.isPresent(folder) && same) return;
  setAbsent(folder);
  state.id = look.id;
  folders_.setPresent(folder, look.real);
  queue_.scan(folders_.at(folder).label);
}

void FolderCheck::setAbsent(std::uint32_t folder) {
  if (folders_.isPresent(folder)) files_.forgetFolder(folder);
  folders_.setAbsent(folder);
}

void FolderCheck::tellAbsent(std::uint32_t folder, int error) {
  if (std::exchange(stateOf(folder).toldAbsent, true)) return;
  const std::string path = escaped(folders_.at(folder).path.string());
  const auto warn = [&](const std::string& what) { notify_({log::Level::warning, path + what}); };
  if (error == kIsState) {
    warn(" is the state folder of a peer or metaserver: nothing of it is shared");
  } else if (error == ENOENT || error == ENOTDIR) {
    warn(" is not there: nothing of it is shared until it is");
  } else {
    warn(" cannot be read: nothing of it is shared until it can (" +
         std::generic_category().message(error) + ')');
  }
}

void FolderCheck::lose(std::uint32_t folder, int error) {
  State& state = stateOf(folder);
  state.notBefore = Clock::now() + retryDelay(++state.failedScans);
  queue_.checkFoldersBy(state.notBefore);
  setAbsent(folder);
  if (error != 0) tellAbsent(folder, error);
}

void FolderCheck::found(std::uint32_t folder) {
  State& state = stateOf(folder);
  state.failedScans = 0;
  if (std::exchange(state.toldAbsent, false)) {
    notify_({log::Level::info, escaped(folders_.at(folder).path.string()) + " is there again"});
  }
}

}  // namespace espalier::share
