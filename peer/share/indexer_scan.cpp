#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "common/base/state_folder.h"
#include "common/base/text.h"
#include "peer/share/indexer.h"
#include "peer/share/share_name.h"

namespace espalier::share {
namespace {

using namespace std::chrono_literals;

// Between two things that the thread also does: results, commands, publishing.
constexpr auto kScanSlice = 20ms;

struct DirectoryClose {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

constexpr int kIsState = -1;  // instead of an errno

// How a shared folder is.
struct FolderLook {
  int error = 0;  // errno, or kIsState; 0: it can be read
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::string real;
};

FolderLook lookAtFolder(const SharedFolder& folder) {
  // A single file wants no look at what else is in its folder.
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
  look.device = status.st_dev;
  look.inode = status.st_ino;
  boost::system::error_code ignored;
  look.real = fs::canonical(folder.path, ignored).string();
  return look;
}

}  // namespace

std::uint32_t Indexer::folderOf(std::string_view name) const {
  const auto label = labels_.find(name.substr(0, name.find('/')));
  return label != labels_.end() ? label->second : 0;
}

// Without symbolic links, as of the last check of the shared folder.
std::string Indexer::pathOf(std::string_view name) const {
  const std::uint32_t index = folderOf(name);
  const std::string relative = folders_->at(index).relative(name);
  const std::string& real = folderStates_[index].real;
  return relative.empty() ? real : (real == "/" ? "" : real) + '/' + relative;
}

bool Indexer::isUnshared(std::string_view name) const {
  if (list_.hidden.empty() && list_.unshared.empty()) return false;
  return list_.isUnshared(name, pathOf(name));
}

// Whether a file of that name is.
bool Indexer::isShared(std::string_view name) const {
  const std::size_t label = folders_->at(folderOf(name)).label.size();
  return !isUnshared(name) && (options_.shareHidden || !list_.isDotHidden(name, label));
}

// Whether there may be shared files in a folder of that name.
bool Indexer::isScanned(std::string_view name) const {
  return isShared(name) || (list_.hasNamedBelow(name) && !isUnshared(name));
}

void Indexer::checkFolders() {
  for (std::uint32_t i = 0; i < folderStates_.size(); ++i) {
    if (folderStates_[i].active) checkFolder(i);
  }
  nextFolderCheck_ = Clock::now() + limits::kFolderCheckInterval;
}

void Indexer::checkFolder(std::uint32_t index) {
  const SharedFolder& folder = folders_->at(index);
  FolderState& state = folderStates_[index];
  if (!state.present && Clock::now() < state.notBefore) return;
  const auto there = lookAtFolder(folder);
  if (isShortage(there.error)) return;  // That says nothing of the folder.
  if (there.error != 0) return loseFolder(index, there.error);
  const bool same = state.device == there.device && state.inode == there.inode;
  if (state.present && same && state.real == there.real) return;
  if (state.present) forgetFolder(index);
  state.present = true;
  state.device = there.device;
  state.inode = there.inode;
  state.real = there.real;
  scans_.push_back(folder.label);
}

// A shared folder that is not there, or cannot be read: it is tried again.
void Indexer::loseFolder(std::uint32_t index, int error) {
  FolderState& state = folderStates_[index];
  if (state.present) forgetFolder(index);
  state.present = false;
  if (std::exchange(state.toldGone, true)) return;
  const std::string path = escaped(folders_->at(index).path.string());
  if (error == kIsState) {
    return notice(log::Level::warning,
                  path + " is the state folder of a peer or metaserver: nothing of it is shared");
  }
  const bool gone = error == ENOENT || error == ENOTDIR;
  notice(log::Level::warning, gone ? path + " is not there: nothing of it is shared until it is"
                                   : path +
                                         " cannot be read: nothing of it is shared until it can (" +
                                         std::generic_category().message(error) + ')');
}

void Indexer::forgetFolder(std::uint32_t index) {
  const auto isOf = [&](std::string_view name) { return folderOf(name) == index; };
  for (const auto& name :
       catalogue_.names("", [&](const Entry& entry) { return entry.folder == index; })) {
    forget(name);
  }
  std::vector<std::string> others;
  for (const auto& [name, job] : jobs_) {
    if (job->folderIndex == index) others.push_back(name);
  }
  for (const auto& [name, retry] : retries_) {
    if (isOf(name)) others.push_back(name);
  }
  for (const auto& [name, attempts] : troubles_) {
    if (isOf(name)) others.push_back(name);
  }
  for (const auto& name : others) {
    forget(name);
    if (troubles_.erase(name) > 0) problems_.drop(Problem::unreadable, name);
  }
  unwatch(watches_.dropNames(isOf));
}

void Indexer::rescan() {
  nextRescan_ = rescanning_ ? Clock::now() + options_.rescanInterval : kNever;
  inRescan_ = true;
  watchFailed_ = false;
  watch_.reopen();
  for (std::uint32_t i = 0; i < folderStates_.size(); ++i) {
    if (folderStates_[i].active && folderStates_[i].present) {
      scans_.push_back(folders_->at(i).label);
    }
  }
}

void Indexer::scanSome(std::stop_token stop) {
  const auto end = Clock::now() + kScanSlice;
  while (!scans_.empty() && Clock::now() < end && !stop.stop_requested()) {
    const std::string name = std::move(scans_.back());
    scans_.pop_back();
    scanFolder(name, stop);
  }
  if (scans_.empty() && !stop.stop_requested()) scanned();
}

// Nothing is left to be scanned at the moment.
void Indexer::scanned() {
  if (std::exchange(inRescan_, false) && rescanning_ && !watchFailed_) {
    rescanning_ = false;
    nextRescan_ = kNever;
    notice(log::Level::info, "all folders can be watched for changes again");
  }
  if (std::exchange(scannedOnce_, true)) return;
  // What the index knew and is not there any more, unless all that is missing is a disk.
  const bool allThere = std::ranges::all_of(
      folderStates_, [](const FolderState& state) { return state.present || !state.active; });
  if (allThere) catalogue_.forgetRemembered();
}

void Indexer::scanFolder(const std::string& name, std::stop_token stop) {
  const std::uint32_t index = folderOf(name);
  const SharedFolder& folder = folders_->at(index);
  if (!folderStates_[index].present) return;
  if (!isScanned(name)) return forgetTree(name);
  const std::string relative = folder.single ? "" : folder.relative(name);
  const int how = folder.single ? O_PATH : O_RDONLY;
  auto opened = openBelow(folder.path, relative, how | O_DIRECTORY);
  if (!opened) return lose(name, errno);
  // Without this right the names can be read, and nothing more.
  if (::faccessat(opened.get(), ".", X_OK, AT_EACCESS) != 0) return lose(name, errno);
  scanOpened(name, index, std::move(opened), stop);
}

// Whether a child of a folder is to be looked at. What is not for its name is told.
bool Indexer::isWanted(const std::string& name, std::string_view child) {
  switch (nameFault(name)) {
    case NameFault::none:
      break;
    case NameFault::notUtf8:
      problems_.add(Problem::notUtf8, name);
      return false;
    case NameFault::control:
      problems_.add(Problem::control, name);
      return false;
    case NameFault::tooDeep:
      problems_.add(Problem::tooDeep, name);
      return false;
    case NameFault::tooLong:
      problems_.add(Problem::tooLong, name);
      return false;
    default:
      return false;  // "." and "..", or the program's own
  }
  if (isScanned(name)) return true;
  // Told of what was there at the start; others come and go with each editor.
  if (isDotName(child) && !scannedOnce_ && !isUnshared(name)) {
    problems_.add(Problem::dotName, name);
  }
  return false;
}

void Indexer::scanOpened(const std::string& name, std::uint32_t folder, FileDescriptor opened,
                         std::stop_token stop) {
  // The watch before the names: what comes in between is told by an event.
  const int descriptor = opened.get();
  if (!watches_.contains(name)) watch(name, descriptor);
  if (folders_->at(folder).single) {
    found(name);
    return lookAt(descriptor, name.c_str(), name, folder, false);
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
    const std::string path = joined(name, child);
    if (folderOf(path) == folder && isWanted(path, child)) {
      if (listed.size() == limits::kSharedFiles) {
        problems_.add(Problem::tooMany, path);
        break;
      }
      listed.emplace(child);
      lookAt(::dirfd(directory.get()), entry->d_name, path, folder, true);
    }
    errno = 0;  // of the next readdir(3): its end and its failure look alike
  }
  if (errno != 0) return lose(name, errno);
  found(name);
  std::vector<std::string> missing;
  catalogue_.children(name, [&](std::string_view child, bool) {
    const std::string path = joined(name, child);
    if (!listed.contains(child) && folderOf(path) == folder) missing.push_back(path);
  });
  for (const auto& path : missing) forgetTree(path);
}

}  // namespace espalier::share
