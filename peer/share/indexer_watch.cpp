// Watches, and what their events mean.
#include <algorithm>
#include <cerrno>

#include "common/base/state_folder.h"
#include "peer/share/indexer.h"

namespace espalier::share {
namespace {

using namespace std::chrono_literals;

// A file that is written all the time gives an event a write; looking that often shows the same.
constexpr auto kWatchPause = 10ms;

}  // namespace

void Indexer::watch(const std::string& name, int folder) {
  const int number = watch_.add(folder);
  if (number >= 0) return watches_.put(name, number);
  const int error = errno;
  watchFailed_ = true;
  if (std::exchange(rescanning_, true)) return;
  nextRescan_ = std::min(nextRescan_, Clock::now() + options_.rescanInterval);
  const auto seconds = std::chrono::ceil<std::chrono::seconds>(options_.rescanInterval).count();
  notice(log::Level::warning, "cannot watch all folders for changes, because " +
                                  FolderWatch::reason(error) + ": looking at them every " +
                                  std::to_string(seconds) + " s until they can be watched");
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
  if (event.watchEnded) return onWatchEnded(event.watch);
  for (const auto& name : watches_.namesOf(event.watch)) {
    const bool top = name == folders_->at(folderOf(name)).label;
    if (!event.name.empty()) {
      onChildEvent(name, event);
    } else if (top && (event.folderMoved || event.attributes)) {
      nextFolderCheck_ = Clock::now();
    } else if (event.folderMoved) {
      touched_.insert(name);  // Unmounted, perhaps: what is there now has no watch.
    }
  }
}

// The kernel ended it, since the folder is removed or its disk unmounted. Another disk in its place
// may have the same numbers, of device and inode, so what it had is forgotten.
void Indexer::onWatchEnded(int watch) {
  const auto names = watches_.namesOf(watch);
  watches_.drop(watch);
  for (const auto& name : names) {
    const std::uint32_t index = folderOf(name);
    if (name == folders_->at(index).label) {
      loseTop(index, 0);
    } else {
      touched_.insert(name);
    }
  }
}

void Indexer::onChildEvent(const std::string& folderName, const WatchEvent& event) {
  const std::uint32_t folder = folderOf(folderName);
  if (folders_->at(folder).single) {
    if (event.name == folderName) touched_.insert(folderName);
    return;
  }
  // It may be a state folder from now on, or no longer.
  if (event.name == kStateMarker) scans_.push_back(folderName);
  const std::string path = joined(folderName, event.name);
  if (folderOf(path) != folder || !isWanted(path, event.name)) return;
  if (!event.isFolder) {
    if (event.closed) sooner(path);
    touched_.insert(path);
  } else if (event.left) {
    forgetTree(path);
  } else {
    touched_.insert(path);  // Not scanned at once: it must prove to be no link and not our own.
  }
}

}  // namespace espalier::share
