#include <dirent.h>
#include <fcntl.h>

#include <algorithm>
#include <cerrno>

#include "common/base/text.h"
#include "peer/share/indexer.h"

namespace espalier::share {
namespace {

using namespace std::chrono_literals;

// Between two things that the thread also does: results, commands, publishing.
constexpr auto kScanSlice = 20ms;
// A file that is written all the time gives an event a write; looking that often shows the same.
constexpr auto kWatchPause = 10ms;

struct DirectoryClose {
  void operator()(DIR* directory) const { ::closedir(directory); }
};

std::string joined(const std::string& folder, std::string_view child) {
  return folder.empty() ? std::string(child) : folder + '/' + std::string(child);
}

}  // namespace

std::uint32_t Indexer::folderOf(std::string_view name) const {
  const auto label = labels_.find(name.substr(0, name.find('/')));
  return label != labels_.end() ? label->second : 0;
}

// Whether it, or a folder above it, was unshared.
bool Indexer::isHidden(std::string_view name) const {
  if (list_.hidden.empty()) return false;
  for (std::size_t end = name.find('/'); end != name.npos; end = name.find('/', end + 1)) {
    if (list_.hidden.contains(name.substr(0, end))) return true;
  }
  return list_.hidden.contains(name);
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
  struct stat status {};
  const bool there = ::stat(folder.path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
  const bool same = there && state.device == status.st_dev && state.inode == status.st_ino;
  if (state.present && !same) forgetFolder(index);
  if (!there) {
    if (!std::exchange(state.toldGone, true)) {
      notice(log::Level::warning,
             escaped(folder.path.string()) + " is not there: nothing of it is shared until it is");
    }
  } else if (!state.present || !same) {
    if (std::exchange(state.toldGone, false)) {
      notice(log::Level::info, escaped(folder.path.string()) + " is there again");
    }
    state.device = status.st_dev;
    state.inode = status.st_ino;
    scans_.push_back(folder.label);
  }
  state.present = there;
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
  for (const auto& name : others) forget(name);
  unwatch(watches_.dropNames(isOf));
}

void Indexer::rescan() {
  nextRescan_ = rescanning_ ? Clock::now() + options_.rescanInterval : kNever;
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
  if (!scans_.empty() || scannedOnce_ || stop.stop_requested()) return;
  scannedOnce_ = true;
  // What the index knew and is not there any more, unless all that is missing is a disk.
  const bool allThere = std::ranges::all_of(
      folderStates_, [](const FolderState& state) { return state.present || !state.active; });
  if (allThere) catalogue_.forgetRemembered();
}

void Indexer::scanFolder(const std::string& name, std::stop_token stop) {
  const std::uint32_t index = folderOf(name);
  const SharedFolder& folder = folders_->at(index);
  if (isHidden(name) || !folderStates_[index].present) return;
  const std::string relative = folder.single ? "" : folder.relative(name);
  auto opened = openBelow(folder.path, relative, O_RDONLY | O_DIRECTORY);
  if (opened) return scanOpened(name, index, std::move(opened), stop);
  if (errno == EACCES || errno == EPERM || errno == EIO) {
    problems_.add(Problem::unreadable, (folder.path / relative).string());
  }
  if (errno == EMFILE || errno == ENFILE) {
    nextRescan_ = std::min(nextRescan_, Clock::now() + 1s);
    return;
  }
  if (name != folder.label) return forgetTree(name);
  forgetFolder(index);
  folderStates_[index].present = false;  // The next check tries again.
}

void Indexer::scanOpened(const std::string& name, std::uint32_t folder, FileDescriptor opened,
                         std::stop_token stop) {
  // The watch before the names: what comes in between is told by an event.
  const int descriptor = opened.get();
  if (!watches_.contains(name)) watch(name, descriptor);
  if (folders_->at(folder).single) {
    return lookAt(descriptor, name.c_str(), name, folder, false);
  }
  const std::unique_ptr<DIR, DirectoryClose> directory(::fdopendir(descriptor));
  if (!directory) return;
  opened.release();
  std::set<std::string, std::less<>> listed;
  while (const dirent* entry = ::readdir(directory.get())) {
    if (stop.stop_requested()) return;
    const std::string_view child = entry->d_name;
    if (!isShareable(child)) continue;
    const std::string path = joined(name, child);
    if (!isUtf8(child)) {
      problems_.add(Problem::notUtf8, path);
    } else if (path.size() > limits::kPathBytes) {
      problems_.add(Problem::tooLong, path);
    } else if (folderOf(path) == folder && !list_.hidden.contains(path)) {
      if (listed.size() == limits::kSharedFiles) {
        problems_.add(Problem::tooMany, path);
        break;
      }
      listed.emplace(child);
      lookAt(::dirfd(directory.get()), entry->d_name, path, folder, true);
    }
  }
  std::vector<std::string> missing;
  catalogue_.children(name, [&](std::string_view child, bool) {
    const std::string path = joined(name, child);
    if (!listed.contains(child) && folderOf(path) == folder) missing.push_back(path);
  });
  for (const auto& path : missing) forgetTree(path);
}

void Indexer::watch(const std::string& name, int folder) {
  const int number = watch_.add(folder);
  if (number >= 0) return watches_.put(name, number);
  if (std::exchange(rescanning_, true)) return;
  nextRescan_ = Clock::now() + options_.rescanInterval;
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(options_.rescanInterval).count();
  notice(log::Level::warning,
         systemError("cannot watch all folders for changes", errno).message +
             ": looking at them every " + std::to_string(seconds) +
             " s instead (fs.inotify.max_user_watches sets how many can be watched)");
}

void Indexer::unwatch(const std::vector<int>& watches) {
  for (const int number : watches) watch_.remove(number);
}

void Indexer::readWatch() {
  if (watch_.descriptor() < 0) return;
  bool any = false;
  watch_.read([&](const WatchEvent& event) {
    any = true;
    onWatchEvent(event);
  });
  if (any) watchPausedUntil_ = Clock::now() + kWatchPause;
}

void Indexer::onWatchEvent(const WatchEvent& event) {
  if (event.overflow) {
    nextRescan_ = Clock::now();
    return;
  }
  if (event.watchEnded) return watches_.drop(event.watch);
  for (const auto& name : watches_.namesOf(event.watch)) {
    if (!event.name.empty()) {
      onChildEvent(name, event);
    } else if (event.folderMoved && name == folders_->at(folderOf(name)).label) {
      nextFolderCheck_ = Clock::now();
    }
  }
}

void Indexer::onChildEvent(const std::string& folderName, const WatchEvent& event) {
  const std::uint32_t folder = folderOf(folderName);
  if (folders_->at(folder).single) {
    if (event.name == folderName) touched_.insert(folderName);
    return;
  }
  if (!isShareable(event.name)) return;
  const std::string path = joined(folderName, event.name);
  if (!isUtf8(event.name)) {
    problems_.add(Problem::notUtf8, path);
  } else if (path.size() > limits::kPathBytes || folderOf(path) != folder || isHidden(path)) {
    return;
  } else if (!event.isFolder) {
    if (event.closed) sooner(path);
    touched_.insert(path);
  } else if (event.left) {
    forgetTree(path);
  } else if (!watches_.contains(path)) {
    touched_.insert(path);  // Not scanned at once: it must prove to be no link and not our own.
  }
}

}  // namespace espalier::share
